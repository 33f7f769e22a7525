"""The account that pays, and what a node says of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from requests.exceptions import RequestException
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3Exception, Web3RPCError
from web3.types import TxParams, TxReceipt, Wei

from wellhead.chain.outbox.fees import Fees, first_fees
from wellhead.chain.outbox.journal import Call, Signed
from wellhead.chain.transact import try_out


class Found(NamedTuple):
    """Which of several transactions was mined, and its receipt."""

    transaction: Signed
    receipt: TxReceipt


class PayingAccount:
    """Signs and sends. Nothing else may use its key: nonces would collide."""

    def __init__(self, w3: Web3, account: LocalAccount, max_fee_wei: int, clock: Callable[[], float]) -> None:
        self._w3, self._account, self._max_fee_wei, self._clock = w3, account, max_fee_wei, clock
        self._chain_id = w3.eth.chain_id

    @property
    def address(self) -> ChecksumAddress:
        return self._account.address

    def used(self, block: int | str) -> int:
        """How many of its nonces are used as of `block`."""
        return int(self._w3.eth.get_transaction_count(self.address, block))  # type: ignore[arg-type]

    def balance_wei(self) -> int:
        """What it has for gas."""
        return int(self._w3.eth.get_balance(self.address))

    def suggested_fees(self) -> Fees:
        """What the market asks now, never above the highest fee allowed."""
        base_fee = int(self._w3.eth.get_block("latest").get("baseFeePerGas", 0))
        return first_fees(base_fee, int(self._w3.eth.max_priority_fee), self._max_fee_wei)

    def try_out(self, call: Call) -> None:
        """Run it on the newest block without sending it. Raises ContractRefused."""
        target = Web3.to_checksum_address(call.to)
        try_out(self._w3, {"from": self.address, "to": target, "data": Web3.to_hex(call.calldata)}, call.gas)

    def sign(self, nonce: int, call: Call, fees: Fees) -> Signed:
        """A transaction that makes the call."""
        transaction: TxParams = {
            "chainId": self._chain_id,
            "nonce": nonce,  # type: ignore[typeddict-item]
            "to": Web3.to_checksum_address(call.to),
            "value": Wei(0),
            "data": Web3.to_hex(call.calldata),
            "gas": call.gas,
            "maxFeePerGas": Wei(fees.max_fee_wei),
            "maxPriorityFeePerGas": Wei(fees.priority_fee_wei),
        }
        signed = self._account.sign_transaction(transaction)  # type: ignore[arg-type]
        return Signed(bytes(signed.hash), bytes(signed.raw_transaction), fees, self._clock())

    def send(self, signed: Signed) -> str:
        """Give its bytes to the node; what it has against them, empty if nothing.

        No answer is a verdict, not even none: the chain decides.
        """
        try:
            self._w3.eth.send_raw_transaction(signed.raw)
        except Web3RPCError as error:
            return "" if "already" in str(error) else error.message  # known or imported
        except (Web3Exception, RequestException, OSError) as error:
            return f"{type(error).__name__}: {error}"
        return ""

    def knows(self, signed: Signed) -> bool:
        """Whether the node has it, mined or waiting."""
        try:
            self._w3.eth.get_transaction(Web3.to_hex(signed.hash))
        except TransactionNotFound:
            return False
        return True

    def mined(self, transactions: Sequence[Signed]) -> Found | None:
        """The one of them that is in the chain; the newest is looked for first."""
        for signed in reversed(transactions):
            try:
                return Found(signed, self._w3.eth.get_transaction_receipt(Web3.to_hex(signed.hash)))
            except TransactionNotFound:
                continue
        return None

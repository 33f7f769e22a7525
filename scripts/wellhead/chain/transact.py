"""Simulate, sign, send, wait: the one way in which the package changes a chain."""

from __future__ import annotations

from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import Web3
from web3.contract.contract import ContractConstructor, ContractFunction
from web3.exceptions import ContractCustomError, ContractLogicError, TimeExhausted, Web3RPCError
from web3.types import TxParams, TxReceipt, Wei

from wellhead.chain import local, revert
from wellhead.errors import Refused

GAS_MARGIN_PERCENT = 25  # state may move between the estimate and the block
RECEIPT_TIMEOUT_SECONDS = 120
Call = ContractFunction | ContractConstructor


class Simulated(NamedTuple):
    """What a call would do: its return value and its gas estimate."""

    result: Any
    gas: int


class Mined(NamedTuple):
    """A call that was mined with success. `result` is the simulation's return value."""

    result: Any
    receipt: TxReceipt

    @property
    def transaction(self) -> str:
        """The transaction's hash, 0x-prefixed."""
        return Web3.to_hex(self.receipt["transactionHash"])


def try_out(w3: Web3, transaction: TxParams, gas: int) -> None:
    """Run `transaction` with so much gas on the newest block, without sending it. Raises ContractRefused, or what web3
    raises when the node does not answer."""
    try:
        w3.eth.call({**transaction, "gas": gas})
    except (ContractCustomError, ContractLogicError) as error:
        raise revert.from_exception(error) from error
    except Web3RPCError as error:
        if "gas" in str(error).lower():  # it was not enough
            raise revert.from_exception(error) from error
        raise


class Sender:
    """One account on one chain. Not for use by several threads at once: it has one nonce in flight."""

    def __init__(self, w3: Web3, account: LocalAccount) -> None:
        self.w3 = w3
        self.account = account
        # Local chains mine at once; public ones every few seconds.
        self._poll_seconds = 0.005 if local.is_local(w3) else 1.0

    @property
    def address(self) -> ChecksumAddress:
        return self.account.address

    def simulate(self, call: Call, value_wei: int = 0) -> Simulated:
        """Run `call` without sending it. Raises ContractRefused with the decoded custom error."""
        transaction: TxParams = {"from": self.address, "value": Wei(value_wei)}
        try:
            result = call.call(transaction) if isinstance(call, ContractFunction) else None
            return Simulated(result, call.estimate_gas(transaction))
        except (ContractCustomError, ContractLogicError, Web3RPCError) as error:
            raise revert.from_exception(error) from error

    def send(self, call: Call, value_wei: int = 0) -> Mined:
        """Simulate, sign and send `call`, and wait until it is mined.

        Raises ContractRefused when the simulation reverts (nothing is sent then), Refused when the
        transaction reverts after all or is not mined in time.
        """
        simulated = self.simulate(call, value_wei)
        parameters: TxParams = {
            "from": self.address,
            "value": Wei(value_wei),
            "nonce": self.w3.eth.get_transaction_count(self.address, "pending"),
            "gas": simulated.gas * (100 + GAS_MARGIN_PERCENT) // 100,
            "chainId": self.w3.eth.chain_id,
        }
        receipt = self.mine(call.build_transaction(parameters))
        if receipt["status"] != 1:
            self.simulate(call, value_wei)  # the chain has moved since: now it may say why
            raise self._reverted(receipt)
        return Mined(simulated.result, receipt)

    def send_transaction(self, transaction: TxParams) -> TxReceipt:
        """Sign and send a complete transaction and wait for its receipt. Raises Refused when it reverts."""
        receipt = self.mine(transaction)
        if receipt["status"] != 1:
            raise self._reverted(receipt)
        return receipt

    def mine(self, transaction: TxParams) -> TxReceipt:
        """Sign and send a complete transaction; its receipt, whether it succeeded or reverted."""
        signed = self.account.sign_transaction(transaction)  # type: ignore[arg-type]
        try:
            sent = self.w3.eth.send_raw_transaction(signed.raw_transaction)
            return self.w3.eth.wait_for_transaction_receipt(
                sent, timeout=RECEIPT_TIMEOUT_SECONDS, poll_latency=self._poll_seconds
            )
        except Web3RPCError as error:
            raise revert.from_exception(error) from error
        except TimeExhausted as error:
            raise Refused(f"transaction not mined within {RECEIPT_TIMEOUT_SECONDS} s: {error}") from error

    @staticmethod
    def _reverted(receipt: TxReceipt) -> Refused:
        return Refused(
            f"transaction {Web3.to_hex(receipt['transactionHash'])} reverted although its simulation passed: "
            "the chain moved in between; try again"
        )

"""One batch of claims at a time, from its signature until the chain can no longer take it back.

Written down first, then sent: whenever the process dies, the next one finds what may be on its way, looks at the
chain, and goes on. Every transaction of a batch has the same nonce, so at most one of them is mined; claims are
cumulative, so not even a batch that is mined twice could claim anything twice.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3RPCError
from web3.types import TxParams, TxReceipt, Wei

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.local import chain_time
from wellhead.chain.revert import ContractRefused
from wellhead.errors import Misused
from wellhead.gateway.channels.figures import ChannelLedger, look_again
from wellhead.gateway.claims.batch import BatchBuilder
from wellhead.gateway.claims.fees import Fees, first_fees, raised_fees
from wellhead.gateway.claims.journal import (
    DROPPED,
    FINAL,
    REVERTED,
    Batch,
    ClaimJournal,
    JournalRow,
    Signed,
)
from wellhead.gateway.claims.policy import ClaimPlan

_GWEI = 10**9
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    """How a transaction is brought into the chain. Times in seconds, fees in wei per unit of gas."""

    # Not mined for so long, it is replaced with a higher fee; an urgent one after a quarter of that.
    patience_seconds: float = 60
    max_fee_wei: int = 200 * _GWEI
    # Blocks, its own included, after which a claim counts.
    confirmations: int = 3
    # Blocks for which a claim that counts is still looked after, in case of a deeper reorganisation.
    watched_blocks: int = 64
    # How often the chain is asked about a transaction under way.
    poll_seconds: float = 2

    def __post_init__(self) -> None:
        if self.confirmations < 1 or self.watched_blocks < 0:
            raise Misused(f"{self.confirmations} confirmations: the block itself is the first")
        if self.patience_seconds <= 0 or self.poll_seconds <= 0 or self.max_fee_wei <= 0:
            raise Misused(f"{self}: patience, poll interval and highest fee are above 0")


class UnderWay(NamedTuple):
    """A batch that the chain has not decided about for good."""

    transaction: str
    nonce: int
    channels: int
    value: int
    fees: Fees
    mined: bool


class ClaimSender:
    """The gas-paying account. Nothing else may use its key: nonces would collide, and batches be built anew."""

    def __init__(
        self,
        w3: Web3,
        account: LocalAccount,
        builder: BatchBuilder,
        router: str,
        settlement: BatchSettlement,
        ledger: ChannelLedger,
        journal: ClaimJournal,
        policy: SendingPolicy,
        clock: Callable[[], float],
    ) -> None:
        self._w3, self._account, self._builder, self._router = w3, account, builder, router
        self._settlement, self._ledger, self._journal = settlement, ledger, journal
        self._policy, self._clock = policy, clock
        self._chain_id = w3.eth.chain_id
        # What stands in the way, for people; empty if nothing does.
        self.problem = ""

    # A new batch ------------------------------------------------------------------------------------

    def submit(self, plan: ClaimPlan) -> UnderWay | None:
        """Sign, write down and send what can be claimed of the plan; None if nothing can. No batch may be open.

        Raises LeaseLostError; then nothing was sent.
        """
        built = self._builder.build(plan.rows)
        if built is None:
            return None
        nonce = self._count("latest")
        before = self._journal.signed_at(nonce)
        fees: Fees | None = self._suggested()
        if not before:
            nonce = self._count("pending")
        else:  # something of ours may still wait with this nonce: outbid it
            highest = Fees(*map(max, zip(*(one.fees for one in before), strict=True)))
            fees = raised_fees(highest, self._suggested(), self._policy.max_fee_wei)
        if fees is None:
            self._complain(f"nonce {nonce} waits at the highest fee allowed, {self._policy.max_fee_wei} wei")
            return None
        needed = built.gas * fees.max_fee_wei
        has = self._w3.eth.get_balance(self._account.address)
        if has < needed:
            self._complain(
                f"{self._account.address} has {has} wei for gas, a batch needs up to {needed}: fund it"
            )
            return None
        signed = self._sign(nonce, built.calldata, built.gas, fees)
        rows = {row.channel_id: JournalRow(row.total_claimed, row.value) for row in built.rows}
        batch = self._journal.open(nonce, built.calldata, built.gas, plan.urgent_at, rows, signed)
        self._send(signed)
        _log.info(
            "claiming %s of %s channels: transaction %s, nonce %s",
            *(batch.value, len(rows), Web3.to_hex(signed.hash), nonce),
        )
        return _under_way(batch, signed, mined=False)

    # The batch under way ----------------------------------------------------------------------------

    def advance(self) -> UnderWay | None:
        """Do what the batch under way needs now; it, unless there is none (any more)."""
        head = self._w3.eth.block_number
        batch = self._journal.open_batch() or self._taken_back(head)
        if batch is None:
            return None
        found = self._mined(batch.transactions)
        if found is not None:
            return self._confirm(batch, *found, head)
        nonce = self._count("latest")
        if nonce > batch.nonce:
            return self._outrun(batch, head)
        if nonce < batch.nonce:
            return self._fall_back(batch, nonce)
        return self._push(batch)

    def _taken_back(self, head: int) -> Batch | None:
        """A batch that counted and that a deep reorganisation has dropped: it is under way again."""
        for batch in self._journal.final_since(head - self._policy.watched_blocks):
            if self._mined(batch.transactions) is None:
                _log.warning("batch %s is no longer in the chain: bringing it again", batch.batch_id)
                self._journal.reopen(batch)
                return batch
        return None

    def _mined(self, transactions: Sequence[Signed]) -> tuple[Signed, TxReceipt] | None:
        for signed in reversed(transactions):
            try:
                return signed, self._w3.eth.get_transaction_receipt(Web3.to_hex(signed.hash))
            except TransactionNotFound:
                continue
        return None

    def _confirm(self, batch: Batch, signed: Signed, receipt: TxReceipt, head: int) -> UnderWay | None:
        if head - receipt["blockNumber"] + 1 < self._policy.confirmations:
            return _under_way(batch, signed, mined=True)
        if receipt["status"] == 1:
            self.problem = ""
            self._builder.has_passed(batch.rows)
            self._decide(batch, FINAL, receipt["blockNumber"])
            _log.info("claimed %s of %s channels for good", batch.value, len(batch.rows))
            for what, receiver in self._builder.failures(receipt):
                _log.warning(
                    "%s: %s; its money is safe where it is, and the next batch tries again", what, receiver
                )
        else:
            self._complain(f"transaction {Web3.to_hex(signed.hash)} reverted: the chain moved before it")
            self._builder.has_reverted(batch.rows)
            self._decide(batch, REVERTED, receipt["blockNumber"])
        return None

    def _outrun(self, batch: Batch, head: int) -> UnderWay | None:
        """The nonce was used for something else, unless the node only lags."""
        deep = max(0, head - self._policy.confirmations + 1)
        if self._w3.eth.get_transaction_count(self._account.address, deep) <= batch.nonce:
            return _under_way(batch, batch.transactions[-1], mined=False)
        if self._mined(self._journal.signed_at(batch.nonce)) is None:
            self._complain(
                f"nonce {batch.nonce} of {self._account.address} was used elsewhere: give the settler a key of its own"
            )
        self._decide(batch, DROPPED)
        return None

    def _fall_back(self, batch: Batch, nonce: int) -> UnderWay | None:
        """The chain went back before earlier batches: what all of them claimed is planned anew."""
        if self._count("pending") >= batch.nonce:
            return _under_way(batch, batch.transactions[-1], mined=False)  # its predecessors are on their way
        for undone in (*self._journal.final_from_nonce(nonce), batch):
            self._decide(undone, DROPPED)
        return None

    def _push(self, batch: Batch) -> UnderWay | None:
        """Its turn has come and it is not mined: send it again if it got lost, with a higher fee if it is stuck."""
        try:
            self._builder.try_out(batch.calldata, batch.gas)
        except ContractRefused as refused:
            _log.warning("batch %s would revert by now and is built anew: %s", batch.batch_id, refused)
            self._decide(batch, DROPPED)
            return None
        newest = batch.transactions[-1]
        if self._clock() - newest.signed_at >= self._patience(batch):
            fees = raised_fees(newest.fees, self._suggested(), self._policy.max_fee_wei)
            if fees is not None:
                newest = self._sign(batch.nonce, batch.calldata, batch.gas, fees)
                batch = self._journal.replace(batch, newest)
                _log.warning("nonce %s is stuck: %s takes its place", batch.nonce, Web3.to_hex(newest.hash))
            else:
                self._complain(
                    f"nonce {batch.nonce} is not mined at the highest fee allowed, {newest.fees.max_fee_wei} wei"
                )
        if not self._known(newest):
            self._send(newest)
        return _under_way(batch, newest, mined=False)

    def _patience(self, batch: Batch) -> float:
        urgent = batch.urgent_at is not None and chain_time(self._w3) >= batch.urgent_at
        return self._policy.patience_seconds / 4 if urgent else self._policy.patience_seconds

    def _decide(self, batch: Batch, state: str, block: int | None = None) -> None:
        """The ledger first: if the process dies between the two, both are done again."""
        look_again(self._ledger, self._settlement, list(batch.rows))
        self._journal.close(batch, state, block)

    # The node ---------------------------------------------------------------------------------------

    def _sign(self, nonce: int, calldata: bytes, gas: int, fees: Fees) -> Signed:
        transaction: TxParams = {
            "chainId": self._chain_id,
            "nonce": nonce,  # type: ignore[typeddict-item]
            "to": Web3.to_checksum_address(self._router),
            "value": Wei(0),
            "data": Web3.to_hex(calldata),
            "gas": gas,
            "maxFeePerGas": Wei(fees.max_fee_wei),
            "maxPriorityFeePerGas": Wei(fees.priority_fee_wei),
        }
        signed = self._account.sign_transaction(transaction)  # type: ignore[arg-type]
        return Signed(bytes(signed.hash), bytes(signed.raw_transaction), fees, self._clock())

    def _send(self, signed: Signed) -> None:
        """What the node says is no verdict: the next look decides by the chain."""
        try:
            self._w3.eth.send_raw_transaction(signed.raw)
        except Web3RPCError as error:
            if "already" not in str(error):  # known or imported
                self._complain(f"the node does not take {Web3.to_hex(signed.hash)}: {error.message}")
        else:
            self.problem = ""

    def _known(self, signed: Signed) -> bool:
        try:
            self._w3.eth.get_transaction(Web3.to_hex(signed.hash))
        except TransactionNotFound:
            return False
        return True

    def _suggested(self) -> Fees:
        base_fee = int(self._w3.eth.get_block("latest").get("baseFeePerGas", 0))
        return first_fees(base_fee, int(self._w3.eth.max_priority_fee), self._policy.max_fee_wei)

    def _count(self, block: str) -> int:
        return int(self._w3.eth.get_transaction_count(self._account.address, block))  # type: ignore[arg-type]

    def _complain(self, problem: str) -> None:
        """Once per problem in the log, and for whoever asks."""
        if problem != self.problem:
            _log.error("%s", problem)
        self.problem = problem


def _under_way(batch: Batch, signed: Signed, *, mined: bool) -> UnderWay:
    return UnderWay(Web3.to_hex(signed.hash), batch.nonce, len(batch.rows), batch.value, signed.fees, mined)

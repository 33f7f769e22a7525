"""One look after a pool, which does all that is due: income synced, work recorded, periods distributed, members paid.

Nothing is kept in memory, so it may be run by several, at any time, and stopped at any time.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from requests.exceptions import RequestException
from web3.exceptions import Web3Exception

from wellhead.chain.contracts.compute_pool import ComputePool
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.transact import Call, Sender
from wellhead.errors import Refused
from wellhead.oracle.records.peer import RecordPeer
from wellhead.pool.evidence import PostedRounds
from wellhead.pool.receipts import SignedReceipt, fetch_receipts


class Due(NamedTuple):
    """Something to be done: money that moves, or work that is recorded."""

    what: str
    call: Call
    amount_usd6: int = 0
    work_units: int = 0
    node: int | None = None
    period: int | None = None


class Step(NamedTuple):
    """What was due and is done; see `Due`."""

    what: str
    node: int | None
    period: int | None
    amount_usd6: int
    work_units: int
    transaction: str


class Look(NamedTuple):
    """What one look brought about, and what stood in the way of more."""

    period: int
    steps: list[Step]
    problems: list[str]


class Keeper:
    """Looks after one pool with one key, which pays the gas and has no other power."""

    def __init__(
        self,
        pool: ComputePool,
        sender: Sender,
        gateway_url: str,
        min_usd6: int,
        proofs: RecordPeer | None = None,
    ) -> None:
        """`min_usd6`, at least 1: less is neither synced nor paid out, as it would not be worth its gas. `proofs` has
        the records of rounds that did not push them."""
        self._pool, self._sender = pool, sender
        self._gateway_url, self._min_usd6, self._proofs = gateway_url, min_usd6, proofs
        self._oracle = TelemetryOracle(pool.w3, pool.oracle(), pool.first_block)
        self._schedule = pool.schedule()

    def look(self) -> Look:
        """Do what is due now. What is refused is a problem of its own, and stops nothing else."""
        now = self._pool.now()
        look = Look(self._schedule.period_at(now), [], [])
        for part in (self._to_sync, self._to_record, self._to_distribute, self._to_pay):
            try:
                for due in part(now, look):
                    self._do(due, look)
            except Refused as error:
                look.problems.append(str(error))
            except (RequestException, Web3Exception) as error:
                look.problems.append(f"the chain does not answer: {type(error).__name__}: {str(error)[:200]}")
        return look

    # What is due ------------------------------------------------------------------------------------

    def _to_sync(self, _now: int, _look: Look) -> Iterator[Due]:
        unsynced_usd6 = self._pool.unsynced_usd6()
        if unsynced_usd6 >= self._min_usd6:
            yield Due("synced", self._pool.sync(), unsynced_usd6)

    def _to_record(self, now: int, look: Look) -> Iterator[Due]:
        period = look.period - 1
        until = self._schedule.distributable_at(period)
        if period < 1 or now >= until:
            return
        first, last = self._pool.rounds_of(period)
        try:
            rounds = PostedRounds(self._oracle, first, last, self._proofs)
        except Refused as error:  # what the chain itself can prove does not wait for the peer
            look.problems.append(str(error))
            rounds = PostedRounds(self._oracle, first, last)
        # The period's last round is the best end. Another one will do when that will hardly come any more.
        if not rounds.has(last) and now < (self._schedule.end_of(period) + until) // 2:
            return
        for one in fetch_receipts(self._gateway_url, self._pool.address):
            if one.period == period:
                yield from self._to_record_of(one, rounds, look)

    def _to_record_of(self, one: SignedReceipt, rounds: PostedRounds, look: Look) -> Iterator[Due]:
        account = self._pool.account_of(one.node)
        recorded = account.work_units if account.period == one.period else 0
        billed = one.billed_to_units - one.billed_from_units
        if billed <= recorded:
            return
        try:
            evidence = rounds.of(one.node)
        except Refused as error:
            look.problems.append(f"node {one.node}: {error}")
            return
        if evidence is None:
            look.problems.append(
                f"no two final rounds within period {one.period} show work of node {one.node}"
            )
            return
        work = min(evidence.served_units, billed)
        if work > recorded:
            signature = bytes.fromhex(one.signature[2:])
            call = self._pool.record(one.receipt, signature, evidence.base, evidence.end)
            yield Due("recorded", call, work_units=work, node=one.node, period=one.period)

    def _to_distribute(self, now: int, _look: Look) -> Iterator[Due]:
        period = self._pool.flow().open_period
        if period and now >= self._schedule.distributable_at(period):
            released_usd6 = self._pool.period_of(period).left_usd6
            yield Due("distributed", self._pool.distribute(period), released_usd6, period=period)

    def _to_pay(self, _now: int, _look: Look) -> Iterator[Due]:
        for node in self._pool.joined_nodes():
            claimable_usd6 = self._pool.claimable_usd6(node)
            if claimable_usd6 >= self._min_usd6:
                yield Due("paid", self._pool.claim(node), claimable_usd6, node=node)

    def _do(self, due: Due, look: Look) -> None:
        try:
            mined = self._sender.send(due.call)
        except Refused as error:
            about = "the pool" if due.node is None else f"node {due.node}"
            look.problems.append(f"{about} is not {due.what}: {error}")
            return
        look.steps.append(
            Step(due.what, due.node, due.period, due.amount_usd6, due.work_units, mined.transaction)
        )

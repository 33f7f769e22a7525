"""The settler: turns the vouchers that a gateway holds into claimed money, for as long as the gateway runs.

Each look at the chain does at most one thing: bring the batch under way further, or claim what is due. Nothing is
kept in memory that a restart could miss. Several settlers may run over one ledger: one of them settles, the others
stand by.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from sqlalchemy.exc import SQLAlchemyError
from web3 import Web3

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.contracts.settle_router import SettleRouter
from wellhead.chain.outbox.journal import OutboxJournal
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.outbox.sender import Outbox
from wellhead.database import open_database
from wellhead.errors import Refused
from wellhead.gateway.channels.figures import ChannelLedger, catch_up
from wellhead.gateway.claims.batch import BatchBuilder
from wellhead.gateway.claims.journal import ClaimJournal
from wellhead.gateway.claims.lease import LeaseLostError, SettlerLease
from wellhead.gateway.claims.policy import (
    ClaimPlan,
    ClaimPolicy,
    ClaimRow,
    claim_rows,
    plan_claims,
    unclaimable,
)
from wellhead.gateway.claims.sender import BatchUnderWay, ClaimSender

LEASE_SECONDS = 60  # above any one look: a node that answers so slowly is no use anyway
REST_PER_LOOK = 9
DEFAULT_CLAIM_POLICY, DEFAULT_SENDING_POLICY = ClaimPolicy(), SendingPolicy()
_log = logging.getLogger(__name__)


class SettlerStatus(NamedTuple):
    """Where claiming stands. Money in atomic units of the token, times in seconds by the ledger's clock."""

    unclaimed_usd6: int
    channels: int
    # Charged, but nothing that could be claimed now; see `unclaimable`.
    unclaimable_usd6: int
    oldest_age_seconds: float
    # When age will force a claim at the latest; None if nothing can be claimed.
    next_claim_at: float | None
    under_way: BatchUnderWay | None
    # False if another settler over this ledger does the work.
    settles: bool
    # What stands in the way, for people; empty if nothing does.
    problem: str


class Settled(NamedTuple):
    """What `settle_now` brought about."""

    claimed_usd6: int
    channels: int
    transactions: list[str]


class Settler:
    """Claims for one gateway. `tick`, `settle_now` and the thread of `start` may be used side by side."""

    def __init__(
        self,
        w3: Web3,
        router: str,
        gas_payer: LocalAccount,
        authorizer: LocalAccount,
        ledger: ChannelLedger,
        ledger_url: str,
        *,
        claiming: ClaimPolicy = DEFAULT_CLAIM_POLICY,
        sending: SendingPolicy = DEFAULT_SENDING_POLICY,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`ledger_url` is the ledger's database, `clock` its clock. `gas_payer` needs a key that nothing else uses;
        `authorizer` is the channels' receiver authorizer, which signs batches and sends nothing. Raises Refused when
        there is no router.
        """
        self._ledger, self._claiming, self._sending, self._clock = ledger, claiming, sending, clock
        self._authorizer = authorizer.address
        contract = SettleRouter(w3, router)
        self._settlement = BatchSettlement(w3, contract.settlement())
        chain_id = w3.eth.chain_id
        self._engine = open_database(ledger_url)
        self._lease = SettlerLease(self._engine, clock, chain_id, self._authorizer)
        sent = OutboxJournal(self._engine, clock, chain_id, gas_payer.address, self._lease.prove)
        self._outbox = Outbox(w3, gas_payer, sent, sending, clock)
        self._journal = ClaimJournal(self._engine, sent)
        self._builder = BatchBuilder(w3, contract, authorizer, gas_payer.address, clock)
        self._sender = ClaimSender(
            *(self._outbox, self._journal, self._builder, contract.address, self._settlement, ledger)
        )
        self._looking = threading.Lock()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._under_way: BatchUnderWay | None = None
        self._settles = False
        self._read_at = float("-inf")

    # A thread of its own ----------------------------------------------------------------------------

    def start(self) -> None:
        """Settle in a thread until `stop`."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name="settler", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Return when the look that is under way is over; what was sent, the next settler looks after."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        self._lease.drop()
        self._engine.dispose()

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                pause = self.tick()
            except Exception:
                # A node that is away, a database that is locked: whatever it is, money waits to be claimed.
                _log.exception("the settler's look at the chain failed; it goes on")
                pause = self._claiming.look_seconds
            # With very many channels a look takes seconds, which the gateway's calls should have.
            rest = REST_PER_LOOK * (time.monotonic() - began)
            self._wait(max(pause, min(rest, self._claiming.spare_seconds)))

    def _wait(self, seconds: float) -> None:
        """Until then, or until somebody asks for everything, or for an end."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            if self._stopping.wait(min(left, self._sending.poll_seconds)) or self._is_asked():
                return

    def _is_asked(self) -> bool:
        try:
            return self._settles and self._lease.everything_is_asked()
        except SQLAlchemyError:
            return False  # the next look will say so

    # One look ---------------------------------------------------------------------------------------

    def tick(self, *, everything: bool = False) -> float:
        """Look at the chain once and do what is to be done; the seconds until the next look.

        `everything` claims whatever can be claimed, due or not. Raises what web3 and the database raise.
        """
        with self._looking:
            self._settles = self._lease.take(LEASE_SECONDS)
            if not self._settles:
                self._under_way = None
                return self._claiming.look_seconds
            try:
                return self._look(everything or self._lease.everything_is_asked())
            except LeaseLostError as error:
                _log.warning("%s", error)
                return self._claiming.look_seconds

    def _look(self, everything: bool) -> float:
        self._under_way = self._sender.advance()
        if self._under_way is not None and self._clock() - self._read_at < self._claiming.look_seconds:
            return self._sending.poll_seconds
        rows = self._rows()
        if self._under_way is not None:
            return self._sending.poll_seconds
        if not rows:
            self._outbox.problem = ""  # nothing is held up any more
        plan = plan_claims(rows, self._claiming, self._clock(), everything=everything)
        if plan.rows:
            self._under_way = self._sender.submit(plan)
        if self._under_way is not None:
            return self._sending.poll_seconds
        if everything:
            self._lease.everything_was_tried()
        return self._pause(plan)

    def _rows(self) -> list[ClaimRow]:
        """What can be claimed, by the chain's figures of this moment, which the ledger is told."""
        self._read_at = self._clock()
        known = {one.channel_id: one.account for one in self._ledger.claimable()}
        catch_up(self._ledger, self._settlement, known, claims_count=self._under_way is None)
        return claim_rows(self._ledger.claimable(), self._authorizer, self._builder.set_aside())

    def _pause(self, plan: ClaimPlan) -> float:
        if plan.due_at is None:
            return self._claiming.look_seconds
        return max(self._sending.poll_seconds, min(self._claiming.look_seconds, plan.due_at - self._clock()))

    # For people -------------------------------------------------------------------------------------

    def settle_now(self, timeout_seconds: float) -> Settled:
        """Claim everything that can be claimed, or have the settler do it that runs already, and wait until it counts.

        Raises Refused when that takes longer.
        """
        deadline = time.monotonic() + timeout_seconds
        last, asked_at, asked = self._journal.last_entry_id(), self._clock(), False
        while True:
            pause = min(self.tick(everything=True), self._sending.poll_seconds)
            if not self._settles and not asked:
                self._lease.ask_for_everything()
                asked = True
            if self._is_settled(asked_at):
                break
            if time.monotonic() + pause > deadline or self._stopping.wait(pause):
                raise Refused(
                    f"not claimed for good within {timeout_seconds:g} s; {self._outbox.problem or 'it goes on'}"
                )
        done = self._journal.final_after(last)
        return Settled(
            sum(batch.value for batch in done),
            len({channel_id for batch in done for channel_id in batch.rows}),
            [Web3.to_hex(batch.entry.newest.hash) for batch in done],
        )

    def _is_settled(self, asked_at: float) -> bool:
        """Whether nothing is left that was there to claim at `asked_at`; a gateway that runs earns more meanwhile."""
        if self._journal.is_any_open():
            return False
        rows = claim_rows(self._ledger.claimable(), self._authorizer, self._builder.set_aside())
        return not any(row.since <= asked_at for row in rows)

    def status(self) -> SettlerStatus:
        """Where it stands now; reads the ledger alone."""
        waiting, now = self._ledger.claimable(), self._clock()
        rows = claim_rows(waiting, self._authorizer, self._builder.set_aside())
        oldest = min((row.since for row in rows), default=now)
        return SettlerStatus(
            unclaimed_usd6=sum(row.value for row in rows),
            channels=len(rows),
            unclaimable_usd6=unclaimable(waiting, rows),
            oldest_age_seconds=now - oldest,
            next_claim_at=plan_claims(rows, self._claiming, now).due_at,
            under_way=self._under_way,
            settles=self._settles,
            problem=self._outbox.problem,
        )

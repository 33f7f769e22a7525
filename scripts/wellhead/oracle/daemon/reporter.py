"""A reporter that runs for months without a hand: observe each window, agree with the others, see to it that it is
reported, keep every record.

Whatever fails costs one round at most: a later report covers all windows since the last good one.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from sqlalchemy.exc import SQLAlchemyError
from web3.exceptions import Web3Exception

from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.evidence import hash_of_all, written
from wellhead.oracle.daemon.history import History
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.store import ReporterStore, Sealed, StoredReport
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.draft import Basis, OracleConfig
from wellhead.oracle.energy import whole_watt_hours
from wellhead.oracle.exchange.messages import Kind, Message, reveal_body, reveal_in
from wellhead.oracle.exchange.play import Agreed, Patience, Peers, RoundPlay, leaders
from wellhead.oracle.exchange.post import Post
from wellhead.oracle.fleet import Sighting
from wellhead.oracle.observation import Counters, Window
from wellhead.oracle.review import LARGEST_REQUEST, Tolerance
from wellhead.oracle.round import MICROJOULES_PER_WH
from wellhead.oracle.schedule import MAX_SKEW_SECONDS, Schedule
from wellhead.oracle.sealed import SALT_BYTES, Revealed, seal
from wellhead.reference.record import pack_entries

# Reporters round energy to whole watt-hours, each with a remainder of its own.
DAEMON_TOLERANCE = Tolerance(absolute=LARGEST_REQUEST + Counters(0, 0, MICROJOULES_PER_WH))
# After a longer time without reports what came before is unknown: windows stay of a size that travels.
MAX_ROUNDS_AT_ONCE = 24
_TROUBLE = (Refused, Web3Exception, RequestException, SQLAlchemyError, OSError)
_log = logging.getLogger(__name__)


class Fleet(Protocol):
    """What this reporter measures nodes by."""

    async def run(self) -> None:
        """Look again and again until cancelled."""

    async def observe(self, window: Window) -> Mapping[int, Sighting]:
        """What was seen of each node."""


@dataclass(frozen=True)
class Pace:
    """Times in seconds. `settle`: after a window's end, until the last scrapes of it are in."""

    settle: float = 15
    poll: float = 5
    transmit: float = 20
    """How long each of the others leaves it to the one before."""
    keep_rounds: int = 720


class Reporter:
    """One reporter's daemon, but for what it listens on."""

    def __init__(
        self,
        account: LocalAccount,
        view: ChainView,
        schedule: Schedule,
        fleet: Fleet,
        store: ReporterStore,
        history: History,
        progress: Progress,
        transmitter: Transmitter | None,
        *,
        patience: Patience,
        pace: Pace,
    ) -> None:
        """`account` signs what is seen and reported; without a `transmitter` others must bring it to the chain."""
        self._account, self._view, self._schedule, self._fleet = account, view, schedule, fleet
        self._store, self._history, self._progress = store, history, progress
        self._transmitter, self._patience, self._pace = transmitter, patience, pace
        self._last_tried = 0
        self.post = Post(account.address, store, self._expected)

    # For ever ---------------------------------------------------------------------------------------

    async def run(self, peers: Peers) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._fleet.run())
            tasks.create_task(self._transmit_on())
            tasks.create_task(self._report_on(peers))

    async def _report_on(self, peers: Peers) -> None:
        while True:
            try:
                round_number = await asyncio.to_thread(self._due)
                if round_number is not None:
                    self._last_tried = round_number
                    await self._play(round_number, peers)
                    continue
            except _TROUBLE as error:
                self._progress.ended(self._last_tried, "given up", f"{type(error).__name__}: {error}")
                _log.warning("round %s is given up: %s: %s", self._last_tried, type(error).__name__, error)
            except Exception:
                # Whatever it is, the next window is to be measured.
                self._progress.ended(self._last_tried, "given up", "an error, see the log")
                _log.exception("round %s failed", self._last_tried)
            await asyncio.sleep(self._pace.poll)

    async def _transmit_on(self) -> None:
        while self._transmitter is not None:
            try:
                await asyncio.to_thread(self._transmitter.advance)
                self._progress.set(balance_wei=await asyncio.to_thread(self._transmitter.balance_wei))
            except _TROUBLE as error:
                _log.warning("what is under way is not looked after: %s: %s", type(error).__name__, error)
            await asyncio.sleep(self._pace.poll)

    # One look ---------------------------------------------------------------------------------------

    def _observed_round(self) -> int:
        """The last round whose window is over by this machine's clock, its last scrapes included."""
        return self._schedule.observed_by(int((time.time() - self._pace.settle) * 1000))

    def _expected(self) -> range:
        """Others may be a little ahead, or behind."""
        observed = self._schedule.observed_by(int(time.time() * 1000))
        return range(max(1, observed - 1), observed + 2)

    def _due(self) -> int | None:
        """The round to report now, if there is one."""
        config = self._view.config()
        self.post.use(config)
        if self._account.address not in config.reporters:
            raise Refused(f"{self._account.address} is no reporter of this oracle (any more)")
        self._history.catch_up()
        chain_time, latest = self._view.chain_time(), self._view.latest_round()
        skew = self._schedule.skew_seconds(chain_time, time.time())
        due = min(self._view.ended_round(), self._observed_round())
        last_end = self._view.oracle.window_end_of(latest)
        self._progress.set(
            last_round=latest, due_round=due, lag_seconds=chain_time - last_end, skew_seconds=skew
        )
        self._progress.looked()
        if self._schedule.scale.factor == 1 and skew < -MAX_SKEW_SECONDS:
            # The other way round the chain may just have no new block.
            raise Refused(
                f"this machine's clock is {-skew:.0f} s behind the chain's; at most {MAX_SKEW_SECONDS} s will do"
            )
        return due if due > max(latest, self._last_tried) else None

    async def _is_reported(self, round_number: int) -> bool:
        return await asyncio.to_thread(self._view.latest_round) >= round_number

    async def _is_past(self, round_number: int) -> bool:
        """Whether it is reported, or the next one is due: with which all reporters begin at the same time again."""
        return self._observed_round() > round_number or await self._is_reported(round_number)

    # One round --------------------------------------------------------------------------------------

    async def _play(self, round_number: int, peers: Peers) -> None:
        config = self.post.config
        assert config is not None
        before = await asyncio.to_thread(self._store.agreed, config.config_digest, round_number)
        if before is not None:  # this reporter was stopped before the chain had it
            await self._see_it_reported(config, before)
            return
        since = await asyncio.to_thread(self._view.newest_good_round)
        own = await self._own(config, since, round_number)
        book = self.post.book(round_number)

        async def basis_of(revealed: tuple[Revealed, ...]) -> Basis:
            return await asyncio.to_thread(self._basis, config, since, round_number, revealed)

        play = RoundPlay(self._account, own, basis_of, book, DAEMON_TOLERANCE)
        agreed = await play.run(self.post, peers, self._patience, lambda: self._is_past(round_number))
        self._progress.set(equivocations=len(book.equivocations))
        if agreed is None:
            if await self._is_reported(round_number):
                self._progress.ended(round_number, "reported")
                return
            raise Refused("no leader found a quorum while it was the newest round")
        self._progress.set(round_seconds=time.time() - self._schedule.wall_end_ms(round_number) / 1000)
        report = self._keep(config, agreed)
        await self._see_it_reported(config, report)

    async def _own(self, config: OracleConfig, since: int, round_number: int) -> Revealed:
        """What this reporter saw, sealed once and for all."""
        digest = config.config_digest
        sealed = await asyncio.to_thread(self._store.sealed, digest, round_number)
        if sealed is None:
            begun = time.monotonic()
            sightings = await self._fleet.observe(self._window(since, round_number))
            self._progress.set(observe_seconds=time.monotonic() - begun)
            for node, sighting in sightings.items():
                for fault in sighting.faults:
                    _log.warning("node %s: %s", node, fault)
            return await asyncio.to_thread(self._seal, digest, since, round_number, sightings)
        if sealed.since != since:
            raise Refused(f"it was sealed as following round {sealed.since}, and now follows {since}")
        return reveal_in(
            Message(Kind.REVEAL, digest, round_number, self._account.address, sealed.reveal, b"")
        )

    def _seal(
        self, digest: bytes, since: int, round_number: int, sightings: Mapping[int, Sighting]
    ) -> Revealed:
        seen = {node: one.observation for node, one in sightings.items()}
        energy = whole_watt_hours(seen, self._store.remainders(since))
        hashes = {node: one.evidence.hash for node, one in sightings.items()}
        revealed = seal(
            self._account,
            digest,
            round_number,
            energy.observations,
            hash_of_all(hashes),
            secrets.token_bytes(SALT_BYTES),
        )
        kept = {node: (hashes[node], written(sightings[node])) for node in sightings}
        # On disk before anything of it is said: who says two things is caught.
        self._store.seal(digest, round_number, Sealed(since, reveal_body(revealed), energy.remainders), kept)
        return revealed

    def _basis(
        self, config: OracleConfig, since: int, round_number: int, revealed: tuple[Revealed, ...]
    ) -> Basis:
        """All that a report over these reveals follows from. Blocking. What fewer than k saw needs no record."""
        often: dict[int, int] = {}
        for one in revealed:
            for node in one.observations:
                often[node] = often.get(node, 0) + 1
        nodes = [node for node, times in often.items() if times >= config.quorum]
        return Basis(
            config=config,
            round=round_number,
            window_end=self._view.oracle.window_end_of(round_number),
            window=self._window(since, round_number),
            revealed=revealed,
            previous=self._history.last(nodes, since),
            scale=self._schedule.scale,
        )

    def _window(self, since: int, round_number: int) -> Window:
        return self._schedule.window(max(since, round_number - MAX_ROUNDS_AT_ONCE), round_number)

    def _keep(self, config: OracleConfig, agreed: Agreed) -> StoredReport:
        drafted = agreed.draft
        report = StoredReport(
            drafted.round,
            drafted.tree.root,
            drafted.evidence_hash,
            pack_entries(drafted.records),
            agreed.signatures,
            agreed.leader,
        )
        self._store.agree(config.config_digest, report)
        self._store.forget_before(drafted.round - self._pace.keep_rounds)
        self._progress.ended(drafted.round, "agreed")
        return report

    async def _see_it_reported(self, config: OracleConfig, report: StoredReport) -> None:
        """Whoever led brings it; if it does not come, the next in line does, and so on."""
        if self._transmitter is None:
            return
        order = leaders(config.reporters, report.round)
        place = (order.index(self._account.address) - order.index(report.leader)) % len(order)
        until = time.monotonic() + place * self._pace.transmit
        while time.monotonic() < until:
            if await self._is_reported(report.round):
                return
            await asyncio.sleep(min(self._pace.poll, max(0.0, until - time.monotonic())))
        await asyncio.to_thread(self._transmitter.transmit, report)

"""A reporter that runs for months without a hand: observe each window, agree with the others, see to it that it is
reported where a report is due, keep every record.

Whatever fails costs one round at most: a later report covers all windows since the last good one.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.decider import Decider
from wellhead.oracle.daemon.history import History
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.pusher import Pusher
from wellhead.oracle.daemon.scorer import Scorer
from wellhead.oracle.daemon.store import ReporterStore, StoredReport
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.daemon.trouble import TROUBLE
from wellhead.oracle.daemon.witness import Witness
from wellhead.oracle.draft import Basis, OracleConfig
from wellhead.oracle.exchange.book import RoundBook
from wellhead.oracle.exchange.play import Agreed, Patience, Peers, RoundPlay, leaders
from wellhead.oracle.exchange.post import Post
from wellhead.oracle.observation import Counters
from wellhead.oracle.review import LARGEST_REQUEST, Tolerance
from wellhead.oracle.round import MICROJOULES_PER_WH
from wellhead.oracle.schedule import MAX_SKEW_SECONDS, Schedule
from wellhead.oracle.sealed import Revealed
from wellhead.oracle.trigger import ALL_WINDOWS, Cause, Decision, Trigger
from wellhead.reference.record import pack_entries

# Reporters round energy to whole watt-hours, each with a remainder of its own.
DAEMON_TOLERANCE = Tolerance(absolute=LARGEST_REQUEST + Counters(0, 0, MICROJOULES_PER_WH))
# Others' reveals are of use while their round may still be played again, or counted by who missed it.
KEPT_REVEALS = 24
_log = logging.getLogger(__name__)


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
        witness: Witness,
        store: ReporterStore,
        history: History,
        progress: Progress,
        transmitter: Transmitter | None,
        pusher: Pusher | None,
        scorer: Scorer,
        *,
        patience: Patience,
        pace: Pace,
        trigger: Trigger | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`account` signs what is seen and reported; without a `transmitter` others must bring it to the chain, without
        a `pusher` what is too large for a report, and without a `trigger` every window is reported. `clock` tells
        seconds since the epoch."""
        self._account, self._view, self._schedule, self._witness = account, view, schedule, witness
        self._store, self._history, self._progress = store, history, progress
        self._transmitter, self._pusher, self._patience, self._pace = transmitter, pusher, patience, pace
        self._scorer, self._count, self._clock = scorer, scorer.counting.count, clock
        self._decider = None if trigger is None else Decider(trigger, view, history)
        self._last_tried = 0
        # An agreed report, and from when on by the loop's clock it is this reporter's turn to bring it.
        self._later: tuple[float, StoredReport] | None = None
        self.post = Post(account.address, store, self._expected, scorer)

    # For ever ---------------------------------------------------------------------------------------

    async def run(self, peers: Peers) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._witness.fleet.run())
            tasks.create_task(self._again("what is under way is not looked after", self._look))
            tasks.create_task(self._again("records are not kept", self._catch_up))
            tasks.create_task(self._again("records are not pushed", self._push))
            tasks.create_task(self._again("no scores are brought", lambda: self._score(peers)))
            tasks.create_task(self._again("no round is begun", lambda: self._report(peers)))

    async def _again(self, otherwise: str, work: Callable[[], Awaitable[None]]) -> None:
        """Whatever it is that fails, the next window is to be measured and what is signed to be brought."""
        while True:
            try:
                await work()
            except TROUBLE as error:
                _log.warning("%s: %s: %s", otherwise, type(error).__name__, error)
                self._progress.trouble(f"{otherwise}: {type(error).__name__}: {error}")
            except Exception as error:
                _log.exception("%s", otherwise)
                self._progress.trouble(f"{otherwise}: {type(error).__name__}, see the log")
            await asyncio.sleep(self._pace.poll)

    async def _look(self) -> None:
        """Look after what is on its way to the chain, and whether that answers."""
        self._progress.reported(await asyncio.to_thread(self._view.latest_round))
        if self._transmitter is None:
            return
        if self._later is not None and asyncio.get_running_loop().time() >= self._later[0]:
            (_, report), self._later = self._later, None
            await asyncio.to_thread(self._transmitter.transmit, report)
        else:
            await asyncio.to_thread(self._transmitter.advance)
        self._progress.set(balance_wei=await asyncio.to_thread(self._transmitter.balance_wei))

    async def _catch_up(self) -> None:
        """Apart from the rounds: a peer that gives its records slowly must hold up none."""
        await asyncio.to_thread(self._history.catch_up)

    async def _push(self) -> None:
        if self._pusher is not None:
            await asyncio.to_thread(self._pusher.advance)

    async def _score(self, peers: Peers) -> None:
        await self._scorer.step(self.post.config, self._observed_round(), peers)

    async def _report(self, peers: Peers) -> None:
        while (round_number := await asyncio.to_thread(self._due)) is not None:
            self._last_tried = round_number
            why = "an error, see the log"
            try:
                await self._play(round_number, peers)
                continue
            except TROUBLE as error:
                why = f"{type(error).__name__}: {error}"
            except Exception:
                _log.exception("round %s failed", round_number)
            _log.warning("round %s is given up: %s", round_number, why)
            self._progress.ended(round_number, "given up", why)

    # One look ---------------------------------------------------------------------------------------

    def _observed_round(self) -> int:
        """The last round whose window is over by this machine's clock, its last scrapes included."""
        return self._schedule.observed_by(int((self._clock() - self._pace.settle) * 1000))

    def _expected(self) -> range:
        """Others may be a little ahead, or behind."""
        observed = self._schedule.observed_by(int(self._clock() * 1000))
        return range(max(1, observed - 1), observed + 2)

    def _due(self) -> int | None:
        """The round to report now, if there is one."""
        config = self._view.config()
        self.post.use(config)
        if self._account.address not in config.reporters:
            raise Refused(f"{self._account.address} is no reporter of this oracle (any more)")
        chain_time, latest = self._view.chain_time(), self._view.latest_round()
        skew = self._schedule.skew_seconds(chain_time, self._clock())
        due = min(self._view.ended_round(), self._observed_round())
        lag = chain_time - self._view.window_end_of(latest)
        self._progress.set(last_round=latest, due_round=due, lag_seconds=lag, skew_seconds=skew)
        if self._schedule.scale.factor == 1 and skew < -MAX_SKEW_SECONDS:
            # The other way round the chain may just have no new block.
            raise Refused(
                f"this machine's clock is {-skew:.0f} s behind the chain's; at most {MAX_SKEW_SECONDS} s will do"
            )
        return due if due > max(latest, self._last_tried) else None

    async def _is_past(self, round_number: int) -> bool:
        """Whether it is reported, or the next one is due: with which all reporters begin at the same time again."""
        if self._observed_round() > round_number:
            return True
        try:
            return await asyncio.to_thread(self._view.latest_round) >= round_number
        except TROUBLE as error:
            _log.warning("whether round %s is reported is not known: %s", round_number, error)
            return False

    # One round --------------------------------------------------------------------------------------

    async def _play(self, round_number: int, peers: Peers) -> None:
        config = self.post.config
        assert config is not None
        before = await asyncio.to_thread(self._store.agreed, config.config_digest, round_number)
        if before is not None:  # this reporter was stopped before the chain had it
            await self._see_it_reported(config, before)
            return
        await asyncio.to_thread(
            self._store.forget_before, round_number - self._pace.keep_rounds, round_number - KEPT_REVEALS
        )
        since = await asyncio.to_thread(self._view.newest_good_round)
        digest = config.config_digest
        own = await self._witness.own(self._account, self._store, digest, since, round_number)
        book = self.post.book(round_number)

        async def basis_of(revealed: tuple[Revealed, ...]) -> Basis:
            try:
                return await asyncio.to_thread(self._basis, config, since, round_number, revealed)
            except TROUBLE as error:
                raise Refused(f"I cannot tell now: {type(error).__name__}: {error}") from error

        play = RoundPlay(self._account, own, basis_of, book, DAEMON_TOLERANCE)
        await play.exchange(self.post, peers, self._patience)
        decision = await self._decide(play, book, since)
        self._progress.decided(round_number, decision)
        if not decision.reports:  # whoever thinks otherwise still has this reporter's signature
            self._progress.set(equivocations=len(book.equivocations))
            return
        agreed = await play.agree(self.post, peers, self._patience, lambda: self._is_past(round_number))
        self._progress.set(equivocations=len(book.equivocations))
        if agreed is None:
            if await asyncio.to_thread(self._view.latest_round) >= round_number:
                await self._count_held(config, play, book)
                self._progress.ended(round_number, "reported")
                return
            raise Refused("no leader found a quorum while it was the newest round")
        self._progress.set(round_seconds=self._clock() - self._schedule.wall_end_ms(round_number) / 1000)
        # Before the report itself is: whoever is stopped between them plays the round again, and counts it then.
        await asyncio.to_thread(self._count, config, agreed.draft, book.select(agreed.hashes))
        report = await asyncio.to_thread(self._keep, config, since, agreed)
        await self._see_it_reported(config, report)

    async def _decide(self, play: RoundPlay, book: RoundBook, since: int) -> Decision:
        """What cannot be judged is reported: too much does no harm."""
        if self._decider is None:
            return ALL_WINDOWS
        try:
            basis, drafted = await play.draft_of(book.proposal())
            return await asyncio.to_thread(self._decider.decide, since, basis, drafted)
        except TROUBLE as error:
            return Decision(Cause.UNSURE, f"{type(error).__name__}: {error}")

    async def _count_held(self, config: OracleConfig, play: RoundPlay, book: RoundBook) -> None:
        """The chain was faster than the leader's letter: most often its report counts what is held here, all of it."""
        try:
            basis, drafted = await play.draft_of(book.proposal())
        except Refused:
            return  # it is fetched from others
        await asyncio.to_thread(self._count, config, drafted, basis.revealed)

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
            window_end=self._view.window_end_of(round_number),
            window=self._witness.window(since, round_number),
            revealed=revealed,
            previous=self._history.last(nodes, since),
            scale=self._schedule.scale,
        )

    def _keep(self, config: OracleConfig, since: int, agreed: Agreed) -> StoredReport:
        drafted = agreed.draft
        report = StoredReport(
            drafted.round,
            since,
            drafted.tree.root,
            drafted.evidence_hash,
            pack_entries(drafted.records),
            agreed.signatures,
            agreed.leader,
        )
        self._store.agree(config.config_digest, report)
        self._progress.ended(drafted.round, "agreed")
        return report

    async def _see_it_reported(self, config: OracleConfig, report: StoredReport) -> None:
        """Whoever led brings it; if it does not come, the next in line does, and so on."""
        if self._transmitter is None:
            return
        order = leaders(config.reporters, report.round)
        place = (order.index(self._account.address) - order.index(report.leader)) % len(order)
        self._later = asyncio.get_running_loop().time() + place * self._pace.transmit, report
        if not place:
            try:
                await self._look()
            except TROUBLE as error:  # it is tried again
                _log.warning("round %s is not on its way yet: %s", report.round, error)

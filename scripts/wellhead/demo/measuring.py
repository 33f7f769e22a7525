"""Third part: three of five reporters, each a process of its own, measure the node while the chain's clock runs with
theirs, and bring to the chain what they agree on."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import NamedTuple, Self

from wellhead.chain.fast_clock import FastClock
from wellhead.chain.keys import local_account
from wellhead.demo.listing import DELIVERY_SECONDS, SPEC, Listed
from wellhead.demo.posted import Posted, posted
from wellhead.demo.reporters import Reporters, how_they_measure
from wellhead.demo.serving import Buying, Site
from wellhead.demo.stage import Stage
from wellhead.errors import Refused
from wellhead.oracle.records.peer import RecordPeer
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.schedule import Schedule
from wellhead.reference.merkle import Reading
from wellhead.reference.record import NodeRecord

SLOT_MS = 1_000
# An hour passes in eight seconds: a little more than a round may take its reporters.
FACTOR = 450
REPORTERS = 3  # of five: as few as make a quorum
OUTAGE_SECONDS = 2.0
PATIENCE_SECONDS = 240.0


class Outage(NamedTuple):
    """By stopwatch; and the round in whose window it ended."""

    seconds: float
    last_round: int


class Shown(NamedTuple):
    """What was measured before the outage and after it, both with proofs; how long it was by stopwatch."""

    base: Posted
    end: Posted
    readings: tuple[Reading, Reading]
    down_seconds: float


class Measuring:
    """Reporters at work for the length of a `with` block; rounds come by themselves."""

    def __init__(self, stage: Stage, listed: Listed, site: Site) -> None:
        self._stage, self._node, self._site = stage, listed.node, site
        self._reporters = Reporters(stage, REPORTERS)
        self._running = ExitStack()
        oracle = stage.oracle
        genesis = oracle.window_end_of(0)
        self._told = oracle.latest_round()
        self._last: NodeRecord = first_record(genesis, SPEC.gpu_count)
        # A window begins as they start, and they are at work before it ends.
        stage.advance_to(oracle.window_end_of(oracle.round_ended_by(stage.now()) + 1))
        passed_ms = (stage.now() - genesis) * 1000 // FACTOR
        self._schedule = Schedule(
            genesis, oracle.window_seconds(), TimeScale(SLOT_MS, FACTOR), int(time.time() * 1000) - passed_ms
        )
        self._clock = FastClock(stage.chain.connect(), genesis, self._schedule.anchor_ms, FACTOR)

    def __enter__(self) -> Self:
        """They take a while to start; what they do not see is unknown."""
        with ExitStack() as running:
            running.callback(self._reporters.stop)
            self._reporters.start(self._node, self._site.runtime_url, self._schedule)
            running.enter_context(self._clock)
            self._running = running.pop_all()
        tell = self._stage.narrator.tell
        tell(
            "reporters",
            f"{REPORTERS} of 5 start, each a process; {how_they_measure()}; the other 2 are silent",
        )
        tell("time", f"{self._schedule.scale}")
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()

    def base(self) -> Posted:
        """What they have seen so far, once they have seen the node and a report of it is there."""
        base = self._report_since(self._told + 1)
        while not base.record.up_seconds:
            base = self._report_since(base.round + 1)
        return base

    def outage(self, buying: Buying) -> Outage:
        """The node goes down and comes back, between calls."""
        tell = self._stage.narrator.tell
        buying.many(20, at_once=4)
        begun = time.monotonic()
        self._site.stop_runtime()
        tell("operator", "the node goes down …")
        buying.fails_unpaid()
        time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - begun)))  # reporters observe in wall time
        self._site.restart_runtime()
        down = Outage(time.monotonic() - begun, self._round_of_now())
        tell("operator", f"… and answers again after {down.seconds:.1f} s")
        buying.many(20, at_once=4)
        return down

    def end(self, base: Posted, down: Outage) -> Shown:
        """Wait until all of the outage is reported, and enough up-time beside it. Chain time stands still then."""
        end = self._report_since(down.last_round)
        while end.record.up_seconds - base.record.up_seconds < DELIVERY_SECONDS:
            end = self._report_since(end.round + 1)
        self._clock.stop()
        first, second, *_ = self._reporters.urls
        return Shown(base, end, (self._reading(first, base), self._reading(second, end)), down.seconds)

    def _round_of_now(self) -> int:
        """The one whose window holds this moment."""
        return self._schedule.observed_by(int(time.time() * 1000)) + 1

    def _report_since(self, round_number: int) -> Posted:
        """The newest report, once there is one of that round or a later one: a round that found no quorum in time is
        covered by the next."""
        oracle = self._stage.oracle

        def is_there() -> bool:
            latest = oracle.latest_round()
            if latest > self._told:
                self._tell(posted(oracle, latest, self._node))
            return latest >= round_number

        self._until(f"a report of round {round_number}", is_there)
        return posted(oracle, self._told, self._node)

    def _tell(self, report: Posted) -> None:
        before, record = self._last, report.record
        covered = record.covered_seconds - before.covered_seconds
        up = record.up_seconds - before.up_seconds
        self._told, self._last = report.round, record
        if covered:  # the first may begin in the last moment of a window
            by = _role_of(report.transmitter)
            self._stage.narrator.tell(
                "reporters",
                f"round {report.round}, signed by {len(report.signers)}, posted by {by}: covered {covered} s, "
                f"up {up} s, down {covered - up} s, {record.work_units - before.work_units} tokens",
            )

    def _reading(self, url: str, report: Posted) -> Reading:
        """As a reporter serves it to whoever asks."""
        peer, root, found = RecordPeer(url), report.arguments[1], list[Reading]()

        def is_served() -> bool:
            with suppress(Refused):  # it is busy, and asked again
                reading = peer.reading(report.round, self._node, root)
                found.extend([] if reading is None else [reading])
            return bool(found)

        self._until(f"a proof of round {report.round} at {url}", is_served)
        return found[0]

    def _until(self, what: str, holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            self._reporters.require_running()
            if time.monotonic() > deadline:
                raise Refused(
                    f"not within {PATIENCE_SECONDS:.0f} s: {what}; the reporters' logs tell why: {self._stage.folder}"
                )
            time.sleep(0.1)  # processes of their own have no event to wait for


def _role_of(transmitter: str) -> str:
    """Whose gas key that is."""
    known: dict[str, str] = {
        local_account(f"transmitter-{number}").address: f"reporter-{number}" for number in range(REPORTERS)
    }
    return known.get(transmitter, transmitter)

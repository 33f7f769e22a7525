"""Several reporters over the same windows: start, cut a window off whenever one is due, finish."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from wellhead.errors import Misused
from wellhead.oracle.fleet import slot_at
from wellhead.oracle.observation import Window
from wellhead.oracle.sampler import Reporter
from wellhead.oracle.sealed import Revealed, Unsealed

START_TIMEOUT_SECONDS = 10  # a reporter that has not sampled by then starts its window with unknown


@dataclass(frozen=True)
class Seen:
    """A window, and what each reporter saw of it."""

    window: Window
    unsealed: tuple[Unsealed, ...]

    def revealed(self, config_digest: bytes, round_number: int) -> tuple[Revealed, ...]:
        """All of it, for the round that the window is reported as."""
        return tuple(one.seal(config_digest, round_number) for one in self.unsealed)


class Watch:
    """Reporters on one grid. In this form they share a process; each still measures by itself."""

    def __init__(self, reporters: Sequence[Reporter]) -> None:
        """Raises Misused unless there are some and all sample at the same interval."""
        intervals = {reporter.interval_ms for reporter in reporters}
        if len(intervals) != 1:
            raise Misused(f"reporters must share one interval, these have {sorted(intervals)} ms")
        self.reporters = tuple(reporters)
        self.interval_ms = intervals.pop()
        self._first_slot = 0

    def start(self) -> None:
        """Begin to watch: returns once every reporter has sampled, and what they sampled then is the base."""
        begun = slot_at(time.time(), self.interval_ms)
        for reporter in self.reporters:
            reporter.start()
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        for reporter in self.reporters:
            reporter.wait_for(begun, deadline - time.monotonic())
        self._first_slot = slot_at(time.time(), self.interval_ms) + 1

    def cut(self) -> Seen:
        """End the window with the next sample and begin another. Takes up to two intervals.

        Whatever the node did before the call is in it.
        """
        return self._cut_after(max(slot_at(time.time(), self.interval_ms) + 1, self._first_slot))

    def run(self, slots: int) -> Seen:
        """Watch for one window of `slots` samples and end every reporter."""
        self.start()
        try:
            return self._cut_after(self._first_slot + slots - 1)
        finally:
            self.stop()

    def stop(self) -> None:
        """End every reporter; harmless when they have ended."""
        for reporter in self.reporters:
            reporter.stop()

    def _cut_after(self, last: int) -> Seen:
        deadline = (last + 1) * self.interval_ms / 1000
        for reporter in self.reporters:
            reporter.wait_for(last, deadline - time.time())  # one that is late has seen nothing in that slot
        window = Window(self._first_slot, last + 1 - self._first_slot, self.interval_ms)
        self._first_slot = last + 1
        return Seen(window, tuple(reporter.collect(window) for reporter in self.reporters))

"""When rounds are due and which slots of the reporters' clocks they cover: the same for every reporter. Pure.

On a live network a chain second is a second. A local chain may stand anywhere in time, and a demonstration lets every
observed second stand for many: then all its reporters are told the same anchor and factor.
"""

from __future__ import annotations

from dataclasses import dataclass

from wellhead.errors import Misused
from wellhead.oracle.observation import Window
from wellhead.oracle.round import TimeScale

# Farther from the chain's clock than this a reporter cannot tell whose window it measures.
MAX_SKEW_SECONDS = 30


@dataclass(frozen=True)
class Schedule:
    """Rounds of `window_seconds` of chain time from `genesis` on, cut into slots of `scale.interval_ms`."""

    genesis: int
    """Chain time at which round 1's window begins, seconds since the epoch."""
    window_seconds: int
    scale: TimeScale
    anchor_ms: int
    """Wall milliseconds since the epoch that stand for `genesis`."""

    def __post_init__(self) -> None:
        observed_ms = self.scale.factor * self.scale.interval_ms
        if self.window_seconds * 1000 % observed_ms:
            raise Misused(
                f"a window of {self.window_seconds} s is no whole number of slots of {self.scale.interval_ms} ms "
                f"that each stand for {self.scale.seconds_per_slot} s"
            )

    @classmethod
    def live(cls, genesis: int, window_seconds: int, interval_ms: int) -> Schedule:
        """Of a network whose clock is everybody's."""
        return cls(genesis, window_seconds, TimeScale(interval_ms), genesis * 1000)

    @property
    def slots_per_round(self) -> int:
        """Slots of one round's window."""
        return self.window_seconds // self.scale.seconds_per_slot

    def window(self, since: int, round_number: int) -> Window:
        """The slots from the end of round `since` to the end of `round_number`: a report covers all rounds after the
        last one."""
        if not 0 <= since < round_number:
            raise Misused(f"no window leads from round {since} to round {round_number}")
        interval_ms = self.scale.interval_ms
        first = -(-self.anchor_ms // interval_ms) + since * self.slots_per_round
        return Window(first, (round_number - since) * self.slots_per_round, interval_ms)

    def wall_end_ms(self, round_number: int) -> int:
        """Wall milliseconds at which the last slot of `round_number` is over."""
        window = self.window(round_number - 1, round_number)
        return (window.first_slot + window.slots) * window.interval_ms

    def observed_by(self, wall_ms: int) -> int:
        """The last round all of whose slots are over at `wall_ms`; 0 if none is."""
        slots = wall_ms // self.scale.interval_ms + -self.anchor_ms // self.scale.interval_ms
        return max(0, slots // self.slots_per_round)

    def skew_seconds(self, chain_time: int, wall_seconds: float) -> float:
        """Chain seconds by which this machine's clock is ahead of the chain's."""
        return (wall_seconds - self.anchor_ms / 1000) * self.scale.factor - (chain_time - self.genesis)

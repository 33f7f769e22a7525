"""What one reporter saw of one node over a window: what it is, and what it cannot be.

Time is cut into slots on a grid that all reporters share (slot = wall milliseconds / interval), so that
their observations can be compared slot by slot. Unknown is not down, and down must not hide as unknown.
"""

from __future__ import annotations

from dataclasses import dataclass

UP = "U"
DOWN = "D"
UNKNOWN = "?"


@dataclass(frozen=True)
class Counters:
    """Cumulative counters of a node, or what was gained on them. Integers from the edge inwards."""

    tokens: int
    busy_micros: int
    """GPU-seconds busy, in millionths."""
    energy_microjoules: int

    def __add__(self, other: Counters) -> Counters:
        return Counters(
            self.tokens + other.tokens,
            self.busy_micros + other.busy_micros,
            self.energy_microjoules + other.energy_microjoules,
        )


NOTHING = Counters(0, 0, 0)


@dataclass(frozen=True)
class Window:
    """Slots `first_slot` to `first_slot + slots - 1` on the grid of `interval_ms`."""

    first_slot: int
    slots: int
    interval_ms: int


@dataclass(frozen=True)
class Observation:
    """One reporter's account of one node over one window."""

    reporter: str
    node: int
    window: Window
    states: str
    """One letter per slot: U up, D down, ? this reporter was not able to measure."""
    gained: Counters

    @property
    def live_slots(self) -> int:
        """Slots in which this reporter was able to measure."""
        return len(self.states) - self.states.count(UNKNOWN)

    @property
    def up_slots(self) -> int:
        """Slots in which it found the node serving."""
        return self.states.count(UP)


def joined(earlier: Observation, later: Observation) -> Observation:
    """One account out of two by the same reporter, of which the later begins where the earlier ends."""
    window = Window(
        earlier.window.first_slot, earlier.window.slots + later.window.slots, later.window.interval_ms
    )
    gained = earlier.gained + later.gained
    return Observation(later.reporter, later.node, window, earlier.states + later.states, gained)


def fault_of(observation: Observation, reporter: str, node: int, window: Window) -> str:
    """Why `observation` cannot be what `reporter` saw of `node` over `window`; empty when it can."""
    if (observation.reporter, observation.node) != (reporter, node):
        return f"gives for node {node} what {observation.reporter} saw of node {observation.node}"
    if observation.window != window:
        return f"observed {observation.window}, not {window}"
    if len(observation.states) != window.slots or set(observation.states) - {UP, DOWN, UNKNOWN}:
        return f"gives states {observation.states[:80]!r} for {window.slots} samples"
    gained = observation.gained
    if min(gained.tokens, gained.busy_micros, gained.energy_microjoules) < 0:
        return f"claims a negative gain: {gained}"
    return ""

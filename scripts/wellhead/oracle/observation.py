"""What one reporter saw of one node over a window: pure rules from samples to an observation.

Time is cut into slots on a grid that all reporters share (slot = wall milliseconds / interval), so that
their observations can be compared slot by slot. Unknown is not down, and down must not hide as unknown.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
class Sample:
    """One reporter's look at one node in one slot; `counters` if its exporter answered."""

    slot: int
    state: str
    counters: Counters | None


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


def state_of(*, node_answered: bool, exporter_answered: bool, reached_another: bool) -> str:
    """The state of a slot. `reached_another`: the canary or another node answered this reporter.

    A node that answers proves by itself that the reporter could measure. A node of which either half is
    silent is down, provided that the reporter shows otherwise that its own line was up.
    """
    if node_answered and exporter_answered:
        return UP
    return DOWN if reached_another or node_answered or exporter_answered else UNKNOWN


def gained_between(earlier: Counters, later: Counters) -> Counters:
    """The increase from one scrape to the next; after a restart what the new counters show, as Prometheus does.

    Any counter that fell tells of a restart, and all of them restarted with it. What a node served between
    the last scrape before its end and the end is lost: never counted twice, never negative.
    """
    if (
        later.tokens < earlier.tokens
        or later.busy_micros < earlier.busy_micros
        or later.energy_microjoules < earlier.energy_microjoules
    ):
        return later
    return Counters(
        later.tokens - earlier.tokens,
        later.busy_micros - earlier.busy_micros,
        later.energy_microjoules - earlier.energy_microjoules,
    )


def total_gain(base: Counters | None, scrapes: Iterable[Counters]) -> Counters:
    """All that was gained from `base` over `scrapes` in order. Without a base the first scrape is one."""
    total, previous = NOTHING, base
    for current in scrapes:
        if previous is not None:
            total += gained_between(previous, current)
        previous = current
    return total


def observe(
    reporter: str, node: int, window: Window, base: Counters | None, samples: Sequence[Sample]
) -> Observation:
    """The observation over `window` out of `samples` in order of time.

    A slot without a sample is unknown. `base` is the last scrape before the window, so that what is served
    between the last scrape of one window and the first of the next is counted, once.
    """
    inside = [sample for sample in samples if 0 <= sample.slot - window.first_slot < window.slots]
    by_slot = {sample.slot: sample.state for sample in inside}
    states = "".join(
        by_slot.get(slot, UNKNOWN) for slot in range(window.first_slot, window.first_slot + window.slots)
    )
    scrapes = [sample.counters for sample in inside if sample.counters is not None]
    return Observation(reporter, node, window, states, total_gain(base, scrapes))


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

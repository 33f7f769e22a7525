"""What the reporters saw together: medians that up to f liars cannot move beyond what honest ones saw. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from wellhead.errors import Refused
from wellhead.oracle.observation import (
    DOWN,
    NOTHING,
    UNKNOWN,
    UP,
    Counters,
    Observation,
    Window,
    fault_of,
)


@dataclass(frozen=True)
class Aggregate:
    """One node over one window, as the quorum has it."""

    node: int
    window: Window
    states: str
    """One letter per slot: U up, D down, ? fewer than k reporters were able to measure."""
    gained: Counters
    observers: int
    """Observations that the medians are over."""

    @property
    def covered_slots(self) -> int:
        """Slots in which at least k reporters were able to measure."""
        return len(self.states) - self.states.count(UNKNOWN)

    @property
    def up_slots(self) -> int:
        """Covered slots in which most of those reporters found the node serving."""
        return self.states.count(UP)


def quorum_of(faulty: int) -> int:
    """k: with this many observations a majority is honest even if `faulty` of them lie."""
    if faulty < 1:
        raise ValueError(f"faulty is {faulty}; a quorum must bear at least one liar")
    return 2 * faulty + 1


def aggregate(observations: Sequence[Observation], faulty: int) -> Aggregate:
    """One account out of many, for one node and window.

    Raises Refused: fewer than k = 2f + 1 observations, two by one reporter, or not of the same thing.
    """
    k = quorum_of(faulty)
    _require_comparable(observations, k)
    first = observations[0]
    states = "".join(
        _slot_state([observation.states[slot] for observation in observations], k)
        for slot in range(first.window.slots)
    )
    # Whoever could not measure at all saw no zero; it saw nothing.
    able = [observation.gained for observation in observations if observation.live_slots]
    return Aggregate(first.node, first.window, states, _medians(able, k), len(able))


def lower_median(values: Sequence[int]) -> int:
    """The middle value, of two middle ones the smaller: what the node did is counted down, never up.

    Among n >= 2f + 1 values at least f lie on either side, so f liars cannot move it past every honest value.
    """
    return sorted(values)[(len(values) - 1) // 2]


def _slot_state(states: Sequence[str], k: int) -> str:
    live = [state for state in states if state != UNKNOWN]
    if len(live) < k:
        return UNKNOWN
    return UP if 2 * live.count(UP) > len(live) else DOWN


def _medians(gains: Sequence[Counters], k: int) -> Counters:
    if len(gains) < k:
        return NOTHING
    return Counters(
        lower_median([gain.tokens for gain in gains]),
        lower_median([gain.busy_micros for gain in gains]),
        lower_median([gain.energy_microjoules for gain in gains]),
    )


def _require_comparable(observations: Sequence[Observation], k: int) -> None:
    if len(observations) < k:
        raise Refused(f"{len(observations)} observations; the quorum needs {k}")
    first = observations[0]
    seen: set[str] = set()
    for observation in observations:
        fault = fault_of(observation, observation.reporter, first.node, first.window)
        if fault:
            raise Refused(f"{observation.reporter} {fault}")
        if observation.reporter in seen:
            raise Refused(f"{observation.reporter} gives two observations")
        seen.add(observation.reporter)

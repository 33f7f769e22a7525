"""Energy in whole watt-hours: nothing is lost between windows, and nothing counted twice."""

from __future__ import annotations

import random

from wellhead.oracle.energy import whole_watt_hours
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.round import MICROJOULES_PER_WH

WINDOW = Window(0, 1, 1_000)


def seen(node: int, microjoules: int) -> dict[int, Observation]:
    return {node: Observation("0x", node, WINDOW, "U", Counters(5, 6, microjoules))}


def test_what_is_below_a_watt_hour_comes_with_a_later_window() -> None:
    rng = random.Random(3)
    carried: dict[int, int] = {}
    given = told = 0
    for _ in range(500):
        gained = rng.randrange(0, 3 * MICROJOULES_PER_WH)
        whole = whole_watt_hours(seen(7, gained), carried)
        carried = whole.remainders
        given += gained
        told += whole.observations[7].gained.energy_microjoules
        assert told % MICROJOULES_PER_WH == 0
        assert 0 <= given - told == carried[7] < MICROJOULES_PER_WH


def test_a_node_that_is_not_observed_keeps_its_remainder() -> None:
    whole = whole_watt_hours(seen(8, 1), {7: 42})
    assert whole.remainders == {7: 42, 8: 1}
    assert whole.observations[8].gained == Counters(5, 6, 0)

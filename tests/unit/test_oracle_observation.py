"""What one reporter's observation cannot be."""

from __future__ import annotations

import dataclasses

import pytest

from wellhead.oracle.observation import NOTHING, Counters, Observation, Window, fault_of

WINDOW = Window(first_slot=100, slots=5, interval_ms=1000)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"reporter": "other"}, "what other saw"),
        ({"node": 8}, "saw of node 8"),
        ({"window": Window(101, 5, 1000)}, "not Window(first_slot=100"),
        ({"states": "UUUU"}, "for 5 samples"),
        ({"states": "UUUUX"}, "for 5 samples"),
        ({"gained": Counters(0, -1, 0)}, "negative gain"),
    ],
)
def test_an_impossible_observation_is_found(change: dict[str, object], said: str) -> None:
    good = Observation("reporter", 7, WINDOW, "UUUUU", NOTHING)
    assert fault_of(good, "reporter", 7, WINDOW) == ""
    assert said in fault_of(dataclasses.replace(good, **change), "reporter", 7, WINDOW)  # type: ignore[arg-type]

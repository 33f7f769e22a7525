"""From samples to one reporter's observation, by cases computed by hand."""

from __future__ import annotations

import dataclasses

import pytest

from wellhead.oracle.observation import (
    DOWN,
    NOTHING,
    UNKNOWN,
    UP,
    Counters,
    Observation,
    Sample,
    Window,
    fault_of,
    gained_between,
    observe,
    state_of,
    total_gain,
)

WINDOW = Window(first_slot=100, slots=5, interval_ms=1000)


def at(tokens: int, busy_seconds: int = 0, joules: int = 0) -> Counters:
    return Counters(tokens, busy_seconds * 1_000_000, joules * 1_000_000)


@pytest.mark.parametrize(
    ("node", "exporter", "another", "state"),
    [
        (True, True, True, UP),
        (True, True, False, UP),  # who reaches the node can measure, whatever the canary does
        (True, False, True, DOWN),  # killing one's own exporter saves nothing
        (False, True, True, DOWN),
        (True, False, False, DOWN),
        (False, True, False, DOWN),
        (False, False, True, DOWN),  # node and exporter both dead: down, not unknown
        (False, False, False, UNKNOWN),  # a reporter that reaches nothing knows nothing
    ],
)
def test_unknown_is_not_down_and_down_is_not_unknown(
    node: bool, exporter: bool, another: bool, state: str
) -> None:
    assert state_of(node_answered=node, exporter_answered=exporter, reached_another=another) == state


def test_the_increase_is_the_difference() -> None:
    assert gained_between(at(100, 7, 50), at(130, 9, 55)) == at(30, 2, 5)


def test_after_a_restart_the_increase_is_what_the_new_counters_show() -> None:
    assert gained_between(at(100, 7, 50), at(12, 1, 3)) == at(12, 1, 3)


def test_one_counter_that_fell_means_that_all_restarted() -> None:
    # Energy alone betrays the restart: the new process has served more tokens already than the old one had.
    assert gained_between(at(10, 1, 500), at(40, 2, 6)) == at(40, 2, 6)


def test_a_reset_counts_neither_twice_nor_negative() -> None:
    # 100 -> 130 (+30), killed at 150 unseen (20 lost), restarted: 5 (+5), 25 (+20).
    assert total_gain(at(100), [at(130), at(5), at(25)]) == at(55)


def test_without_a_base_the_first_scrape_is_one() -> None:
    assert total_gain(None, [at(1_000_000), at(1_000_003)]) == at(3)
    assert total_gain(None, [at(1_000_000)]) == NOTHING
    assert total_gain(None, []) == NOTHING


def test_an_observation_slot_by_slot() -> None:
    samples = [
        Sample(99, UP, at(50)),  # before the window: the base
        Sample(100, UP, at(60)),
        Sample(101, DOWN, None),
        # 102 was missed altogether
        Sample(103, DOWN, at(4)),  # the exporter is back after a restart, the node does not serve yet
        Sample(104, UP, at(9)),
        Sample(105, UP, at(1_000)),  # after the window
    ]
    seen = observe("reporter", 7, WINDOW, at(50), samples)
    assert seen.states == "UD?DU"
    assert (seen.live_slots, seen.up_slots) == (4, 2)
    assert seen.gained == at(10 + 4 + 5)


def test_what_is_served_in_a_gap_between_scrapes_is_counted_once() -> None:
    samples = [Sample(100, UP, at(10)), Sample(101, UNKNOWN, None), Sample(104, UP, at(90))]
    first = observe("reporter", 7, Window(100, 2, 1000), None, samples)
    second = observe("reporter", 7, Window(102, 3, 1000), at(10), samples)
    assert (first.gained, second.gained) == (at(0), at(80))
    assert (first.states, second.states) == ("U?", "??U")


def test_a_silent_line_gives_unknown_and_no_gain() -> None:
    samples = [Sample(slot, UNKNOWN, None) for slot in range(100, 105)]
    seen = observe("reporter", 7, WINDOW, at(50), samples)
    assert (seen.states, seen.live_slots, seen.gained) == ("?????", 0, NOTHING)


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

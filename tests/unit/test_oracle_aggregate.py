"""Medians and slots over several reporters: liars move nothing past the honest, silence covers nothing up."""

from __future__ import annotations

import dataclasses
import random
from itertools import product

import pytest

from wellhead.errors import Refused
from wellhead.oracle.aggregate import aggregate, lower_median, quorum_of
from wellhead.oracle.observation import NOTHING, Counters, Observation, Window

F = 1


def seen(reporter: int, states: str, tokens: int = 0, busy: int = 0, energy: int = 0) -> Observation:
    window = Window(100, len(states), 1000)
    return Observation(f"reporter-{reporter}", 7, window, states, Counters(tokens, busy, energy))


def test_the_quorum_bears_its_liars() -> None:
    assert [quorum_of(faulty) for faulty in (1, 2, 3)] == [3, 5, 7]
    with pytest.raises(ValueError, match="at least one liar"):
        quorum_of(0)


def test_slots_by_hand() -> None:
    together = aggregate(
        [
            seen(0, "UUUDD?UU"),
            seen(1, "UUUDD?U?"),
            seen(2, "UUDDU?UD"),
            seen(3, "UU?D???D"),
            seen(4, "U??D???U"),
        ],
        F,
    )
    # 0, 1 all or most up; 2: 2 of 3 up; 3 all down; 4: 1 of 3 up; 5 nobody; 6: 3 of 3 up; 7: 2 of 4, no majority.
    assert together.states == "UUUDD?UD"
    assert (together.covered_slots, together.up_slots) == (7, 4)


def test_fewer_than_k_live_reporters_make_a_slot_unknown_whatever_they_saw() -> None:
    assert aggregate([seen(0, "UD"), seen(1, "UD"), seen(2, "??")], F).states == "??"
    assert aggregate([seen(0, "UD"), seen(1, "UD"), seen(2, "UD")], F).states == "UD"


def test_medians_by_hand() -> None:
    together = aggregate(
        [seen(0, "U", 10, 100, 7), seen(1, "U", 12, 90, 9), seen(2, "U", 11, 95, 8), seen(3, "U", 14, 99, 1)],
        F,
    )
    # Four values: of the two middle ones the smaller.
    assert together.gained == Counters(tokens=11, busy_micros=95, energy_microjoules=7)
    assert together.observers == 4


def test_who_could_not_measure_saw_nothing_rather_than_zero() -> None:
    blind = [seen(3, "??"), seen(4, "??")]
    together = aggregate([seen(0, "UU", 50), seen(1, "UU", 50), seen(2, "UU", 51), *blind], F)
    assert (together.gained.tokens, together.observers) == (50, 3)
    too_few = aggregate([seen(0, "UU", 50), seen(1, "UU", 50), *blind], F)
    assert (too_few.gained, too_few.states) == (NOTHING, "??")


def test_liars_move_the_median_no_further_than_honest_values() -> None:
    seed = 20_251
    print(f"seed {seed}")
    rng = random.Random(seed)
    for faulty, silent in product((1, 2, 3), (0, 1)):
        for _ in range(200):
            honest = [rng.randrange(1_000, 2_000) for _ in range(2 * faulty + 1 - silent)]
            lies = [rng.choice((0, 1, 1_500, 10**18)) for _ in range(faulty)]
            values = honest + lies
            assert len(values) >= quorum_of(faulty)
            rng.shuffle(values)
            assert min(honest) <= lower_median(values) <= max(honest)


def test_a_liar_cannot_turn_a_slot_against_the_honest() -> None:
    for lie in "UD?":
        honest = [seen(number, "UD") for number in range(3)]
        assert aggregate([*honest, seen(3, lie + lie)], F).states == "UD"


def test_it_needs_k_observations_of_one_thing_each_by_its_own_reporter() -> None:
    three = [seen(number, "UU") for number in range(3)]
    with pytest.raises(Refused, match="2 observations; the quorum needs 3"):
        aggregate(three[:2], F)
    with pytest.raises(Refused, match="reporter-0 gives two"):
        aggregate([*three, seen(0, "UU")], F)
    with pytest.raises(Refused, match="reporter-3 observed"):
        aggregate([*three, seen(3, "UUU")], F)
    with pytest.raises(Refused, match="negative"):
        aggregate([*three, dataclasses.replace(seen(3, "UU"), gained=Counters(-1, 0, 0))], F)

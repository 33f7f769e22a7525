"""Figures that cannot go together are flagged, wide of any that can."""

from __future__ import annotations

from dataclasses import replace

import pytest

from wellhead.oracle.observation import Counters
from wellhead.oracle.plausibility import MICROJOULES_PER_WH, MILLIONTHS, Bounds, Work, flags, income_flags

EVERYTHING = frozenset({"tokens", "busy time", "energy"})
HOUR = 3_600
# Eight GPUs at 500 W, half busy, ten million tokens in an hour.
GOOD = Work(Counters(10_000_000, 4 * HOUR * MILLIONTHS, 4_000 * MICROJOULES_PER_WH), 8, HOUR, EVERYTHING)


def changed(**gained: int) -> Work:
    return replace(GOOD, gained=replace(GOOD.gained, **gained))


def test_a_node_at_work_is_plausible() -> None:
    assert flags(GOOD) == ()


def test_an_idle_node_is_plausible() -> None:
    assert flags(changed(tokens=0, busy_micros=0)) == ()
    assert flags(changed(tokens=0)) == ()  # busy without tokens: somebody leases it


@pytest.mark.parametrize(
    ("work", "said"),
    [
        (changed(busy_micros=0), "10000000 tokens in 0.000000 busy GPU-seconds"),
        (changed(busy_micros=1_999_999), "at most 5000000 a second"),
        (changed(busy_micros=8 * HOUR * MILLIONTHS + 1), "8 GPU for 3600 s give less"),
        (changed(energy_microjoules=0), "10000000 tokens for 0 microjoules"),
        (changed(energy_microjoules=49_999_999), "at least 5 microjoules each"),
        (changed(energy_microjoules=40_001 * MICROJOULES_PER_WH), "at most 5000 W per GPU"),
        (changed(tokens=60_000, energy_microjoules=60_001 * MICROJOULES_PER_WH), "at most one each"),
    ],
)
def test_what_cannot_be_is_flagged(work: Work, said: str) -> None:
    found = flags(work)
    assert any(said in flag for flag in found), found
    assert all(flag.startswith("implausible: ") for flag in found)


@pytest.mark.parametrize("work", [changed(busy_micros=2_000_000), changed(energy_microjoules=50_000_000)])
def test_the_bounds_themselves_are_allowed(work: Work) -> None:
    assert flags(work) == ()


def test_a_node_that_idles_for_long_may_draw_much_for_each_token() -> None:
    idle = changed(tokens=60_000, busy_micros=MILLIONTHS, energy_microjoules=60_001 * MICROJOULES_PER_WH)
    assert flags(replace(idle, seconds=2 * HOUR)) == ()


def test_what_nobody_measures_is_not_missed() -> None:
    assert flags(replace(changed(busy_micros=0, energy_microjoules=0), measured=frozenset({"tokens"}))) == ()


def test_a_few_tokens_may_fall_between_two_looks() -> None:
    few = changed(tokens=Bounds().tokens_worth_judging - 1, busy_micros=0, energy_microjoules=0)
    assert flags(few) == ()


def test_income_without_work_is_flagged() -> None:
    thousand_usd6 = 1_000 * MILLIONTHS
    assert income_flags(thousand_usd6, 100_000) == ()  # $10,000 a million is just allowed
    (flag,) = income_flags(thousand_usd6, 99_999)
    assert flag == "implausible: $1,000.00 settled for 99999 tokens served, at most $10,000.00 a million"
    assert income_flags(100 * MILLIONTHS, 0) != ()
    assert income_flags(100 * MILLIONTHS - 1, 0) == ()  # perhaps settled before the work's round

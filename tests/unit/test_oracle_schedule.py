"""Which slots a round covers: every reporter derives the same ones, and rounds neither overlap nor leave a gap."""

from __future__ import annotations

import random

import pytest

from wellhead.errors import Misused
from wellhead.oracle.round import TimeScale
from wellhead.oracle.schedule import Schedule

GENESIS = 1_700_000_003
HOUR = 3_600


def test_on_a_live_network_a_window_is_its_own_seconds() -> None:
    schedule = Schedule.live(GENESIS, HOUR, 10_000)
    window = schedule.window(0, 1)
    assert window.slots == 360
    # The first whole slot: genesis lies within a slot of the grid that all machines share.
    assert window.first_slot * 10 == 1_700_000_010
    assert schedule.wall_end_ms(1) == (1_700_000_010 + HOUR) * 1000


def test_rounds_follow_on_each_other_and_a_report_covers_what_was_left_out() -> None:
    schedule = Schedule.live(GENESIS, HOUR, 30_000)
    for since in range(5):
        for until in range(since + 1, since + 5):
            window = schedule.window(since, until)
            assert window.slots == (until - since) * schedule.slots_per_round
            assert schedule.window(until, until + 1).first_slot == window.first_slot + window.slots


def test_a_round_is_observed_once_its_last_slot_is_over() -> None:
    rng = random.Random(7)
    for _ in range(300):
        interval_ms = rng.choice([100, 250, 1_000, 30_000])
        factor = rng.choice([1, 4, 1_200])
        if interval_ms * factor % 1000 or HOUR * 1000 % (interval_ms * factor):
            continue
        anchor_ms = rng.randrange(1_600_000_000_000, 1_800_000_000_000)
        schedule = Schedule(GENESIS, HOUR, TimeScale(interval_ms, factor), anchor_ms)
        round_number = rng.randrange(1, 1_000)
        end = schedule.wall_end_ms(round_number)
        assert schedule.observed_by(end - 1) == round_number - 1
        assert schedule.observed_by(end) == round_number


def test_before_genesis_nothing_is_observed() -> None:
    schedule = Schedule.live(GENESIS, HOUR, 1_000)
    assert schedule.observed_by(0) == 0
    assert schedule.observed_by(GENESIS * 1000) == 0


def test_slots_that_do_not_fill_a_window_are_refused() -> None:
    with pytest.raises(Misused, match="no whole number of slots"):
        Schedule.live(GENESIS, HOUR, 7_000)


@pytest.mark.parametrize(("since", "until"), [(1, 1), (2, 1), (-1, 1)])
def test_a_window_leads_forward(since: int, until: int) -> None:
    with pytest.raises(Misused):
        Schedule.live(GENESIS, HOUR, 1_000).window(since, until)


def test_skew_is_against_the_chain() -> None:
    schedule = Schedule.live(GENESIS, HOUR, 1_000)
    assert schedule.skew_seconds(GENESIS + 500, GENESIS + 502.5) == 2.5

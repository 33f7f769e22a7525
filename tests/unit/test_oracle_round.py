"""From a window's gain to the next absolute record: chain time, clamps, and what is never scaled."""

from __future__ import annotations

import pytest

from wellhead.errors import Misused, Refused
from wellhead.oracle.aggregate import Aggregate
from wellhead.oracle.observation import Counters, Window
from wellhead.oracle.round import TimeScale, first_record, next_record, next_records
from wellhead.reference.record import NodeRecord, difference

START = 1_700_000_000
LIVE = TimeScale(interval_ms=1000)


def gained(
    states: str, tokens: int = 0, busy_micros: int = 0, energy: int = 0, interval_ms: int = 1000
) -> Aggregate:
    window = Window(100, len(states), interval_ms)
    return Aggregate(7, window, states, Counters(tokens, busy_micros, energy), 5)


def test_a_first_record_by_hand() -> None:
    step = next_record(
        first_record(START, 2), gained("UUUDD?", 40, 4_900_000, 3_600_000_001), START + 60, LIVE
    )
    assert step.record == NodeRecord(START + 60, 5, 3, 4, 1, 40, 2)
    assert step.energy_left_microjoules == 1
    assert step.notes == ()


def test_counters_are_absolute() -> None:
    before = NodeRecord(START, 1_000, 900, 800, 70, 60_000, 1)
    after = next_record(before, gained("UD?", 5, 600_000), START + 10, LIVE).record
    assert after == NodeRecord(START + 10, 1_002, 901, 800, 70, 60_005, 1)


def test_the_factor_scales_time_alone() -> None:
    scale = TimeScale(interval_ms=500, factor=120)
    assert scale.seconds_per_slot == 60
    step = next_record(
        first_record(START, 1), gained("UUUD", 321, 1_250_000, 7_200_000_000, 500), START + 3600, scale
    )
    # 4 samples cover 240 s, 3 are up for 180 s, 1.25 s busy stand for 150 s; tokens and energy as they were.
    assert step.record == NodeRecord(START + 3600, 240, 180, 150, 2, 321, 1)
    assert (
        str(scale) == "one observed second stands for 120 chain seconds (a sample every 500 ms, each for 60)"
    )


def test_busy_is_cut_to_what_the_gpus_can_have_done_while_up() -> None:
    step = next_record(first_record(START, 2), gained("UUD", busy_micros=9_000_000), START + 60, LIVE)
    assert step.record.busy_gpu_seconds == 4
    assert step.notes == ("node 7: 9 GPU-seconds busy, but 2 GPU up for 2 s give 4",)


def test_seconds_beyond_the_window_are_cut_and_down_ones_stay() -> None:
    # 6 s observed in 4: the two down seconds stay down, up gives way.
    step = next_record(first_record(START, 1), gained("UUUUDD"), START + 4, LIVE)
    assert (step.record.covered_seconds, step.record.up_seconds) == (4, 2)
    assert "6 s observed in a window of 4 s" in step.notes[0]
    all_down = next_record(first_record(START, 1), gained("UDDDDD"), START + 4, LIVE).record
    assert (all_down.covered_seconds, all_down.up_seconds) == (4, 0)


def test_unknown_seconds_are_not_covered() -> None:
    record = next_record(first_record(START, 1), gained("??????"), START + 60, LIVE).record
    assert record == NodeRecord(START + 60, 0, 0, 0, 0, 0, 1)


def test_energy_below_a_watt_hour_is_carried_not_lost() -> None:
    record, carried = first_record(START, 1), 0
    for number in range(1, 11):  # ten windows of 0.25 Wh
        step = next_record(record, gained("U", energy=900_000_000), START + number, LIVE, carried)
        record, carried = step.record, step.energy_left_microjoules
    assert (record.energy_wh, carried) == (2, 1_800_000_000)


def test_every_record_can_follow_by_the_contracts_rules() -> None:
    before = first_record(START, 1)
    extremes = gained("U" * 50, 10**15, 10**15, 10**15)
    difference(before, next_record(before, extremes, START + 10, LIVE).record)


def test_a_window_must_end_later() -> None:
    with pytest.raises(Refused, match=f"up to {START} cannot follow"):
        next_record(first_record(START, 1), gained("U"), START, LIVE)


def test_a_scale_for_another_interval_is_refused() -> None:
    with pytest.raises(Misused, match="sampled every 500 ms, scaled for 1000 ms"):
        next_record(first_record(START, 1), gained("U", interval_ms=500), START + 1, LIVE)


@pytest.mark.parametrize(("interval_ms", "factor"), [(250, 3), (1, 1), (1000, 0), (0, 1)])
def test_a_scale_must_give_whole_seconds(interval_ms: int, factor: int) -> None:
    with pytest.raises(Misused):
        TimeScale(interval_ms, factor)


def test_a_node_without_a_previous_record_is_named() -> None:
    with pytest.raises(Refused, match=r"nodes \[7\] have no previous record"):
        next_records({}, {7: gained("U")}, START + 1, LIVE, {})

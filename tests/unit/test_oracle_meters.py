"""From scrapes to what was gained, series by series, by cases computed by hand."""

from __future__ import annotations

import random
from decimal import Decimal

import pytest

from wellhead.oracle.observation import Counters, Window
from wellhead.oracle.sources.meters import (
    DCGM,
    DCGM_CONSUMER,
    RUNTIME,
    VLLM,
    Account,
    Kind,
    Meter,
    Series,
    account,
    increase,
)

WINDOW = Window(first_slot=1_000, slots=6, interval_ms=10_000)
TOKENS = RUNTIME.tokens[0].name
ENERGY = DCGM.energy[0].name
BUSY = DCGM.busy_gauges[0].name
PROMPT, GENERATED = (meter.name for meter in VLLM.tokens)
XID = DCGM.last_errors[0]


def series(*values: float | str | None, first: int = 0, **labels: str) -> Series:
    """A scrape per slot of the window, from its `first`-th; None where there was none."""
    times = ((WINDOW.first_slot + first + slot) * WINDOW.interval_ms + 1_234 for slot in range(len(values)))
    pairs = zip(times, values, strict=True)
    return Series(labels, [(time, Decimal(str(value))) for time, value in pairs if value is not None])


def of(kind: Kind, **found: list[Series]) -> Account:
    names = {"tokens": TOKENS, "energy": ENERGY, "busy": BUSY, "prompt": PROMPT, "xid": XID}
    return account(kind, {names.get(name, name): some for name, some in found.items()}, WINDOW)


def test_the_increase_is_the_difference() -> None:
    assert of(RUNTIME, tokens=[series(50, 60, 110)]) == Account(Counters(60, 0, 0), frozenset(), ())


def test_a_counter_that_began_anew_is_counted_from_nothing_and_by_itself() -> None:
    """One of two GPUs restarts: the other's total is no restart, and is not counted again."""
    gpus = [series(10**9, 10**9 + 7, UUID="a"), series(500, 3, 8, UUID="b")]
    assert of(DCGM, energy=gpus).gained.energy_microjoules == (7 + 3 + 5) * 1_000


def test_any_number_of_restarts_is_neither_counted_twice_nor_negative() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    for _ in range(200):
        engines, expected = [], 0
        for engine in range(rng.randint(1, 8)):
            value = rng.randint(0, 1_000)
            values = [value]
            for _ in range(6):
                if rng.random() < 0.3 and value > 1:
                    value = rng.randint(0, value - 1)
                    expected += value
                else:
                    more = rng.randint(0, 1_000)
                    value, expected = value + more, expected + more
                values.append(value)
            engines.append(series(*values, first=-1, engine=str(engine)))
        assert of(VLLM, prompt=engines).gained.tokens == expected


def test_what_was_seen_before_the_window_is_a_base_and_no_gain() -> None:
    assert of(RUNTIME, tokens=[series(5, None, 70, None, 75, 80, first=-4)]).gained.tokens == 10
    assert of(RUNTIME, tokens=[series(5, 70, first=-4)]).gained.tokens == 0


def test_nothing_of_what_came_after_the_window_counts() -> None:
    assert of(RUNTIME, tokens=[series(*range(0, 100, 10))]).gained.tokens == 50


def test_busy_time_is_not_averaged_over_what_is_left() -> None:
    """Two GPUs; the exporter dies after two slots at full use."""
    gained = of(DCGM, busy=[series(1, 1, UUID="a"), series("0.5", "0.25", UUID="b")]).gained
    assert gained.busy_micros == (10 + 10 + 5 + 2.5) * 1_000_000


def test_a_gpu_without_profiling_says_how_busy_it_is_in_percent() -> None:
    found = {DCGM_CONSUMER.busy_gauges[0].name: [series(50, 100, 0)]}
    assert account(DCGM_CONSUMER, found, WINDOW).gained.busy_micros == 15_000_000


def test_a_series_that_comes_twice_counts_once_and_is_noted() -> None:
    """Two jobs that scrape the same exporter."""
    late = Series(
        {"UUID": "a", "job": "copy"}, [(at + 3_000, value - 1) for at, value in series(1, 5, 9).scrapes]
    )
    twice = [series(1, 5, 9, 9, UUID="a", job="gpu"), late]
    found = of(DCGM, energy=twice)
    assert found.gained.energy_microjoules == 8_000
    (fault,) = found.faults
    assert f"{ENERGY} of ('a', '') comes more than once" in fault


def test_a_gpu_whose_other_labels_change_stays_one_counter() -> None:
    """DCGM names the pod that has the GPU; it changes, and the energy in between is not lost."""
    pods = [series(100, 110, UUID="a", pod="x"), series(130, 135, first=2, UUID="a", pod="y")]
    found = of(DCGM, energy=pods)
    assert (found.gained.energy_microjoules, found.faults) == (35_000, ())


def test_parts_of_a_divided_gpu_are_told_apart() -> None:
    parts = [series(1, 2, UUID="a", GPU_I_ID="1"), series(1, 4, UUID="a", GPU_I_ID="2")]
    assert of(DCGM, energy=parts).gained.energy_microjoules == 4_000


@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1", "1e300"])
def test_what_cannot_be_is_as_good_as_no_answer(value: str) -> None:
    found = of(RUNTIME, tokens=[series(10, value, 30)])
    assert found.gained.tokens == 20
    assert found.bad_slots == {WINDOW.first_slot + 1}
    assert f"{TOKENS} is" in found.faults[0]


@pytest.mark.parametrize("value", ["1.01", "-0.1", "NaN"])
def test_a_ratio_above_one_is_none(value: str) -> None:
    found = of(DCGM, busy=[series(1, value, UUID="a")])
    assert (found.gained.busy_micros, found.bad_slots) == (10_000_000, {WINDOW.first_slot + 1})


def test_units_become_integers_of_ours_rounded_down() -> None:
    assert of(DCGM, energy=[series("1000", "1500.0004")]).gained.energy_microjoules == 500_000
    joules = RUNTIME.energy[0].name
    assert of(RUNTIME, **{joules: [series("1.5", "2.2500009")]}).gained.energy_microjoules == 750_000


def test_an_xid_is_noted_when_it_comes_and_not_for_as_long_as_it_shows() -> None:
    def noted(*values: int, first: int = 0) -> int:
        return len(of(DCGM, xid=[series(*values, first=first, UUID="a")]).faults)

    assert noted(0, 0, 79, 79, 79) == 1
    assert noted(79, 79, 79, first=-1) == 0  # of an earlier window
    assert noted(79, 79) == 1  # there when first looked at
    assert noted(0, 79, 43, 43) == 2
    assert "is 79 of ('a', '')" in of(DCGM, xid=[series(79, UUID="a")]).faults[0]


def test_increase() -> None:
    assert increase([]) == increase([5]) == 0
    assert increase([5, 7, 7, 2, 3]) == 2 + 0 + 2 + 1


def test_every_kind_names_what_it_needs() -> None:
    assert VLLM.needed == (PROMPT, GENERATED)
    assert DCGM.names == (ENERGY, BUSY, XID)
    assert RUNTIME.quantities == {"tokens", "busy time", "energy"}
    assert Kind("one", tokens=(Meter("x", 1),)).quantities == {"tokens"}

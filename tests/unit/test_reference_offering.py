"""The twin of the sale: rounding, conservation, and that no node both delivered and missed."""

from __future__ import annotations

import random

import pytest

from wellhead.reference.offering import (
    DeliveryRule,
    RefusedError,
    Sale,
    State,
    cost_up,
    refund_down,
    retained_down,
    upfront_down,
    window_end_up,
    zero_record,
)
from wellhead.reference.record import NodeRecord

SEEDS = range(1_000, 1_040)
WINDOW = 600
GENESIS = 1_700_000_000


def test_costs_round_up() -> None:
    assert cost_up(1, 1) == 1
    assert cost_up(10**6, 12_345_678) == 12_345_678
    assert cost_up(10**6 + 1, 12_345_678) == 12_345_678 + 13
    assert cost_up(0, 12_345_678) == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_splitting_a_purchase_never_pays(seed: int) -> None:
    source = random.Random(seed)
    price, parts = source.randrange(1, 10**9), [source.randrange(1, 10**9) for _ in range(5)]
    whole = cost_up(sum(parts), price)
    assert whole <= sum(cost_up(part, price) for part in parts) < whole + len(parts)


def test_parts_round_down() -> None:
    assert upfront_down(9_999, 1) == 0
    assert upfront_down(10_001, 5_000) == 5_000
    assert retained_down(250, 333, 1_000) == 83
    assert refund_down(10, 1, 3) == 3


@pytest.mark.parametrize("seed", SEEDS)
def test_every_share_burned_empties_the_sale(seed: int) -> None:
    source = random.Random(seed)
    sale = Sale(source.randrange(1, 10**12), 10**6, 2**40, source.randrange(2**40), source.randrange(5_001))
    holdings = [10**6]
    sale, _ = sale.buy(10**6)
    for _ in range(source.randrange(1, 12)):
        units = source.choice([1, source.randrange(1, 2**30)])
        sale, _ = sale.buy(units)
        holdings.append(units)
    sale, _ = sale.close()
    assert sale.state == State.DELIVERING
    sale = sale.fail()
    source.shuffle(holdings)
    for units in holdings:
        due = sale.refundable_usd6 * units
        supply = sale.outstanding_units
        sale, paid = sale.refund(units)
        assert paid * supply <= due < (paid + 1) * supply
        assert sale.released_usd6 + sale.refundable_usd6 + sale.refunded_usd6 == sale.raised_usd6
    assert (sale.refundable_usd6, sale.outstanding_units) == (0, 0)
    sale, _ = sale.withdraw()
    assert sale.owed_usd6 == 0


def test_refusals_carry_the_contracts_values() -> None:
    sale = Sale(1, 10**6, 2 * 10**6, 0, 0)
    with pytest.raises(RefusedError) as caught:
        sale.buy(2 * 10**6 + 1)
    assert (caught.value.name, caught.value.values) == (
        "Offering_HardCapExceeded",
        (2 * 10**6 + 1, 2 * 10**6),
    )


def test_windows_end_on_the_grid() -> None:
    assert window_end_up(GENESIS - 5, GENESIS, WINDOW) == GENESIS
    assert window_end_up(GENESIS, GENESIS, WINDOW) == GENESIS
    assert window_end_up(GENESIS + 1, GENESIS, WINDOW) == GENESIS + WINDOW
    assert window_end_up(GENESIS + WINDOW, GENESIS, WINDOW) == GENESIS + WINDOW


def history(source: random.Random, windows: int, first: int) -> list[NodeRecord]:
    """What an honest oracle may say of a node first measured in window `first`: now and then a window is
    missing, partly unknown, or partly down."""
    records, covered, up = [], 0, 0
    for number in range(1, windows + 1):
        if number < first:
            continue
        seen = source.choice([0, source.randrange(WINDOW + 1), WINDOW, WINDOW])
        served = source.choice([0, seen, source.randrange(seen + 1)])
        covered, up = covered + seen, up + served
        if source.random() < 0.8:
            records.append(NodeRecord(GENESIS + number * WINDOW, covered, up, 0, 0, 0, 8))
    return records


@pytest.mark.parametrize("seed", range(200))
def test_no_honest_history_shows_both(seed: int) -> None:
    """Over every pair of records, with the zero record and bases on both sides of the start."""
    source = random.Random(seed)
    registered = source.randrange(20)
    registered_at = GENESIS + registered * WINDOW + source.randrange(WINDOW)
    records = history(source, 40, registered + 1)
    start = window_end_up(registered_at + source.randrange(15 * WINDOW), GENESIS, WINDOW)
    required = source.randrange(1, 12 * WINDOW)
    by = start + 2 * WINDOW + required + source.randrange(8 * WINDOW)
    rule = DeliveryRule(start, required, by, by + source.randrange(15 * WINDOW))
    bases = [zero_record(registered_at, GENESIS, WINDOW, 8), *records]
    delivered = [pair for pair in pairs(records, records) if shows(rule.require_delivered, *pair)]
    missed = [pair for pair in pairs(bases, records) if shows(rule.require_missed, *pair)]
    assert not (delivered and missed), (delivered[0], missed[0])


def test_both_verdicts_occur() -> None:
    """The histories above are no idle talk: over the seeds some nodes deliver, some miss, some stay undecided."""
    up = zero_record(GENESIS, GENESIS, WINDOW, 8)
    end = NodeRecord(GENESIS + 10 * WINDOW, 10 * WINDOW, 5 * WINDOW, 0, 0, 0, 8)
    delivered = DeliveryRule(GENESIS, 5 * WINDOW, GENESIS + 10 * WINDOW, GENESIS + 20 * WINDOW)
    assert delivered.require_delivered(up, end) == (5 * WINDOW, GENESIS + 10 * WINDOW)
    missed = DeliveryRule(GENESIS, 5 * WINDOW + 1, GENESIS + 10 * WINDOW, GENESIS + 20 * WINDOW)
    assert missed.require_missed(up, end) == (5 * WINDOW, GENESIS + 10 * WINDOW)


def pairs(bases: list[NodeRecord], ends: list[NodeRecord]) -> list[tuple[NodeRecord, NodeRecord]]:
    return [(base, end) for base in bases for end in ends if end.window_end > base.window_end]


def shows(verdict, base: NodeRecord, end: NodeRecord) -> bool:
    try:
        verdict(base, end)
    except RefusedError:
        return False
    return True

"""The sale and its twin in Python, step by step over random sequences: equal to the unit."""

from __future__ import annotations

import random

import pytest
from registering import Spec
from sale_stage import DAY, HOUR, SHARE, WINDOW, raise_sale_stage
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

from wellhead.reference.offering import DeliveryRule, RefusedError, Sale, State, window_end_up, zero_record
from wellhead.reference.record import NodeRecord, RecordError

ROLES = ("holder", "second_holder", "customer", "stranger")


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors, keys, compiled):
    return raise_sale_stage(w3, deploy, send, actors, keys, compiled["NodeShare"].abi)


@pytest.fixture
def stage(raised):
    return raised.again()


def compare(stage, twin: Sale) -> None:
    view = stage.view()
    assert (view.state, view.sold_units, view.raised_usd6) == (twin.state, twin.sold_units, twin.raised_usd6)
    assert (view.released_usd6, view.refundable_usd6) == (twin.released_usd6, twin.refundable_usd6)
    assert (view.refunded_usd6, view.withdrawn_usd6) == (twin.refunded_usd6, twin.withdrawn_usd6)
    assert stage.dollar.functions.balanceOf(stage.offering.address).call() == twin.owed_usd6


@pytest.mark.parametrize("seed", [20261, 20262, 20263, 20264])
def test_sale_and_twin_are_equal(stage, reverts, seed):
    print(f"seed {seed}")
    source = random.Random(seed)
    hard_cap = source.choice([3 * SHARE + 1, 10**9, 2**44 - 3])
    terms = stage.open(
        price_usd6_per_share=source.choice([1, source.randrange(1, 10**7), 999_999_937]),
        soft_cap_units=SHARE if seed % 2 else min(hard_cap, 2 * SHARE),
        hard_cap_units=hard_cap,
        retained_units=source.randrange(2**40),
        upfront_bps=source.randrange(5_001),
    )
    twin = Sale(
        terms.price_usd6_per_share,
        terms.soft_cap_units,
        terms.hard_cap_units,
        terms.retained_units,
        terms.upfront_bps,
    )
    for role in ROLES:
        stage.fund(role, 2**80)
    for _ in range(source.randrange(4, 10)):
        units = source.choice([1, 2, source.randrange(1, SHARE), source.randrange(1, hard_cap)])
        left = twin.hard_cap_units - twin.sold_units
        if units > left:
            with pytest.raises(RefusedError) as refused:
                twin.buy(units)
            assert refused.value.values == (units, left)
            with reverts("Offering_HardCapExceeded", stage.node, units, left):
                stage.buy(units)
            continue
        twin, cost = twin.buy(units)
        receipt = stage.buy(units, source.choice(ROLES), source.choice(ROLES))
        (event,) = stage.offering.events.BuyShares().process_receipt(receipt, errors=DISCARD)
        assert event["args"]["costUsd6"] == cost
        compare(stage, twin)

    stage.pass_until(terms.closes_at)
    stage.close()
    twin, retained = twin.close()
    compare(stage, twin)
    assert stage.share.functions.lockedOf(stage.actors["operator"]).call() == retained
    if twin.state == State.DELIVERING:
        stage.pass_until(terms.deliver_hard_limit + 10 * DAY)
        stage.send(stage.offering.functions.expire(stage.node))
        twin = twin.fail()
        compare(stage, twin)

    withdraw_after = source.randrange(6)
    for step in range(40):
        if step == withdraw_after and twin.released_usd6:
            twin, paid = twin.withdraw()
            stage.send(
                stage.offering.functions.withdraw(stage.node, stage.actors["operator"]),
                stage.actors["operator"],
            )
            assert stage.balance("operator") == paid
        held = {role: stage.share.functions.balanceOf(stage.actors[role]).call() for role in ROLES}
        role = source.choice(ROLES)
        if not held[role]:
            continue
        units = min(held[role], source.choice([1, source.randrange(1, held[role] + 1), held[role]]))
        twin, paid = twin.refund(units)
        before = stage.balance(role)
        stage.refund(units, role)
        assert stage.balance(role) - before == paid
        compare(stage, twin)
    for role in ROLES:
        units = stage.share.functions.balanceOf(stage.actors[role]).call()
        if units:
            twin, _ = twin.refund(units)
            stage.refund(units, role)
    compare(stage, twin)
    assert stage.view().refundable_usd6 == 0


@pytest.mark.parametrize("seed", [31, 32, 33])
def test_delivery_and_twin_agree(stage, seed):
    """Random pairs of readings, mostly near the edges: contract and twin say the same, in the same words."""
    print(f"seed {seed}")
    source = random.Random(seed)
    terms = stage.open(closes_at=stage.now() + source.randrange(3 * HOUR, 3 * DAY))
    stage.fund("holder")
    stage.buy(300 * SHARE)
    stage.pass_until(terms.closes_at)
    stage.close()
    genesis = stage.oracle.functions.genesis().call()
    view = stage.view()
    assert view.deliver_from == window_end_up(view.closed_at, genesis, WINDOW)
    registered_at = stage.registry.functions.nodeOf(stage.node).call()[3]
    rule = DeliveryRule(view.deliver_from, terms.delivery_seconds, terms.deliver_by, terms.deliver_hard_limit)
    verdicts = set()
    for _ in range(60):
        base = stage.record(view.deliver_from + source.randrange(-2, 3) * WINDOW, 5_000, 4_000)
        from_zero = source.random() < 0.2
        if from_zero:
            base = zero_record(registered_at, genesis, WINDOW, Spec().gpu_count)
        due = source.choice([terms.deliver_by, terms.deliver_hard_limit, view.deliver_from + 120 * HOUR])
        end_time = window_end_up(due, genesis, WINDOW) + source.randrange(-2, 3) * WINDOW
        elapsed = max(0, end_time - base.window_end)
        covered = max(0, source.choice([elapsed, elapsed - WINDOW, terms.deliver_by - base.window_end]))
        up = min(
            covered, max(0, source.choice([0, covered, terms.delivery_seconds + source.randrange(-1, 2)]))
        )
        end = NodeRecord(
            end_time,
            base.covered_seconds + covered,
            base.up_seconds + up,
            base.busy_gpu_seconds,
            base.energy_wh,
            base.work_units,
            base.gpu_count,
        )
        first = (0, bytes(32), []) if from_zero else stage.make_final(base)
        last = stage.make_final(end)
        calls = [("failDelivery", rule.require_missed)]
        if not from_zero:
            calls.append(("confirmDelivery", rule.require_delivered))
        for function, decide in calls:
            expected = None
            try:
                decide(base, end)
            except (RefusedError, RecordError) as refusal:
                expected = refusal.name
            verdicts.add((function, expected))
            found = simulated(stage, stage.offering.functions[function](stage.node, first, last))
            assert found == expected, (function, base, end)
    assert {("confirmDelivery", None), ("failDelivery", None)} <= verdicts
    assert len(verdicts) >= 7


def simulated(stage, call) -> str | None:
    """The name of the error that `call` would revert with; None if it would pass."""
    try:
        call.call({"from": stage.actors["stranger"]})
    except ContractCustomError as error:
        return stage.error_names[str(error.data)[:10]]
    return None

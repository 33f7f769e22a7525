"""Offering: whether a node has delivered, shown by two final readings, and what follows."""

from __future__ import annotations

import pytest
from sale_stage import (
    DAY,
    DELIVERED,
    DELIVERING,
    FAILED,
    GRACE,
    HOUR,
    NONE,
    OPEN,
    SHARE,
    WINDOW,
    ZERO_READING,
    raise_sale_stage,
)
from web3.logs import DISCARD

SOLD = 400 * SHARE
PRIOR_COVERED, PRIOR_UP = 90_000, 80_000


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors, keys, compiled):
    return raise_sale_stage(w3, deploy, send, actors, keys, compiled["NodeShare"].abi)


@pytest.fixture
def stage(raised):
    return raised.again()


@pytest.fixture
def terms(stage):
    """A sale that succeeded and waits for delivery; the time does not matter, as the stand-in calls all final."""
    terms = stage.open()
    stage.fund("holder")
    stage.buy(SOLD)
    stage.pass_until(terms.closes_at)
    stage.close()
    return terms


@pytest.fixture
def start(stage, terms):  # noqa: ARG001
    return stage.view().deliver_from


@pytest.fixture
def at(stage):
    """at(end, covered, up): the reading of that record; seconds count on from what came before the sale."""

    def final(end: int, covered: int, up: int):
        return stage.make_final(stage.record(end, PRIOR_COVERED + covered, PRIOR_UP + up))

    return final


@pytest.fixture
def confirm(stage):
    def call(base, end):
        return stage.send(
            stage.offering.functions.confirmDelivery(stage.node, base, end), stage.actors["stranger"]
        )

    return call


@pytest.fixture
def miss(stage):
    def call(base, end):
        return stage.send(
            stage.offering.functions.failDelivery(stage.node, base, end), stage.actors["stranger"]
        )

    return call


def grid_down(stage, time: int) -> int:
    """The last window end at or before `time`."""
    genesis = stage.oracle.functions.genesis().call()
    return time - (time - genesis) % WINDOW


# Delivered --------------------------------------------------------------------------------------


def test_enough_uptime_in_time_releases_everything(stage, terms, start, at, confirm, actors):
    needed = terms.delivery_seconds
    retained = stage.share.functions.lockedOf(actors["operator"]).call()
    before = stage.view()
    receipt = confirm(at(start, 0, 0), at(start + needed, needed, needed))
    mined = stage.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    (event,) = stage.offering.events.ConfirmDelivery().process_receipt(receipt, errors=DISCARD)
    view = stage.view()
    assert view.state == DELIVERED
    assert (view.released_usd6, view.refundable_usd6) == (view.raised_usd6, 0)
    assert event["args"]["releasedUsd6"] == before.refundable_usd6
    assert event["args"]["upSeconds"] == needed
    assert event["args"]["knownTime"] == start + needed
    node = stage.registry.functions.nodeOf(stage.node).call()
    assert node[5] == event["args"]["committedUntil"] == mined + terms.service_term_seconds
    assert node[6] == 0
    assert retained > 0
    assert stage.share.functions.lockedOf(actors["operator"]).call() == 0
    assert stage.share.functions.balanceOf(actors["operator"]).call() == retained


def test_the_node_serves_out_its_term(stage, terms, start, at, confirm, reverts, actors):
    needed = terms.delivery_seconds
    confirm(at(start, 0, 0), at(start + needed, needed, needed))
    until = stage.registry.functions.nodeOf(stage.node).call()[5]
    with reverts("NodeRegistry_Committed", stage.node, until):
        stage.send(stage.registry.functions.retire(stage.node), actors["operator"])
    stage.pass_until(until)
    stage.send(stage.registry.functions.retire(stage.node), actors["operator"])


@pytest.mark.usefixtures("stage")
def test_uptime_before_the_close_does_not_count(terms, start, at, confirm, reverts):
    needed = terms.delivery_seconds
    early = at(start - WINDOW, 0, 0)
    with reverts("Delivery_BaseTooEarly", start - WINDOW, start):
        confirm(early, at(start - WINDOW + needed, needed, needed))


def test_one_second_of_uptime_too_few(terms, start, at, confirm, reverts):
    needed = terms.delivery_seconds
    with reverts("Delivery_UpTooShort", needed - 1, needed):
        confirm(at(start, 0, 0), at(start + 2 * needed, 2 * needed, needed - 1))


def test_known_time_must_not_pass_the_due_date(stage, terms, start, at, confirm, reverts):
    base = at(start, 0, 0)
    last = grid_down(stage, terms.deliver_by)
    late = last + WINDOW
    with reverts("Delivery_TooLate", late, terms.deliver_by):
        confirm(base, at(late, late - start, terms.delivery_seconds))
    confirm(base, at(last, last - start, terms.delivery_seconds))


def test_unknown_seconds_move_the_due_date(stage, terms, start, at, confirm):
    unknown = 3 * DAY
    end = grid_down(stage, terms.deliver_by) + unknown
    confirm(at(start, 0, 0), at(end, end - start - unknown, terms.delivery_seconds))
    assert stage.view().state == DELIVERED


def test_unknown_seconds_move_it_to_the_hard_limit_at_most(stage, terms, start, at, confirm, reverts):
    needed = terms.delivery_seconds
    base = at(start, 0, 0)
    last = grid_down(stage, terms.deliver_hard_limit)
    with reverts("Delivery_PastHardLimit", last + WINDOW, terms.deliver_hard_limit):
        confirm(base, at(last + WINDOW, needed, needed))
    confirm(base, at(last, needed, needed))


# Missed -----------------------------------------------------------------------------------------


def test_too_little_uptime_opens_refunds(stage, terms, start, at, miss, actors):
    end = grid_down(stage, terms.deliver_by) + WINDOW
    retained = stage.share.functions.lockedOf(actors["operator"]).call()
    before = stage.view()
    receipt = miss(at(start, 0, 0), at(end, end - start, terms.delivery_seconds - 1))
    (event,) = stage.offering.events.FailDelivery().process_receipt(receipt, errors=DISCARD)
    view = stage.view()
    assert view.state == FAILED
    assert view.refundable_usd6 == before.refundable_usd6 == event["args"]["refundableUsd6"]
    assert event["args"]["burnedUnits"] == retained
    assert event["args"]["upSeconds"] == terms.delivery_seconds - 1
    assert event["args"]["knownTime"] == end
    assert stage.share.functions.totalSupply().call() == SOLD
    assert stage.registry.functions.holdsOf(stage.node, stage.offering.address).call() == 0


def test_a_failure_counts_from_the_close_or_before(stage, terms, start, at, miss, reverts):
    end = grid_down(stage, terms.deliver_by) + WINDOW
    with reverts("Delivery_BaseTooLate", start + WINDOW, start):
        miss(at(start + WINDOW, 0, 0), at(end, end - start - WINDOW, 0))
    miss(at(start - 5 * WINDOW, 0, 0), at(end, end - start + 5 * WINDOW, 0))


def test_uptime_in_full_is_no_failure(stage, terms, start, at, miss, reverts):
    end = grid_down(stage, terms.deliver_by) + WINDOW
    needed = terms.delivery_seconds
    with reverts("Delivery_UpLongEnough", needed, needed):
        miss(at(start, 0, 0), at(end, end - start, needed))


def test_nothing_is_missed_before_it_is_due(stage, terms, start, at, miss, reverts):
    last = grid_down(stage, terms.deliver_by)
    with reverts("Delivery_NotDue", last, terms.deliver_by):
        miss(at(start, 0, 0), at(last, last - start, 0))
    late = last + 10 * DAY
    with reverts("Delivery_NotDue", last, terms.deliver_by):
        miss(at(start, 0, 0), at(late, last - start, 0))


def test_a_node_that_was_never_measured_before_can_be_found_wanting(stage, terms, miss):
    """Its zero record stands at the window of its registration; all it ever did counts for it."""
    registered = stage.registry.functions.nodeOf(stage.node).call()[3]
    zero = grid_down(stage, registered)
    end = grid_down(stage, terms.deliver_by) + WINDOW
    receipt = miss(ZERO_READING, stage.make_final(stage.record(end, end - zero, 5)))
    (event,) = stage.offering.events.FailDelivery().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["knownTime"] == end
    assert event["args"]["upSeconds"] == 5


def test_seconds_before_the_first_measurement_are_unknown(stage, terms, miss, reverts):
    registered = stage.registry.functions.nodeOf(stage.node).call()[3]
    zero = grid_down(stage, registered)
    end = grid_down(stage, terms.deliver_by) + WINDOW
    with reverts("Delivery_NotDue", end - 2 * WINDOW, terms.deliver_by):
        miss(ZERO_READING, stage.make_final(stage.record(end, end - zero - 2 * WINDOW, 5)))


def test_the_zero_reading_is_all_zero(stage, terms, start, at, miss, reverts):
    end = at(grid_down(stage, terms.deliver_by) + WINDOW, terms.deliver_by - start, 0)
    with reverts("OracleStandIn_NotFinal", stage.node, 0):
        miss((0, bytes(31) + b"\x01", []), end)


# Both -------------------------------------------------------------------------------------------


def test_readings_must_be_proven(stage, terms, start, at, confirm, miss, reverts):
    needed = terms.delivery_seconds
    base, end = at(start, 0, 0), at(start + needed, needed, needed)
    forged = (end[0], stage.record(start + needed, PRIOR_COVERED + needed, PRIOR_UP).pack(), [])
    elsewhere = (base[0] + 1, base[1], [])
    for call in (confirm, miss):
        with reverts("OracleStandIn_NotFinal", stage.node, end[0]):
            call(base, forged)
        with reverts("OracleStandIn_NotFinal", stage.node, elsewhere[0]):
            call(elsewhere, end)
    with reverts("OracleStandIn_NotFinal", stage.node, 0):
        confirm(ZERO_READING, end)


def test_readings_must_follow_each_other(terms, start, at, confirm, miss, reverts):
    needed = terms.delivery_seconds
    base = at(start, 10, 10)
    same_end = at(start + WINDOW, 5, 5)
    for call in (confirm, miss):
        with reverts("NodeRecords_WindowsOverlap", start, start):
            call(base, base)
        with reverts("NodeRecords_CounterWentBack"):
            call(base, same_end)
    with reverts("NodeRecords_CoveredExceedsTime", needed, needed - WINDOW):
        confirm(at(start, 0, 0), at(start + needed - WINDOW, needed, needed))


def test_what_is_undecided_expires(stage, terms, start, at, reverts, confirm):
    expires = terms.deliver_hard_limit + GRACE
    expire = stage.offering.functions.expire(stage.node)
    stage.pass_until(expires - 1)
    with reverts("Offering_NotExpired", stage.node, expires):
        stage.send(expire)
    stage.pass_until(expires)
    receipt = stage.send(expire, stage.actors["stranger"])
    (event,) = stage.offering.events.ExpireDelivery().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["caller"] == stage.actors["stranger"]
    assert event["args"]["refundableUsd6"] == stage.view().refundable_usd6 > 0
    assert stage.view().state == FAILED
    needed = terms.delivery_seconds
    with reverts("Offering_WrongState", stage.node, FAILED):
        confirm(at(start, 0, 0), at(start + needed, needed, needed))


def test_delivery_waits_for_the_close_and_is_decided_once(stage, reverts, confirm, miss, at):
    nothing = ZERO_READING
    expire = stage.offering.functions.expire(stage.node)
    for state in (NONE, OPEN):
        for call in (
            lambda: confirm(nothing, nothing),
            lambda: miss(nothing, nothing),
            lambda: stage.send(expire),
        ):
            with reverts("Offering_WrongState", stage.node, state):
                call()
        if state == NONE:
            terms = stage.open()
    stage.fund("holder")
    stage.buy(SOLD)
    stage.pass_until(terms.closes_at)
    stage.close()
    start, needed = stage.view().deliver_from, terms.delivery_seconds
    assert stage.view().state == DELIVERING
    confirm(at(start, 0, 0), at(start + needed, needed, needed))
    for call in (
        lambda: confirm(nothing, nothing),
        lambda: miss(nothing, nothing),
        lambda: stage.send(expire),
    ):
        with reverts("Offering_WrongState", stage.node, DELIVERED):
            call()


def test_a_frozen_operator_does_not_hold_up_refunds(stage, terms, start, at, miss, actors):
    stage.send(stage.share.functions.setFrozenTokens(actors["operator"], 10**12), actors["enforcer"])
    end = grid_down(stage, terms.deliver_by) + HOUR
    miss(at(start, 0, 0), at(end, end - start, 0))
    assert stage.share.functions.balanceOf(actors["operator"]).call() == 0


def test_shares_that_the_operator_bought_are_not_burned(stage, at, miss, actors):
    """Only what was retained is locked; what was bought can be refunded like anybody's."""
    stage.create_share("second_operator")
    terms = stage.open("second_operator")
    stage.fund("second_operator")
    stage.buy(300 * SHARE, "second_operator")
    stage.pass_until(terms.closes_at)
    stage.close()
    start = stage.view().deliver_from
    end = grid_down(stage, terms.deliver_by) + HOUR
    miss(at(start, 0, 0), at(end, end - start, 0))
    assert stage.share.functions.balanceOf(actors["second_operator"]).call() == 300 * SHARE
    stage.refund(300 * SHARE, "second_operator")
    assert stage.view().refundable_usd6 == 0

"""What counts as work: both served and billed, once, in its time, and whoever brings it."""

from __future__ import annotations

import pytest
from pool_stage import DOLLAR, FORMER_GATEWAY, GATEWAY, raise_pool_stage, sign
from share_stage import the_event

from wellhead.reference.pool_receipt import Receipt, pool_domain, receipt_digest


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors):
    """Nodes 1 and 2 are members, 3 is not, and the first period has just ended."""
    stage = raise_pool_stage(w3, deploy, send, actors)
    stage.member(1, 2)
    stage.add_node(3)
    stage.pay(1_000 * DOLLAR)
    assert stage.pass_periods(2) == 1
    return stage


@pytest.fixture
def stage(raised):
    return raised.again()


def work_of(stage, node):
    return stage.functions.accountOf(node).call()[1]


@pytest.mark.parametrize(("served", "billed"), [(500, 700), (700, 500), (1, 2**64 - 1), (2**60, 3), (9, 9)])
def test_the_smaller_of_served_and_billed_counts(stage, served, billed, actors):
    receipt = stage.record(1, 1, served, billed)
    event = the_event(stage.pool.events.RecordWork, receipt)
    assert event == {
        "node": 1,
        "period": 1,
        "caller": actors["stranger"],
        "workUnits": min(served, billed),
        "servedUnits": served,
        "billedUnits": billed,
    }
    assert work_of(stage, 1) == min(served, billed)


def test_nothing_served_or_nothing_billed_is_no_work(stage, reverts):
    for served, billed in ((0, 500), (500, 0), (0, 0)):
        with reverts("ComputePool_NothingMore", 1, 1, 0, 0):
            stage.record(1, 1, served, billed)
    assert stage.functions.flow().call()[4] == 0


def test_the_digest_is_the_standards(stage):
    receipt = Receipt(7, 8, 9, 2**64 - 1)
    digest = receipt_digest(pool_domain(stage.w3.eth.chain_id, stage.pool.address), receipt)
    assert stage.functions.receiptDigest(receipt).call() == digest


def test_it_is_recorded_while_it_is_collected(stage, reverts):
    schedule = stage.schedule
    call = stage.record_call(1, 2, 10)
    window = (schedule.end_of(2), schedule.distributable_at(2))
    with reverts("ComputePool_NotCollecting", 2, *window):
        stage.send(call)
    stage.pass_until(schedule.end_of(2) - 2)
    stage.at(schedule.end_of(2) - 1)
    with reverts("ComputePool_NotCollecting", 2, *window):
        call.call(block_identifier="pending")
    stage.send_at(schedule.end_of(2), call)
    assert work_of(stage, 1) == 10


def test_it_is_too_late_once_the_period_may_be_distributed(stage, reverts):
    until = stage.schedule.distributable_at(1)
    last, late = stage.record_call(1, 1, 10), stage.record_call(2, 1, 10)
    stage.pass_until(until - 2)
    stage.at(until - 1)
    stage.send(last)
    stage.pass_until(until)
    with reverts("ComputePool_NotCollecting", 1, stage.schedule.end_of(1), until):
        stage.send(late)
    assert stage.functions.distribute(1).call() > 0


def test_there_is_no_period_zero(stage, reverts):
    receipt = Receipt(1, 0, 0, 1)
    base, end = stage.readings(1, 1, 1)
    with reverts("ComputePool_NotCollecting"):
        stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))


def test_members_only(stage, reverts):
    with reverts("ComputePool_NotMemberIn", 3, 1):
        stage.record(3, 1, 10)
    stage.join(3)
    with reverts("ComputePool_NotMemberIn", 3, 1):
        stage.record(3, 1, 10)
    period = stage.pass_periods()
    with reverts("ComputePool_NotMemberIn", 3, period):
        stage.record(3, period, 10)
    period = stage.pass_periods()
    stage.record(3, period, 10)
    assert work_of(stage, 3) == 10


def test_only_the_gateway_bills(stage, reverts):
    with reverts("ComputePool_InvalidReceipt", 1, GATEWAY.address):
        stage.send(stage.record_call(1, 1, 10, key=FORMER_GATEWAY))
    receipt, other = Receipt(1, 1, 0, 10), Receipt(2, 1, 0, 10)
    base, end = stage.readings(1, 1, 10)
    for claimed in (receipt._replace(billed_to_units=11), receipt._replace(billed_from_units=1)):
        with reverts("ComputePool_InvalidReceipt", 1, GATEWAY.address):
            stage.send(stage.functions.record(claimed, sign(GATEWAY, stage.pool, receipt), base, end))
    with reverts("ComputePool_InvalidReceipt", 1, GATEWAY.address):
        stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, other), base, end))
    with reverts("ComputePool_InvalidReceipt", 1, GATEWAY.address):
        stage.send(stage.functions.record(receipt, b"", base, end))


def test_a_receipt_is_for_one_pool(stage, w3, deploy, send, actors, reverts):
    other = raise_pool_stage(w3, deploy, send, actors)
    receipt = Receipt(1, 1, 0, 10)
    base, end = stage.readings(1, 1, 10)
    with reverts("ComputePool_InvalidReceipt", 1, GATEWAY.address):
        stage.send(stage.functions.record(receipt, sign(GATEWAY, other.pool, receipt), base, end))


def test_a_contract_may_be_the_gateway(stage, deploy, send, actors):
    wallet = deploy("SmartWallet", GATEWAY.address)
    send(stage.functions.setGateway(wallet.address), actors["owner"])
    receipt = stage.receipt(1, 1, 10)
    base, end = stage.readings(1, 1, 10)
    signature = b"\x77" + sign(GATEWAY, stage.pool, receipt)
    send(stage.functions.record(receipt, signature, base, end))
    assert work_of(stage, 1) == 10


def test_a_gateways_counter_does_not_fall(stage, reverts):
    receipt = Receipt(1, 1, 10, 9)
    base, end = stage.readings(1, 1, 10)
    with reverts("ComputePool_BilledWentBack", 1, 10, 9):
        stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))


def test_what_was_counted_is_not_counted_again(stage, reverts):
    stage.record(1, 1, 60, 100)
    period = stage.pass_periods()
    base, end = stage.readings(1, period, 1_000)
    for billed_from in (0, 59):
        receipt = Receipt(1, period, billed_from, 200)
        with reverts("ComputePool_BilledTwice", 1, billed_from, 60):
            stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))
    receipt = Receipt(1, period, 60, 200)
    stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))
    assert work_of(stage, 1) == 140


def test_a_poisoned_receipt_locks_nobody_out(stage):
    """A stolen key says that all was billed that ever can be: only what was served is counted of it."""
    receipt = Receipt(1, 1, 5, 2**64 - 1)
    base, end = stage.readings(1, 1, 40)
    stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))
    period = stage.pass_periods()
    receipt = Receipt(1, period, 45, 100)
    base, end = stage.readings(1, period, 30)
    stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))
    assert work_of(stage, 1) == 30


def test_the_next_gateway_sets_right_what_the_last_one_spoiled(stage, send, actors, reverts):
    """Even a counter driven to its end: it died with its key."""
    receipt = Receipt(1, 1, 2**64 - 11, 2**64 - 1)
    base, end = stage.readings(1, 1, 40)
    stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))
    assert work_of(stage, 1) == 10
    changed = send(stage.functions.setGateway(FORMER_GATEWAY.address), actors["owner"])
    assert the_event(stage.pool.events.SetGateway, changed) == {
        "gateway": FORMER_GATEWAY.address,
        "gatewayCount": 2,
    }
    afresh = Receipt(1, 1, 0, 35)
    with reverts("ComputePool_InvalidReceipt", 1, FORMER_GATEWAY.address):
        stage.send(stage.functions.record(afresh, sign(GATEWAY, stage.pool, afresh), base, end))
    stage.send(stage.functions.record(afresh, sign(FORMER_GATEWAY, stage.pool, afresh), base, end))
    assert work_of(stage, 1) == 35
    assert stage.functions.periodOf(1).call()[1] == 35


def test_a_better_record_replaces_a_worse_one_and_not_the_other_way(stage, reverts):
    """So whoever records for a member cannot rob it."""
    first, last = stage.functions.roundsOf(1).call()
    readings = {number: stage.reading(1, number, number * 10) for number in range(first, last + 1)}
    receipt = Receipt(1, 1, 0, 10_000)
    signature = sign(GATEWAY, stage.pool, receipt)

    def record(base, end):
        return stage.send(stage.functions.record(receipt, signature, readings[base], readings[end]))

    record(first + 3, last - 2)
    assert work_of(stage, 1) == 190
    with reverts("ComputePool_NothingMore", 1, 1, 10, 190):
        record(first, first + 1)
    with reverts("ComputePool_NothingMore", 1, 1, 190, 190):
        record(first + 3, last - 2)
    stage.record(2, 1, 5)
    record(first, last)
    assert work_of(stage, 1) == 240
    assert stage.functions.periodOf(1).call()[1] == 245
    assert stage.functions.accountOf(1).call()[3] == 240


def test_readings_lie_within_the_period(stage, reverts):
    first, last = stage.functions.roundsOf(1).call()
    receipt = Receipt(1, 1, 0, 10_000)
    signature = sign(GATEWAY, stage.pool, receipt)
    for base, end, wrong in ((first - 1, last, first - 1), (first, last + 1, last + 1)):
        readings = stage.reading(1, base, 0), stage.reading(1, end, 100)
        with reverts("ComputePool_RoundOutsidePeriod", wrong, first, last):
            stage.send(stage.functions.record(receipt, signature, *readings))
    start, end = stage.reading(1, first, 0), stage.reading(1, last, 100)
    with reverts("NodeRecords_WindowsOverlap"):
        stage.send(stage.functions.record(receipt, signature, end, start))


def test_readings_are_final(stage, reverts):
    first, last = stage.functions.roundsOf(1).call()
    receipt = Receipt(1, 1, 0, 10)
    base, end = stage.reading(1, first, 0), stage.reading(2, last, 10)
    with reverts("OracleStandIn_NotFinal", 1, last):
        stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), base, end))


def test_a_node_whose_counters_were_restarted_proves_the_time_before_or_after(stage, reverts):
    first, last = stage.functions.roundsOf(1).call()
    before = stage.reading(1, first, 5_000), stage.reading(1, last - 10, 5_700)
    after = stage.reading(1, last - 9, 0), stage.reading(1, last, 400)
    receipt = Receipt(1, 1, 0, 10_000)
    signature = sign(GATEWAY, stage.pool, receipt)
    with reverts("NodeRecords_CounterWentBack"):
        stage.send(stage.functions.record(receipt, signature, before[0], after[1]))
    stage.send(stage.functions.record(receipt, signature, *after))
    stage.send(stage.functions.record(receipt, signature, *before))
    assert work_of(stage, 1) == 700


def test_a_silent_members_work_is_not_counted_later(stage, reverts):
    """Of two periods' readings the pair that spans both is refused."""
    first, _ = stage.functions.roundsOf(1).call()
    start = stage.reading(1, first, 0)
    period = stage.pass_periods()
    _, last = stage.functions.roundsOf(period).call()
    receipt = Receipt(1, period, 0, 900)
    with reverts("ComputePool_RoundOutsidePeriod", first, first + 24, last):
        end = stage.reading(1, last, 900)
        stage.send(stage.functions.record(receipt, sign(GATEWAY, stage.pool, receipt), start, end))


def test_recording_the_next_period_distributes_the_one_that_nobody_did(stage):
    stage.record(1, 1, 10)
    released = stage.functions.periodOf(1).call()[0]
    assert released
    period = stage.pass_periods()
    receipt = stage.record(2, period, 10)
    event = the_event(stage.pool.events.Distribute, receipt)
    assert (event["period"], event["releasedUsd6"], event["workUnits"]) == (1, released, 10)
    assert stage.functions.claimableUsd6(1).call() == released

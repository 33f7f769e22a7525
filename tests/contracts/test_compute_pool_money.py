"""The pool's money: what each period releases of it, to whom, and that nobody stops anybody's part."""

from __future__ import annotations

import math

import pytest
from pool_stage import DAY, DOLLAR, HOUR, raise_pool_stage
from share_stage import the_event

from wellhead.reference.pool import Flow

CALM, REVERTING, BURNING, CALLING = range(4)


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors):
    """Nodes 1, 2 and 3 are members from period 1 on, which begins soon."""
    stage = raise_pool_stage(w3, deploy, send, actors)
    stage.member(1, 2, 3)
    return stage


@pytest.fixture
def stage(raised):
    return raised.again()


def flow(stage) -> Flow:
    return Flow(*stage.functions.flow().call())


def released(stage, period: int) -> int:
    return int(stage.functions.periodOf(period).call()[0])


def worked(stage, period: int | None = None, *nodes: int) -> int:
    """A period ends, and these nodes (1 unless named) worked in it; the period."""
    period = stage.pass_periods() if period is None else period
    for node in nodes or (1,):
        stage.record(node, period, 100)
    return period


# In --------------------------------------------------------------------------------------------------


def test_sync_accounts_for_what_is_new(stage, send, actors):
    send(stage.usd.functions.mint(stage.pool.address, 70))
    assert stage.functions.unsyncedUsd6().call() == 70
    receipt = send(stage.functions.sync(), actors["stranger"])
    event = the_event(stage.pool.events.Sync, receipt)
    assert event == {"caller": actors["stranger"], "syncedUsd6": 70, "levelUsd6": 70}
    assert (flow(stage).accounted_usd6, flow(stage).level_usd6) == (70, 70)
    assert stage.functions.unsyncedUsd6().call() == 0
    assert stage.functions.sync().call() == 0
    receipt = stage.pay(5)
    assert the_event(stage.pool.events.Sync, receipt)["levelUsd6"] == 75


def test_sync_takes_what_fits_and_never_reverts(stage, send):
    stage.pay(2**64 - 2)
    stage.pay(10)
    assert flow(stage).accounted_usd6 == 2**64 - 1
    assert stage.functions.unsyncedUsd6().call() == 9
    assert stage.functions.sync().call() == 0
    period = stage.pass_periods(2)
    stage.record(1, period, 2**63)
    stage.distribute(period)
    paid = the_event(stage.pool.events.Claim, stage.claim(1))["paidUsd6"]
    assert paid > 2**60
    send(stage.functions.sync())
    assert stage.functions.unsyncedUsd6().call() == 0


# Release ---------------------------------------------------------------------------------------------


def test_it_drains_exponentially(stage):
    """What is there at a period's start releases 1 - e^(-1/7) in each period with work."""
    stage.pay(1_000 * DOLLAR)
    stage.pass_periods()
    level = 1_000 * DOLLAR
    for _ in range(4):
        period = worked(stage)
        stage.distribute(period)
        level *= math.exp(-1 / 7)
        assert abs(flow(stage).level_usd6 - level) < 5
        assert (
            released(stage, period)
            == flow(stage).accounted_usd6
            - flow(stage).level_usd6
            - sum(released(stage, earlier) for earlier in range(1, period))
            - stage.functions.accountOf(1).call()[2]
        )


def test_what_comes_in_its_course_counts_for_the_rest_of_the_period(stage):
    """The day on which a claim lands decides nothing: late in the period it releases next to nothing of it."""
    for left, share in (
        (DAY, 1 - math.exp(-1 / 7)),
        (6 * HOUR, 1 - math.exp(-1 / 28)),
        (1, -math.expm1(-1 / (7 * DAY))),
    ):
        end = stage.schedule.end_of(stage.pass_periods() + 1)
        level = flow(stage).level_usd6
        stage.pass_until(end - left - 1)
        stage.send(stage.usd.functions.mint(stage.pool.address, 1_000 * DOLLAR))
        stage.at(end - left)
        stage.send(stage.functions.sync())
        period = worked(stage)
        expected = level * (1 - math.exp(-1 / 7)) + 1_000 * DOLLAR * share
        assert abs(released(stage, period) - expected) < 5, left
        stage.distribute(period)


def test_how_claims_are_cut_changes_nothing_but_dust(stage):
    stage.pass_periods()
    end = stage.schedule.end_of(1)
    for number in range(10):
        stage.pass_until(end - 20 * HOUR + number * 60)
        stage.pay(999_983)
    period = worked(stage)
    whole = sum(999_983 * (1 - math.exp(-(20 * HOUR - number * 60) / (7 * DAY))) for number in range(10))
    assert whole - 11 < released(stage, period) < whole


def test_what_comes_after_the_period_is_not_released_for_it(stage):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = stage.pass_periods()
    stage.pay(1_000_000 * DOLLAR)
    worked(stage, period)
    amount = released(stage, period)
    assert amount < 14 * DOLLAR
    stage.pay(1_000_000 * DOLLAR)
    assert stage.distribute(period)
    assert stage.functions.claimableUsd6(1).call() == amount


def test_how_late_it_is_distributed_changes_nothing(stage):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = worked(stage, None, 1, 2)
    amount = released(stage, period)
    for _ in range(3):
        stage.pass_periods(2)
        stage.pay(100 * DOLLAR)
    event = the_event(stage.pool.events.Distribute, stage.distribute(period))
    assert (event["releasedUsd6"], event["workUnits"]) == (amount, 200)


def test_without_work_the_money_waits(stage):
    """A thousand periods without work cost one look, and release nothing; the next one releases its own part."""
    stage.pay(700 * DOLLAR)
    stage.pass_periods()
    stage.pass_periods(1_000)
    for period in (1, 2, 500, 999):
        assert stage.functions.distribute(period).call() == 0
    assert flow(stage).level_usd6 == 700 * DOLLAR
    period = worked(stage)
    stage.distribute(period)
    assert abs(flow(stage).level_usd6 - 700 * DOLLAR * math.exp(-1 / 7)) < 2


def test_arrivals_before_a_time_without_work_count_in_full(stage):
    """What was unripe in a period that had no work is ripe for every later one."""
    stage.pass_periods()
    stage.pass_until(stage.schedule.end_of(1) - 10)
    stage.pay(700 * DOLLAR)
    stage.pass_periods(2)
    period = worked(stage)
    assert abs(released(stage, period) - 700 * DOLLAR * (1 - math.exp(-1 / 7))) < 2


def test_work_without_money_is_distributed_all_the_same(stage, reverts):
    period = worked(stage, stage.pass_periods(2))
    assert the_event(stage.pool.events.Distribute, stage.distribute(period))["releasedUsd6"] == 0
    with reverts("ComputePool_NothingToClaim", 1):
        stage.claim(1)


# Distribute ------------------------------------------------------------------------------------------


def test_it_is_open_to_anyone_when_collecting_is_over(stage, send, actors, reverts):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = worked(stage)
    opens_at = stage.schedule.distributable_at(period)
    stage.pass_until(opens_at - 1)
    with reverts("ComputePool_StillCollecting", period, opens_at):
        send(stage.functions.distribute(period))
    amount = released(stage, period)
    receipt = stage.send_at(opens_at, stage.functions.distribute(period))
    event = the_event(stage.pool.events.Distribute, receipt)
    assert event == {
        "period": period,
        "caller": actors["stranger"],
        "releasedUsd6": amount,
        "workUnits": 100,
    }


def test_what_is_done_is_no_error(stage, send):
    """So nobody makes anybody's `distribute` revert by being first, or by having no work."""
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = worked(stage)
    stage.distribute(period)
    before = flow(stage)
    for again in (0, period, period - 1):
        receipt = send(stage.functions.distribute(again))
        assert not receipt["logs"]
    assert flow(stage) == before


# Out -------------------------------------------------------------------------------------------------


def test_members_are_paid_by_their_work_to_the_last_unit(stage, send, actors, reverts):
    stage.pay(100 * DOLLAR + 1)
    stage.pass_periods()
    period = stage.pass_periods()
    for node, work in ((1, 1), (2, 3), (3, 3)):
        stage.record(node, period, work)
    amount = released(stage, period)
    assert amount % 7
    with reverts("ComputePool_NothingToClaim", 1):
        stage.claim(1)
    stage.distribute(period)
    paid = {}
    for node in (2, 1, 3):
        share = stage.functions.membershipOf(node).call()[0]
        expected = stage.functions.claimableUsd6(node).call()
        receipt = send(stage.functions.claim(node), actors["stranger"])
        assert the_event(stage.pool.events.Claim, receipt) == {
            "node": node,
            "share": share,
            "caller": actors["stranger"],
            "paidUsd6": expected,
        }
        assert stage.balance(share) == expected
        paid[node] = expected
        assert stage.functions.claimableUsd6(node).call() == 0
        with reverts("ComputePool_NothingToClaim", node):
            stage.claim(node)
    for node, work in ((1, 1), (2, 3), (3, 3)):
        assert amount * work // 7 <= paid[node] <= amount * work // 7 + 2
    assert sum(paid.values()) == amount
    assert flow(stage).accounted_usd6 == flow(stage).level_usd6 == stage.balance(stage.pool.address)
    assert tuple(stage.functions.periodOf(period).call()) == (0, 0)


def test_what_is_not_claimed_adds_up(stage):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    amounts = []
    for _ in range(3):
        period = worked(stage)
        amounts.append(released(stage, period))
        stage.distribute(period)
    assert stage.functions.claimableUsd6(1).call() == sum(amounts)
    stage.pass_periods(50)
    assert the_event(stage.pool.events.Claim, stage.claim(1))["paidUsd6"] == sum(amounts)


def test_work_of_the_open_period_is_paid_only_when_it_is_distributed(stage):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    first = worked(stage)
    earned = released(stage, first)
    second = worked(stage)
    assert stage.functions.claimableUsd6(1).call() == earned
    assert the_event(stage.pool.events.Claim, stage.claim(1))["paidUsd6"] == earned
    assert stage.functions.accountOf(1).call()[1] == 100
    stage.distribute(second)
    assert stage.functions.claimableUsd6(1).call() == released(stage, second)


def test_whoever_left_is_paid_what_it_earned(stage, send, actors):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = worked(stage)
    send(stage.functions.dismiss(1), actors["owner"])
    stage.distribute(period)
    stage.pass_periods(20)
    assert the_event(stage.pool.events.Claim, stage.claim(1))["paidUsd6"] > 13 * DOLLAR


# The cast of hostiles --------------------------------------------------------------------------------


@pytest.mark.parametrize("mood", [CALM, REVERTING, BURNING])
def test_a_share_that_will_not_sync_is_paid_all_the_same(stage, deploy, send, actors, mood):
    share = deploy("HostileReceiver")
    send(share.functions.set(mood, share.address, b""))
    stage.add_node(4, share.address)
    stage.join(4)
    stage.pay(100 * DOLLAR)
    stage.pass_periods(2)
    period = worked(stage, None, 4)
    stage.distribute(period)
    call = stage.functions.claim(4)
    estimated = call.estimate_gas({"from": actors["stranger"]})
    receipt = stage.w3.eth.wait_for_transaction_receipt(
        call.transact({"from": actors["stranger"], "gas": estimated})
    )
    failed = stage.pool.events.SyncFailed().process_log if mood != CALM else None
    assert stage.balance(share.address) > 13 * DOLLAR
    assert receipt["status"] == 1
    if failed:
        assert failed(receipt["logs"][-1])["args"] == {"node": 4, "share": share.address}
    else:
        assert share.functions.synced().call() == 1
        assert share.functions.gasAtSync().call() > 0.95 * stage.functions.GAS_FOR_SYNC().call()


def test_a_share_burns_no_more_gas_than_it_is_promised(stage, deploy, send, actors):
    share = deploy("HostileReceiver")
    send(share.functions.set(BURNING, share.address, b""))
    stage.add_node(4, share.address)
    stage.join(4)
    stage.pay(100 * DOLLAR)
    stage.pass_periods(2)
    stage.distribute(worked(stage, None, 4))
    receipt = send(stage.functions.claim(4), actors["stranger"])
    assert receipt["gasUsed"] < stage.functions.GAS_FOR_SYNC().call() + 150_000


def test_a_claim_with_too_little_gas_for_the_share_is_refused(stage, reverts, actors):
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    stage.distribute(worked(stage))
    with reverts("ComputePool_TooLittleGas"):
        stage.functions.claim(1).call({"from": actors["stranger"], "gas": 220_000})


def test_a_share_that_comes_back_gains_nothing(stage, deploy, send):
    """It claims again, syncs and distributes out of its own sync."""
    share = deploy("HostileReceiver")
    stage.add_node(4, share.address)
    stage.join(4)
    stage.pay(100 * DOLLAR)
    stage.pass_periods(2)
    for data, well in (
        (stage.functions.claim(4), False),
        (stage.functions.sync(), True),
        (stage.functions.distribute(0), True),
    ):
        period = worked(stage, None, 4)
        amount = released(stage, period)
        stage.distribute(period)
        before = stage.balance(share.address)
        send(share.functions.set(CALLING, stage.pool.address, data._encode_transaction_data()))
        stage.claim(4)
        assert share.functions.calledWell().call() is well
        assert stage.balance(share.address) - before == amount
        assert flow(stage).accounted_usd6 == flow(stage).level_usd6 == stage.balance(stage.pool.address)


def test_a_dollar_that_calls_back_gains_nothing(w3, deploy, send, actors):
    """Before and after the money moves: nothing is paid twice, and nothing is taken for new."""
    usd = deploy("ReentrantDollar")
    stage = raise_pool_stage(w3, deploy, send, actors, usd)
    stage.member(1, 2)
    stage.pay(1_000 * DOLLAR)
    stage.pass_periods()
    period = worked(stage, None, 1, 2)
    amount = released(stage, period)
    stage.distribute(period)
    again, sync = (
        call._encode_transaction_data() for call in (stage.functions.claim(1), stage.functions.sync())
    )
    send(usd.functions.setCalls(stage.pool.address, again, sync))
    stage.claim(1)
    send(usd.functions.setCalls(stage.pool.address, sync, again))
    stage.claim(2)
    assert usd.functions.calls().call() == 2
    paid = [stage.balance(stage.functions.membershipOf(node).call()[0]) for node in (1, 2)]
    assert paid == [amount // 2, amount - amount // 2]
    assert flow(stage).accounted_usd6 == flow(stage).level_usd6 == stage.balance(stage.pool.address)


def test_a_blacklisted_share_stops_nobody_else(w3, deploy, send, actors, reverts):
    usd = deploy("BlacklistingDollar")
    stage = raise_pool_stage(w3, deploy, send, actors, usd)
    stage.member(1, 2)
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = worked(stage, None, 1, 2)
    shares = [stage.functions.membershipOf(node).call()[0] for node in (1, 2)]
    send(usd.functions.setBlacklisted(shares[0], True))
    stage.distribute(period)
    with reverts("TransferFailed"):
        stage.claim(1)
    stage.claim(2)
    worked(stage, None, 1, 2)
    owed = stage.functions.claimableUsd6(1).call()
    send(usd.functions.setBlacklisted(shares[0], False))
    assert the_event(stage.pool.events.Claim, stage.claim(1))["paidUsd6"] == owed


def test_a_dollar_that_says_false_has_not_paid(w3, deploy, send, actors, reverts):
    usd = deploy("FalseDollar")
    stage = raise_pool_stage(w3, deploy, send, actors, usd)
    stage.member(1)
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    stage.distribute(worked(stage))
    owed = stage.functions.claimableUsd6(1).call()
    send(usd.functions.setFailing(True))
    with reverts("TransferFailed"):
        stage.claim(1)
    send(usd.functions.setFailing(False))
    assert the_event(stage.pool.events.Claim, stage.claim(1))["paidUsd6"] == owed


def test_a_dollar_that_takes_from_the_pool_stops_its_sync_until_the_gap_is_filled(w3, deploy, send, actors):
    usd = deploy("ShrinkingDollar")
    stage = raise_pool_stage(w3, deploy, send, actors, usd)
    stage.member(1, 2)
    stage.pay(100 * DOLLAR)
    stage.pass_periods()
    period = worked(stage, None, 1, 2)
    send(usd.functions.seize(stage.pool.address, 40 * DOLLAR))
    assert stage.functions.sync().call() == 0
    assert stage.functions.unsyncedUsd6().call() == 0
    stage.distribute(period)
    stage.claim(1)
    stage.pay(30 * DOLLAR)
    assert flow(stage).level_usd6 < 100 * DOLLAR
    receipt = stage.pay(15 * DOLLAR)
    assert the_event(stage.pool.events.Sync, receipt)["syncedUsd6"] == 5 * DOLLAR

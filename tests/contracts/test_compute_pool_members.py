"""Who belongs to a pool, and when: both sides agree, each can end it, and nothing of it takes back what was done."""

from __future__ import annotations

import pytest
from pool_stage import A100, ACTIVE, ATTESTED, DOLLAR, H100, NOBODY, RETIRED, SUSPENDED, raise_pool_stage
from share_stage import the_event

from wellhead.reference.pool import STAYING


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors):
    return raise_pool_stage(w3, deploy, send, actors)


@pytest.fixture
def stage(raised):
    return raised.again()


def membership(stage, node):
    """First period, end period, admitted."""
    return tuple(stage.functions.membershipOf(node).call()[1:])


def test_both_sides_agree_and_it_begins_with_the_next_period(stage, send, actors):
    share = stage.add_node(7)
    assert membership(stage, 7) == (0, 0, False)
    receipt = send(stage.functions.admit(7), actors["owner"])
    assert the_event(stage.pool.events.AdmitNode, receipt) == {"node": 7, "owner": actors["owner"]}
    assert membership(stage, 7) == (0, 0, True)
    stage.pass_periods(3)
    receipt = send(stage.functions.join(7), actors["operator"])
    assert the_event(stage.pool.events.JoinPool, receipt) == {
        "node": 7,
        "operator": actors["operator"],
        "share": share,
        "firstPeriod": 4,
    }
    assert stage.functions.membershipOf(7).call()[0] == share
    assert membership(stage, 7) == (4, STAYING, True)
    assert [stage.functions.isMemberIn(7, period).call() for period in (3, 4, 5, 99)] == [False, *[True] * 3]


def test_nobody_is_put_in_against_its_will(stage, send, actors, reverts):
    stage.add_node(1)
    send(stage.functions.admit(1), actors["owner"])
    for role in ("owner", "guardian", "stranger", "second_operator"):
        with reverts("ComputePool_NotOperator", 1, actors[role]):
            send(stage.functions.join(1), actors[role])


def test_nobody_comes_in_uninvited(stage, send, actors, reverts):
    stage.add_node(1)
    with reverts("ComputePool_NotAdmitted", 1):
        send(stage.functions.join(1), actors["operator"])
    with reverts("ComputePool_NotAdmitted", 1):
        send(stage.functions.dismiss(1), actors["owner"])


def test_a_member_is_active_of_the_class_and_has_a_share(stage, send, actors, reverts):
    send(stage.functions.admit(1), actors["owner"])
    join = stage.functions.join(1)
    for status in (ATTESTED, SUSPENDED, RETIRED):
        stage.add_node(1, status=status)
        with reverts("ComputePool_NodeNotActive", 1, status):
            send(join, actors["operator"])
    stage.add_node(1, gpu_class=A100)
    with reverts("ComputePool_WrongClass", 1, A100, H100):
        send(join, actors["operator"])
    stage.add_node(1, share=NOBODY)
    with reverts("ComputePool_NoShare", 1):
        send(join, actors["operator"])
    stage.add_node(1)
    send(join, actors["operator"])
    with reverts("ComputePool_AlreadyMember", 1):
        send(join, actors["operator"])


def test_the_period_of_leaving_still_counts(stage, send, actors, reverts):
    stage.member(1)
    stage.pass_periods(2)
    receipt = send(stage.functions.resign(1), actors["operator"])
    assert the_event(stage.pool.events.LeavePool, receipt) == {
        "node": 1,
        "operator": actors["operator"],
        "endPeriod": 3,
    }
    assert membership(stage, 1) == (1, 3, True)
    with reverts("ComputePool_NotMember", 1):
        send(stage.functions.resign(1), actors["operator"])
    with reverts("ComputePool_NotOperator", 1, actors["owner"]):
        send(stage.functions.resign(1), actors["owner"])
    # Its last period is collected in period 3: only then may it come back.
    for _ in range(2):
        with reverts("ComputePool_StillLeaving", 1, 3):
            send(stage.functions.join(1), actors["operator"])
        stage.pass_periods()
    send(stage.functions.join(1), actors["operator"])
    assert membership(stage, 1) == (5, STAYING, True)


def test_the_owner_dismisses_but_takes_nothing_back(stage, send, actors, reverts):
    stage.member(1)
    stage.pass_periods(1)
    stage.pay(100 * DOLLAR)
    receipt = send(stage.functions.dismiss(1), actors["owner"])
    assert the_event(stage.pool.events.DismissNode, receipt) == {
        "node": 1,
        "owner": actors["owner"],
        "endPeriod": 2,
    }
    assert membership(stage, 1) == (1, 2, False)
    period = stage.pass_periods()
    stage.record(1, period, 10)
    stage.distribute(period)
    stage.claim(1)
    assert stage.balance(stage.functions.membershipOf(1).call()[0]) > 13 * DOLLAR // 2
    with reverts("ComputePool_NotMemberIn", 1, 2):
        stage.pass_periods()
        stage.record(1, 2, 10)
    stage.pass_periods(3)
    with reverts("ComputePool_NotAdmitted", 1):
        send(stage.functions.join(1), actors["operator"])


def test_whoever_was_only_admitted_is_dismissed_without_a_trace(stage, send, actors):
    send(stage.functions.admit(1), actors["owner"])
    receipt = send(stage.functions.dismiss(1), actors["owner"])
    assert the_event(stage.pool.events.DismissNode, receipt)["endPeriod"] == 0
    assert membership(stage, 1) == (0, 0, False)


def test_dismissing_after_leaving_moves_nothing(stage, send, actors):
    stage.member(1)
    stage.pass_periods(2)
    send(stage.functions.resign(1), actors["operator"])
    stage.pass_periods(3)
    send(stage.functions.dismiss(1), actors["owner"])
    assert membership(stage, 1) == (1, 3, False)


def test_anyone_expels_a_node_that_is_active_no_more(stage, send, actors, reverts):
    stage.member(1)
    with reverts("ComputePool_NodeActive", 1):
        send(stage.functions.expel(1), actors["stranger"])
    stage.pass_periods(1)
    stage.add_node(1, status=SUSPENDED)
    receipt = send(stage.functions.expel(1), actors["stranger"])
    assert the_event(stage.pool.events.ExpelNode, receipt) == {
        "node": 1,
        "caller": actors["stranger"],
        "endPeriod": 2,
    }
    with reverts("ComputePool_NotMember", 1):
        send(stage.functions.expel(1), actors["stranger"])
    # What it did in the period counts, and once active it may come back.
    stage.record(1, stage.pass_periods(), 5)
    stage.add_node(1, status=ACTIVE)
    stage.pass_periods()
    send(stage.functions.join(1), actors["operator"])


def test_whoever_leaves_before_the_first_period_was_never_a_member(stage, send, actors, reverts):
    stage.member(1)
    send(stage.functions.resign(1), actors["operator"])
    assert membership(stage, 1) == (1, 1, True)
    period = stage.pass_periods(2)
    with reverts("ComputePool_NotMemberIn", 1, period):
        stage.record(1, period, 10)


def test_pausing_stops_joining_and_traps_nothing(stage, send, actors, reverts):
    stage.member(1, 2)
    stage.add_node(3)
    send(stage.functions.admit(3), actors["owner"])
    send(stage.functions.setPaused(True), actors["guardian"])
    with reverts("Guarded_Paused"):
        send(stage.functions.join(3), actors["operator"])
    stage.pass_periods(1)
    stage.pay(100 * DOLLAR)
    period = stage.pass_periods()
    stage.record(1, period, 10)
    stage.distribute(period)
    stage.claim(1)
    send(stage.functions.resign(1), actors["operator"])
    send(stage.functions.dismiss(2), actors["owner"])
    assert stage.functions.accountOf(1).call()[2] == 0

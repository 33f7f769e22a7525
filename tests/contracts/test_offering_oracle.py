"""Offering over the real oracle: only signed, proven, final and unvetoed readings decide on delivery."""

from __future__ import annotations

import pytest
from oracle_bench import WINDOW_SECONDS, OracleBench
from sale_stage import DELIVERED, FAILED, HOUR, SHARE, ZERO_READING, raise_sale_stage

DELIVERY_WINDOWS = 3
RING_ROUNDS = 512


@pytest.fixture
def oracle(w3, deploy, send, actors, keys):
    bench = OracleBench(w3, deploy, send, actors, keys)
    bench.contract = deploy("TelemetryOracle", *bench.arguments(ring_rounds=RING_ROUNDS))
    return bench


@pytest.fixture
def stage(w3, deploy, send, actors, keys, compiled, oracle):
    return raise_sale_stage(w3, deploy, send, actors, keys, compiled["NodeShare"].abi, oracle=oracle.contract)


@pytest.fixture
def start(stage, oracle):
    """A sale that waits for three hours of uptime; the round whose end they count from, already reported."""
    now = stage.now()
    terms = stage.open(
        closes_at=now + HOUR + 60,
        delivery_seconds=DELIVERY_WINDOWS * WINDOW_SECONDS,
        deliver_by=now + 10 * HOUR,
        deliver_hard_limit=now + 20 * HOUR,
    )
    stage.fund("holder")
    stage.buy(300 * SHARE)
    stage.pass_until(terms.closes_at)
    stage.close()
    number = (stage.view().deliver_from - oracle.genesis) // WINDOW_SECONDS
    oracle.report(number, {stage.node: oracle.record(number)}, pushed=())
    return number


def reading(stage, oracle, number):
    return oracle.trees[number].reading(number, stage.node)


def confirm(stage, oracle, base, end):
    call = stage.offering.functions.confirmDelivery(
        stage.node, reading(stage, oracle, base), reading(stage, oracle, end)
    )
    return stage.send(call, stage.actors["stranger"])


def test_uptime_proven_by_the_reporters_is_delivery(stage, oracle, start):
    end = start + DELIVERY_WINDOWS
    oracle.report(end, {stage.node: oracle.record(end), 77: oracle.record(end)}, pushed=())
    oracle.pass_delay()
    confirm(stage, oracle, start, end)
    assert stage.view().state == DELIVERED


def test_what_is_not_final_decides_nothing(stage, oracle, start, reverts):
    end = start + DELIVERY_WINDOWS
    oracle.report(end, {stage.node: oracle.record(end)}, pushed=())
    with reverts("TelemetryOracle_RoundNotFinal"):
        confirm(stage, oracle, start, end)


def test_what_is_vetoed_decides_nothing(stage, oracle, start, reverts):
    end = start + DELIVERY_WINDOWS
    oracle.report(end, {stage.node: oracle.record(end)}, pushed=())
    oracle.veto(end)
    oracle.pass_delay()
    with reverts("TelemetryOracle_RoundVetoed"):
        confirm(stage, oracle, start, end)


def test_a_node_that_is_down_from_its_registration_on_is_found_wanting(stage, oracle, start):
    end = start + 9
    down = oracle.record(end, up_seconds=0, busy_gpu_seconds=0)
    oracle.report(end, {stage.node: down}, pushed=())
    oracle.pass_delay()
    miss = stage.offering.functions.failDelivery(stage.node, ZERO_READING, reading(stage, oracle, end))
    stage.send(miss, stage.actors["stranger"])
    assert stage.view().state == FAILED
    stage.refund(300 * SHARE)
    assert stage.view().refundable_usd6 == 0


def test_the_zero_reading_proves_nothing_else(stage, oracle, start, reverts):
    end = start + DELIVERY_WINDOWS
    oracle.report(end, {stage.node: oracle.record(end)}, pushed=())
    oracle.pass_delay()
    forged = (0, oracle.record(start).pack(), [])
    for function in ("confirmDelivery", "failDelivery"):
        call = stage.offering.functions[function](stage.node, forged, reading(stage, oracle, end))
        with reverts("TelemetryOracle_UnknownRound"):
            stage.send(call)

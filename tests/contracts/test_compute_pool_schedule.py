"""A pool's terms and their bounds, and its periods, which follow the oracle's windows."""

from __future__ import annotations

import pytest
from pool_stage import DAY, FINALITY, GATEWAY, HOUR, RING, WINDOW, Terms, raise_pool_stage

from wellhead.chain import local
from wellhead.reference.pool import Schedule

LEAST_COLLECTING = 6 * HOUR


@pytest.fixture(scope="module")
def make(w3, deploy, actors):
    """make(genesis=..., ring=..., gateway=..., **terms) -> a pool."""
    local.advance(w3, 1)

    def make_pool(genesis=None, ring=RING, gateway=GATEWAY.address, **terms):
        world = deploy("PoolWorldDouble", actors["treasury"])
        start = local.chain_time(w3) - 100 if genesis is None else genesis
        oracle = deploy("OracleStandIn", start, WINDOW, FINALITY, ring)
        return deploy(
            *("ComputePool", actors["owner"], actors["guardian"], world.address, oracle.address),
            *(gateway, tuple(Terms(**terms))),
        )

    return make_pool


def test_it_says_its_terms(make, actors):
    functions = make().functions
    assert functions.tauSeconds().call() == 7 * DAY
    assert functions.periodRounds().call() == 24
    assert functions.periodSeconds().call() == 24 * WINDOW
    assert functions.collectingSeconds().call() == 20 * HOUR
    assert functions.gpuClass().call() == Terms().gpu_class
    assert functions.asset().call() == actors["treasury"]
    assert functions.registry().call() == functions.factory().call()
    assert (functions.gateway().call(), functions.gatewayCount().call()) == (GATEWAY.address, 1)
    assert functions.owner().call() == actors["owner"]
    assert functions.guardian().call() == actors["guardian"]
    assert 0.133 < functions.wholeX64().call() / 2**64 < 0.134


@pytest.mark.parametrize("tau", [7 * DAY - 1, 90 * DAY + 1, 0])
def test_tau_is_bounded(make, reverts, tau):
    with reverts("ComputePool_TauOutOfBounds", tau, 7 * DAY, 90 * DAY):
        make(tau_seconds=tau)


@pytest.mark.parametrize(("rounds", "tau"), [(7, 7 * DAY), (25, 7 * DAY), (0, 90 * DAY), (129, 90 * DAY)])
def test_a_period_is_at_most_a_seventh_of_tau_and_half_the_ring(make, reverts, rounds, tau):
    most = min(tau // 7, RING * WINDOW // 2)
    with reverts("ComputePool_PeriodOutOfBounds", rounds * WINDOW, FINALITY + LEAST_COLLECTING, most):
        make(period_rounds=rounds, tau_seconds=tau)


@pytest.mark.parametrize("collecting", [LEAST_COLLECTING - 1, 22 * HOUR + 1])
def test_collecting_ends_within_the_next_period(make, reverts, collecting):
    with reverts("ComputePool_CollectingOutOfBounds", collecting, LEAST_COLLECTING, 24 * WINDOW - FINALITY):
        make(collecting_seconds=collecting)


def test_the_bounds_themselves_are_allowed(make):
    shortest = make(period_rounds=8, collecting_seconds=LEAST_COLLECTING, tau_seconds=90 * DAY)
    assert shortest.functions.periodSeconds().call() == FINALITY + LEAST_COLLECTING
    longest = make(period_rounds=128, collecting_seconds=128 * WINDOW - FINALITY, tau_seconds=90 * DAY)
    functions = longest.functions
    assert functions.distributableAt(1).call() == functions.periodEndOf(2).call()


def test_somebody_must_sign(make, send, actors, reverts):
    nobody = "0x" + "00" * 20
    with reverts("ComputePool_ZeroGateway"):
        make(gateway=nobody)
    with reverts("ComputePool_ZeroGateway"):
        send(make().functions.setGateway(nobody), actors["owner"])


@pytest.mark.parametrize("ahead", [-5 * WINDOW, -WINDOW // 2, -1, 500, 5 * WINDOW])
def test_periods_begin_with_the_first_window_that_ends_later(make, w3, ahead):
    now = local.chain_time(w3)
    genesis = now + ahead
    functions = make(genesis=genesis).functions
    made = w3.eth.get_block("latest")["timestamp"]
    start, first = functions.startRound().call(), functions.periodEndOf(0).call()
    assert first == genesis + start * WINDOW
    assert made < first
    assert first - WINDOW <= made or start == 1
    assert functions.roundsOf(1).call() == [start, start + 24]
    assert functions.roundsOf(10).call() == [start + 9 * 24, start + 10 * 24]


def test_periods_follow_without_gaps(w3, deploy, send, actors):
    stage = raise_pool_stage(w3, deploy, send, actors)
    schedule, functions = stage.schedule, stage.functions
    assert schedule == Schedule(schedule.start, DAY, 7 * DAY, FINALITY + 20 * HOUR)
    assert functions.wholeX64().call() == schedule.whole_x64
    for time in (
        0,
        schedule.start - 1,
        schedule.start,
        schedule.start + DAY - 1,
        schedule.start + DAY,
        2**40,
    ):
        assert functions.periodAt(time).call() == schedule.period_at(time)
    for period in (0, 1, 2, 999):
        assert functions.periodEndOf(period).call() == schedule.end_of(period)
        assert functions.distributableAt(period).call() == schedule.distributable_at(period)

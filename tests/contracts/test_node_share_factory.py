"""NodeShareFactory: one share per node, for its operator, on terms within bounds; and claims on many."""

from __future__ import annotations

import pytest
from share_stage import (
    ACTIVE,
    ATTESTED,
    DAY,
    NOBODY,
    RETIRED,
    SHARE_UNITS,
    SUSPENDED,
    ShareStage,
    ShareTerms,
    raise_stage,
    the_event,
)

HOUR = 3_600
MAX_TAU = 90 * DAY
MAX_SUPPLY = 1 << 48
EIP_170_BYTES = 24_576


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


def test_size__both_contracts_may_be_deployed(compiled):
    for name in ("NodeShare", "NodeShareFactory"):
        size = len(compiled[name].runtime_bytecode) // 2 - 1
        print(f"{name}: {size} bytes")
        assert size <= EIP_170_BYTES


def test_create__announces_the_share_and_its_terms(stage, send, actors):
    send(stage.registry.functions.set(7, actors["operator"], ACTIVE))
    terms = ShareTerms(name="Rig Seven", symbol="RIG7", tau_seconds=HOUR, operator_cut_bps=9_000)
    receipt = send(stage.factory.functions.create(7, tuple(terms)), sender=actors["operator"])
    event = the_event(stage.factory.events.ShareCreated(), receipt)
    assert event["node"] == 7
    assert event["operator"] == actors["operator"]
    assert event["share"] == stage.factory.functions.shareOf(7).call()
    assert event["terms"]["tauSeconds"] == HOUR
    share = stage.w3.eth.contract(event["share"], abi=stage.share_abi)
    assert share.functions.name().call() == "Rig Seven"
    assert share.functions.operatorCutBps().call() == 9_000


@pytest.mark.parametrize("status", [ATTESTED, ACTIVE, SUSPENDED])
def test_create__for_a_node_that_is_attested(stage, send, actors, status):
    send(stage.registry.functions.set(1, actors["operator"], status))
    send(stage.factory.functions.create(1, tuple(ShareTerms())), sender=actors["operator"])


@pytest.mark.parametrize("status", [0, 1, RETIRED])
def test_create__for_a_node_that_is_not_ready__refused(stage, send, actors, reverts, status):
    send(stage.registry.functions.set(1, actors["operator"], status))
    with reverts("NodeShareFactory_NodeNotReady", 1, status):
        send(stage.factory.functions.create(1, tuple(ShareTerms())), sender=actors["operator"])


def test_create__by_another_than_the_operator__refused(stage, send, actors, reverts):
    send(stage.registry.functions.set(1, actors["operator"], ACTIVE))
    for who in ("owner", "second_operator", "stranger"):
        with reverts("NodeShareFactory_NotOperator", 1, actors[who]):
            send(stage.factory.functions.create(1, tuple(ShareTerms())), sender=actors[who])


def test_create__twice__refused(stage, send, actors, reverts):
    share = stage.live_share()
    with reverts("NodeShareFactory_AlreadyCreated", 1, share.address):
        send(stage.factory.functions.create(1, tuple(ShareTerms())), sender=actors["operator"])


def test_create__for_an_issuer_that_is_not_allowed__refused(stage, send, actors, reverts):
    with reverts("NodeShareFactory_IssuerNotAllowed", actors["stranger"]):
        stage.create(ShareTerms(issuer=actors["stranger"], supply_units=0))
    send(stage.factory.functions.setIssuer(stage.issuer, False), sender=actors["owner"])
    with reverts("NodeShareFactory_IssuerNotAllowed", stage.issuer):
        stage.sale_share()


@pytest.mark.parametrize(("name", "symbol"), [("", "A"), ("A", ""), ("n" * 65, "A"), ("A", "s" * 17)])
def test_create__with_a_label_out_of_bounds__refused(stage, reverts, name, symbol):
    with reverts("NodeShareFactory_LabelOutOfBounds"):
        stage.live_share(name=name, symbol=symbol)


def test_create__with_the_longest_labels(stage):
    share = stage.live_share(name="n" * 64, symbol="s" * 16)
    assert share.functions.name().call() == "n" * 64


@pytest.mark.parametrize("tau", [0, HOUR - 1, MAX_TAU + 1])
def test_create__with_tau_out_of_bounds__refused(stage, reverts, tau):
    with reverts("NodeShare_TauOutOfBounds", tau, HOUR, MAX_TAU):
        stage.live_share(tau_seconds=tau)


@pytest.mark.parametrize("tau", [HOUR, MAX_TAU])
def test_create__with_tau_at_its_bounds(stage, tau):
    assert stage.live_share(tau_seconds=tau).functions.tauSeconds().call() == tau


def test_create__with_too_high_a_cut__refused(stage, reverts):
    with reverts("NodeShare_OperatorCutTooHigh", 9_001, 9_000):
        stage.live_share(operator_cut_bps=9_001)


@pytest.mark.parametrize("units", [0, SHARE_UNITS - 1])
def test_create__with_too_few_shares__refused(stage, reverts, units):
    with reverts("NodeShare_SupplyOutOfBounds", units, SHARE_UNITS, MAX_SUPPLY):
        stage.live_share(supply_units=units)


def test_create__with_too_many_shares__refused(stage, reverts):
    with reverts("NodeShare_SupplyOutOfBounds", MAX_SUPPLY + 1, 0, MAX_SUPPLY):
        stage.live_share(supply_units=MAX_SUPPLY + 1)


@pytest.mark.parametrize("units", [SHARE_UNITS, MAX_SUPPLY])
def test_create__with_supply_at_its_bounds(stage, actors, units):
    share = stage.live_share(supply_units=units)
    assert share.functions.balanceOf(actors["operator"]).call() == units


def test_create__with_supply_beside_an_issuer__refused(stage, reverts):
    with reverts("NodeShare_SupplyOutOfBounds", 5, 0, 0):
        stage.create(ShareTerms(issuer=stage.issuer, supply_units=5))


# The owner ----------------------------------------------------------------------------------------------


def test_settings__are_announced_and_kept(stage, send, actors):
    factory, guardian = stage.factory, actors["guardian"]
    receipt = send(factory.functions.setEnforcer(guardian), sender=actors["owner"])
    assert the_event(factory.events.EnforcerSet(), receipt) == {"enforcer": guardian}
    receipt = send(factory.functions.setTreasury(guardian), sender=actors["owner"])
    assert the_event(factory.events.TreasurySet(), receipt) == {"treasury": guardian}
    receipt = send(factory.functions.setProtocolCut(1_000), sender=actors["owner"])
    assert the_event(factory.events.ProtocolCutSet(), receipt) == {"protocolCutBps": 1_000}
    receipt = send(factory.functions.setIssuer(guardian, True), sender=actors["owner"])
    assert the_event(factory.events.IssuerSet(), receipt) == {"issuer": guardian, "allowed": True}
    assert factory.functions.enforcer().call() == factory.functions.treasury().call() == guardian
    assert factory.functions.protocolCutBps().call() == 1_000
    assert factory.functions.isIssuer(guardian).call()
    assert factory.functions.registry().call() == stage.registry.address
    assert factory.functions.asset().call() == stage.usd.address


def test_settings__by_another_than_the_owner__refused(stage, send, actors, reverts):
    functions = stage.factory.functions
    calls = (
        functions.setEnforcer(actors["stranger"]),
        functions.setTreasury(actors["stranger"]),
        functions.setProtocolCut(0),
        functions.setIssuer(actors["stranger"], True),
    )
    for call in calls:
        for who in ("guardian", "enforcer", "operator", "stranger"):
            with reverts("Unauthorized"):
                send(call, sender=actors[who])


def test_settings__out_of_bounds__refused(stage, send, actors, reverts):
    with reverts("NodeShareFactory_ProtocolCutTooHigh", 1_001, 1_000):
        send(stage.factory.functions.setProtocolCut(1_001), sender=actors["owner"])
    with reverts("NodeShareFactory_ZeroTreasury"):
        send(stage.factory.functions.setTreasury(NOBODY), sender=actors["owner"])


def test_protocol_cut__of_a_share_that_exists__stays(stage, send, actors):
    share = stage.live_share()
    send(stage.factory.functions.setProtocolCut(1_000), sender=actors["owner"])
    assert share.functions.protocolCutBps().call() == 250
    assert stage.create(ShareTerms(), node=2).functions.protocolCutBps().call() == 1_000


# Claims on many nodes -----------------------------------------------------------------------------------


def test_claim_many__pays_from_each_and_skips_the_empty(stage, send, actors):
    operator = actors["operator"]
    shares = [stage.create(ShareTerms(), node=number) for number in (1, 2, 3)]
    for share, income in zip(shares, (8_000_000, 0, 4_000_000), strict=True):
        stage.pay(share, income)
        send(share.functions.sync())
    send(shares[2].functions.setPayout(actors["customer"]), sender=operator)
    stage.pass_time(64 * DAY)
    claim = stage.factory.functions.claimMany([1, 2, 3, 1], operator)
    assert claim.call() == 6_999_999 + 3_499_999  # each share keeps less than a unit of dust
    send(claim, sender=actors["stranger"])
    assert stage.usd.functions.balanceOf(operator).call() == 6_999_999
    assert stage.usd.functions.balanceOf(actors["customer"]).call() == 3_499_999
    assert claim.call() == 0


def test_claim_many__of_a_node_without_a_share__refused(stage, send, actors, reverts):
    stage.live_share()
    with reverts("NodeShareFactory_NoShare", 9):
        send(stage.factory.functions.claimMany([1, 9], actors["operator"]))

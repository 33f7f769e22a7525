"""NodeRegistry: registering, attestation, and the life of a node until it retires."""

from __future__ import annotations

from typing import Any

import pytest
from registering import (
    BOND_PER_GPU,
    FAULTY,
    SPEC_URI,
    Spec,
    attestation,
    attestor_keys,
    deploy_registry,
    fund_bond,
    register_attested,
    signatures,
    spec_digest,
    strangers_signatures,
)
from web3 import Web3

NONE, REGISTERED, ATTESTED, ACTIVE, SUSPENDED, RETIRED = range(6)
NODE = 1


@pytest.fixture(scope="module")
def dollar(deploy):
    return deploy("MisbehavingDollar")


@pytest.fixture(scope="module")
def registry(deploy, actors, keys, dollar):
    return deploy_registry(deploy, actors, keys, dollar)


@pytest.fixture
def register(registry, send, actors):
    """register(operator_role, **fields of the spec): the node's number is the next one."""

    def call(role: str = "operator", **fields: Any) -> Spec:
        spec = Spec(**fields)
        send(registry.functions.register(spec, SPEC_URI), actors[role])
        return spec

    return call


@pytest.fixture
def attested(registry, send, actors, keys):
    """One node, attested."""
    assert register_attested(registry, send, actors["operator"], keys) == NODE
    return Spec()


@pytest.fixture
def active(registry, attested, dollar, send, actors):
    """One node, active, with exactly the bond that it needs."""
    bond = BOND_PER_GPU * attested.gpu_count
    fund_bond(registry, dollar, send, actors["operator"], bond)
    send(registry.functions.depositBond(NODE, bond), actors["operator"])
    send(registry.functions.activate(NODE), actors["operator"])
    return bond


@pytest.fixture
def market(registry, send, actors):
    send(registry.functions.setMarket(actors["stranger"], True), actors["owner"])
    return actors["stranger"]


def status(registry) -> int:
    return registry.functions.statusOf(NODE).call()


def test_registering_counts_from_one_and_keeps_every_field(registry, register, actors, w3):
    spec = register("operator")
    register("second_operator", gpu_count=1)
    assert registry.functions.nodeCount().call() == 2
    assert registry.functions.operatorOf(2).call() == actors["second_operator"]
    node = registry.functions.nodeOf(1).call()
    registered_at = w3.eth.get_block("latest")["timestamp"]
    assert node == (actors["operator"], REGISTERED, tuple(spec), pytest.approx(registered_at, abs=5), 0, 0, 0)
    assert registry.functions.nodeOf(3).call()[:2] == ("0x" + "0" * 40, NONE)


def test_registering_announces_spec_and_uri(registry, send, actors):
    receipt = send(registry.functions.register(Spec(), SPEC_URI), actors["operator"])
    (event,) = registry.events.RegisterNode().process_receipt(receipt)
    assert event["args"]["operator"] == actors["operator"]
    assert event["args"]["specUri"] == SPEC_URI
    assert event["args"]["specHash"] == Spec().spec_hash


def name(text: bytes) -> bytes:
    return text.ljust(16, b"\0")


@pytest.mark.parametrize(
    "text", [b"", b"H100 SXM", b"H100\0X", b"\x7f", b"\xc3\xa9", b"B200\n", b"A" * 15 + b" "]
)
def test_gpu_class_has_one_spelling(register, reverts, text):
    with reverts("NodeSpecs_InvalidGpuClass", name(text)):
        register(gpu_class=name(text))


@pytest.mark.parametrize("text", [b"R", b"RTX-PRO-6000-BW!"])
def test_gpu_class_takes_one_to_sixteen_characters(registry, register, text):
    register(gpu_class=name(text))
    assert status(registry) == REGISTERED


@pytest.mark.parametrize(
    "text",
    [b"", b"U", b"us-tx", b"US-", b"USX", b"US-TEXA", b"US-tx", b"US-T\0X", b"US TX", b"1S-TX", b"U1-TX"],
)
def test_region_is_an_iso_3166_2_code(register, reverts, text):
    region = text.ljust(8, b"\0")
    with reverts("NodeSpecs_InvalidRegion", region):
        register(region=region)


@pytest.mark.parametrize("text", [b"IS", b"US-TX", b"GB-ENG", b"JP-1", b"FR-75C"])
def test_region_may_be_a_country_or_a_part_of_it(registry, register, text):
    register(region=text.ljust(8, b"\0"))
    assert status(registry) == REGISTERED


def test_spec_fields_are_bounded(register, reverts):
    with reverts("NodeSpecs_NoGpus"):
        register(gpu_count=0)
    with reverts("NodeSpecs_PowerOutOfBounds", 0, 1_000_000):
        register(power_watts=0)
    with reverts("NodeSpecs_PowerOutOfBounds", 1_000_001, 1_000_000):
        register(power_watts=1_000_001)
    with reverts("NodeSpecs_SlaTooHigh", 10_001, 10_000):
        register(sla_bps=10_001)
    with reverts("NodeSpecs_NoSpecHash"):
        register(spec_hash=bytes(32))
    register(gpu_count=255, power_watts=1_000_000, sla_bps=10_000)


def test_spec_uri_is_bounded(registry, send, reverts, actors):
    limit = registry.functions.MAX_SPEC_URI_BYTES().call()
    send(registry.functions.register(Spec(), "x" * limit), actors["operator"])
    with reverts("NodeRegistry_SpecUriTooLong", limit + 1, limit):
        send(registry.functions.register(Spec(), "x" * (limit + 1)), actors["operator"])


def test_attestation_digest_is_plain_eip_712_over_operator_and_spec(registry, register, w3, actors):
    spec = register()
    digest = spec_digest(actors["operator"], spec)
    assert registry.functions.specDigestOf(NODE).call() == digest
    message = attestation(registry, w3.eth.chain_id, NODE, digest)
    ours = Web3.keccak(b"\x19" + message.version + message.header + message.body)
    assert registry.functions.attestationDigest(NODE).call() == ours


@pytest.mark.usefixtures("attested")
def test_a_quorum_attests_and_anyone_brings_it(registry):
    assert status(registry) == ATTESTED


@pytest.mark.parametrize(
    "change",
    [
        {"gpu_class": name(b"H200")},
        {"gpu_count": 7},
        {"region": b"US-TY".ljust(8, b"\0")},
        {"power_watts": 10_201},
        {"sla_bps": 9_951},
        {"spec_hash": bytes.fromhex("5f" * 32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_signatures_cover_every_field_of_the_spec(registry, register, send, w3, actors, keys, change):
    other = register()._replace(**change)
    message = attestation(registry, w3.eth.chain_id, NODE, spec_digest(actors["operator"], other))
    with strangers_signatures():
        send(registry.functions.attest(NODE, signatures(message, attestor_keys(keys)[:3])))


def test_signatures_are_for_one_operator_one_node_one_registry(
    registry, register, send, w3, actors, keys, deploy, dollar
):
    spec = register()
    register("second_operator")
    chain_id = w3.eth.chain_id
    three = attestor_keys(keys)[:3]
    digest = spec_digest(actors["operator"], spec)
    twin = deploy_registry(deploy, actors, keys, dollar)
    for message in (
        attestation(registry, chain_id, NODE, spec_digest(actors["second_operator"], spec)),
        attestation(registry, chain_id, 2, digest),
        attestation(registry, chain_id + 1, NODE, digest),
        attestation(twin, chain_id, NODE, digest),
    ):
        with strangers_signatures():
            send(registry.functions.attest(NODE, signatures(message, three)))
    send(registry.functions.attest(NODE, signatures(attestation(registry, chain_id, NODE, digest), three)))


def test_fewer_than_a_quorum_attest_nothing(registry, register, send, reverts, w3, actors, keys):
    spec = register()
    message = attestation(registry, w3.eth.chain_id, NODE, spec_digest(actors["operator"], spec))
    with reverts("Quorum_WrongSignatureLength", 128, 192):
        send(registry.functions.attest(NODE, signatures(message, attestor_keys(keys)[:2])))


def test_a_changed_attestor_set_voids_earlier_signatures(registry, register, send, w3, actors, keys):
    spec = register()
    signers = attestor_keys(keys)
    message = attestation(registry, w3.eth.chain_id, NODE, spec_digest(actors["operator"], spec))
    before = registry.functions.configDigest().call()
    send(registry.functions.setAttestors([key.address for key in signers], FAULTY), actors["owner"])
    assert registry.functions.configDigest().call() != before
    with strangers_signatures():
        send(registry.functions.attest(NODE, signatures(message, signers[:3])))
    again = attestation(registry, w3.eth.chain_id, NODE, spec_digest(actors["operator"], spec))
    send(registry.functions.attest(NODE, signatures(again, signers[:3])))


def test_attestors_can_be_read(registry, keys):
    assert registry.functions.attestors().call() == [key.address for key in attestor_keys(keys)]
    assert registry.functions.quorum().call() == 3


def test_weak_attestor_sets_are_refused(registry, send, reverts, actors, keys):
    three = [key.address for key in attestor_keys(keys)][:3]
    with reverts("Quorum_Weak", 3, 1):
        send(registry.functions.setAttestors(three, 1), actors["owner"])


@pytest.mark.usefixtures("attested")
def test_only_registered_nodes_are_attested(registry, send, reverts):
    with reverts("NodeRegistry_WrongStatus", NODE, ATTESTED):
        send(registry.functions.attest(NODE, b""))
    with reverts("NodeRegistry_WrongStatus", 2, NONE):
        send(registry.functions.attest(2, b""))


@pytest.mark.usefixtures("attested")
def test_activating_needs_attestation_bond_and_the_operator(registry, send, reverts, actors, register):
    with reverts("NodeRegistry_NotOperator", NODE, actors["stranger"]):
        send(registry.functions.activate(NODE), actors["stranger"])
    with reverts("NodeRegistry_BondTooLow", NODE, 0, BOND_PER_GPU * 8):
        send(registry.functions.activate(NODE), actors["operator"])
    register()
    with reverts("NodeRegistry_WrongStatus", 2, REGISTERED):
        send(registry.functions.activate(2), actors["operator"])


def test_activating_takes_exactly_the_required_bond(registry, active, send, reverts, actors):
    assert status(registry) == ACTIVE
    assert registry.functions.requiredBondUsd6(NODE).call() == active
    with reverts("NodeRegistry_WrongStatus", NODE, ACTIVE):
        send(registry.functions.activate(NODE), actors["operator"])


@pytest.mark.usefixtures("active")
def test_the_operator_resumes_what_the_operator_suspended(registry, send, reverts, actors):
    send(registry.functions.suspend(NODE), actors["operator"])
    assert status(registry) == SUSPENDED
    with reverts("NodeRegistry_WrongStatus", NODE, SUSPENDED):
        send(registry.functions.suspend(NODE), actors["operator"])
    with reverts("NodeRegistry_WrongStatus", NODE, SUSPENDED):
        send(registry.functions.resume(NODE), actors["guardian"])
    send(registry.functions.activate(NODE), actors["operator"])
    assert status(registry) == ACTIVE


@pytest.mark.usefixtures("active")
def test_the_guardian_resumes_what_the_guardian_suspended(registry, send, reverts, actors):
    send(registry.functions.suspend(NODE), actors["guardian"])
    assert registry.functions.isSuspendedByGuardian(NODE).call()
    with reverts("NodeRegistry_SuspendedByGuardian", NODE):
        send(registry.functions.activate(NODE), actors["operator"])
    with reverts("Guarded_NotGuardian", actors["operator"]):
        send(registry.functions.resume(NODE), actors["operator"])
    with reverts("NodeRegistry_WrongStatus", NODE, SUSPENDED):
        send(registry.functions.suspend(NODE), actors["guardian"])
    send(registry.functions.resume(NODE), actors["guardian"])
    assert status(registry) == ATTESTED
    send(registry.functions.activate(NODE), actors["operator"])
    assert status(registry) == ACTIVE


@pytest.mark.usefixtures("active")
def test_the_guardian_takes_over_a_suspension(registry, send, reverts, actors):
    send(registry.functions.suspend(NODE), actors["operator"])
    send(registry.functions.suspend(NODE), actors["guardian"])
    with reverts("NodeRegistry_SuspendedByGuardian", NODE):
        send(registry.functions.activate(NODE), actors["operator"])


@pytest.mark.usefixtures("active")
def test_nobody_else_suspends(registry, send, reverts, actors):
    with reverts("NodeRegistry_MayNotSuspend", NODE, actors["stranger"]):
        send(registry.functions.suspend(NODE), actors["stranger"])


def test_unattested_nodes_are_not_suspended(registry, register, send, reverts, actors):
    register()
    with reverts("NodeRegistry_WrongStatus", NODE, REGISTERED):
        send(registry.functions.suspend(NODE), actors["guardian"])
    with reverts("NodeRegistry_WrongStatus", 9, NONE):
        send(registry.functions.suspend(9), actors["guardian"])


@pytest.mark.usefixtures("active")
def test_retiring_is_the_operators_and_final(registry, send, reverts, actors):
    with reverts("NodeRegistry_NotOperator", NODE, actors["guardian"]):
        send(registry.functions.retire(NODE), actors["guardian"])
    send(registry.functions.retire(NODE), actors["operator"])
    for call, role in (("activate", "operator"), ("retire", "operator"), ("suspend", "guardian")):
        with reverts("NodeRegistry_WrongStatus", NODE, RETIRED):
            send(registry.functions[call](NODE), actors[role])
    with reverts("NodeRegistry_WrongStatus", NODE, RETIRED):
        send(registry.functions.depositBond(NODE, 1), actors["operator"])


@pytest.mark.usefixtures("active")
def test_a_suspension_does_not_keep_a_node_from_retiring(registry, send, actors):
    send(registry.functions.suspend(NODE), actors["guardian"])
    send(registry.functions.retire(NODE), actors["operator"])
    assert status(registry) == RETIRED
    assert not registry.functions.isSuspendedByGuardian(NODE).call()


@pytest.mark.usefixtures("active")
def test_retiring_waits_for_holds(registry, send, reverts, actors, market):
    send(registry.functions.hold(NODE), market)
    send(registry.functions.hold(NODE), market)
    send(registry.functions.release(NODE), market)
    with reverts("NodeRegistry_Held", NODE, 1):
        send(registry.functions.retire(NODE), actors["operator"])
    send(registry.functions.release(NODE), market)
    send(registry.functions.retire(NODE), actors["operator"])


@pytest.mark.usefixtures("active")
def test_retiring_waits_for_the_commitment(registry, send, reverts, actors, market, w3):
    until = w3.eth.get_block("latest")["timestamp"] + 1_000
    send(registry.functions.commitUntil(NODE, until), market)
    send(registry.functions.commitUntil(NODE, until - 500), market)
    with reverts("NodeRegistry_Committed", NODE, until):
        send(registry.functions.retire(NODE), actors["operator"])
    w3.provider.make_request("evm_setNextBlockTimestamp", [until])
    w3.provider.make_request("evm_mine", [])
    send(registry.functions.retire(NODE), actors["operator"])


@pytest.mark.usefixtures("active")
def test_only_named_markets_put_obligations_on_nodes(registry, send, reverts, actors):
    with reverts("NodeRegistry_NotMarket", NODE, actors["stranger"]):
        send(registry.functions.hold(NODE), actors["stranger"])
    with reverts("NodeRegistry_NotMarket", NODE, actors["stranger"]):
        send(registry.functions.commitUntil(NODE, 2**40 - 1), actors["stranger"])
    with reverts("NodeRegistry_NothingHeld", NODE, actors["stranger"]):
        send(registry.functions.release(NODE), actors["stranger"])
    with reverts("Unauthorized"):
        send(registry.functions.setMarket(actors["stranger"], True), actors["guardian"])


@pytest.mark.usefixtures("active")
def test_a_market_that_is_no_longer_named_ends_what_it_began(registry, send, reverts, actors, market):
    send(registry.functions.hold(NODE), market)
    send(registry.functions.setMarket(market, False), actors["owner"])
    with reverts("NodeRegistry_NotMarket", NODE, market):
        send(registry.functions.hold(NODE), market)
    send(registry.functions.commitUntil(NODE, 77), market)
    send(registry.functions.release(NODE), market)
    assert tuple(registry.functions.nodeOf(NODE).call()[5:]) == (77, 0)
    with reverts("NodeRegistry_NotMarket", NODE, market):
        send(registry.functions.commitUntil(NODE, 78), market)


@pytest.mark.usefixtures("active")
def test_one_market_cannot_lift_anothers_hold(registry, send, reverts, actors, market):
    send(registry.functions.setMarket(actors["customer"], True), actors["owner"])
    send(registry.functions.hold(NODE), market)
    with reverts("NodeRegistry_NothingHeld", NODE, actors["customer"]):
        send(registry.functions.release(NODE), actors["customer"])


def test_only_attested_or_active_nodes_are_held(registry, register, send, reverts, market):
    register()
    with reverts("NodeRegistry_WrongStatus", NODE, REGISTERED):
        send(registry.functions.hold(NODE), market)
    with reverts("NodeRegistry_WrongStatus", 2, NONE):
        send(registry.functions.commitUntil(2, 5), market)


@pytest.mark.usefixtures("active")
def test_suspended_and_retired_nodes_are_not_held(registry, send, reverts, actors, market):
    send(registry.functions.suspend(NODE), actors["operator"])
    with reverts("NodeRegistry_WrongStatus", NODE, SUSPENDED):
        send(registry.functions.hold(NODE), market)
    send(registry.functions.retire(NODE), actors["operator"])
    with reverts("NodeRegistry_WrongStatus", NODE, RETIRED):
        send(registry.functions.hold(NODE), market)
    with reverts("NodeRegistry_WrongStatus", NODE, RETIRED):
        send(registry.functions.commitUntil(NODE, 5), market)


@pytest.mark.usefixtures("active")
def test_a_pause_stops_registering_and_deposits_only(registry, send, reverts, actors, register, market):
    with reverts("Guarded_NotGuardian", actors["owner"]):
        send(registry.functions.setPaused(True), actors["owner"])
    send(registry.functions.hold(NODE), market)
    send(registry.functions.setPaused(True), actors["guardian"])
    with reverts("Guarded_Paused"):
        register()
    with reverts("Guarded_Paused"):
        send(registry.functions.depositBond(NODE, 1), actors["operator"])
    send(registry.functions.release(NODE), market)
    send(registry.functions.suspend(NODE), actors["operator"])
    send(registry.functions.activate(NODE), actors["operator"])
    send(registry.functions.retire(NODE), actors["operator"])
    send(registry.functions.setPaused(False), actors["guardian"])
    register()


def test_the_owner_names_guardian_and_attestors(registry, send, reverts, actors):
    with reverts("Unauthorized"):
        send(registry.functions.setGuardian(actors["stranger"]), actors["guardian"])
    with reverts("Unauthorized"):
        send(registry.functions.setAttestors([], 1), actors["guardian"])
    send(registry.functions.setGuardian(actors["stranger"]), actors["owner"])
    send(registry.functions.setPaused(True), actors["stranger"])
    assert registry.functions.isPaused().call()

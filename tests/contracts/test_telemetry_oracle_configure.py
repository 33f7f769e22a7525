"""What the oracle can be deployed with, and who may change what."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from oracle_bench import DELAY_SECONDS, FAULTY, RING_ROUNDS, WINDOW_SECONDS, OracleBench
from web3 import Web3

from wellhead.chain import local
from wellhead.reference import quorum

ZERO = "0x" + "00" * 20
DAY = 86_400


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    return OracleBench(w3, deploy, send, actors, keys)


def ascii_word(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


def test_the_schedule_and_roles_are_as_deployed(oracle: OracleBench, actors: Mapping[str, str]) -> None:
    read = oracle.functions
    assert read.genesis().call() == oracle.genesis
    assert read.windowSeconds().call() == WINDOW_SECONDS
    assert read.finalityDelaySeconds().call() == DELAY_SECONDS
    assert read.ringRounds().call() == RING_ROUNDS
    assert read.owner().call() == actors["owner"]
    assert read.guardian().call() == actors["guardian"]
    assert read.reporters().call() == oracle.addresses
    assert read.quorum().call() == quorum.needed_for(FAULTY)
    assert read.configCount().call() == 1
    assert read.latestRound().call() == 0
    assert read.lastVetoedRound().call() == 0


def test_the_digest_names_chain_contract_and_configuration(oracle: OracleBench) -> None:
    assert oracle.functions.configDigest().call() == quorum.config_digest(
        oracle.w3.eth.chain_id, oracle.contract.address, 1, FAULTY, oracle.addresses
    )


def test_the_domain_is_the_one_that_reporters_sign_for(oracle: OracleBench) -> None:
    fields, name, version, chain_id, contract, _, _ = oracle.functions.eip712Domain().call()
    assert (fields, (name, version)) == (b"\x0f", quorum.ORACLE_DOMAIN)
    assert (chain_id, contract) == (oracle.w3.eth.chain_id, oracle.contract.address)


@pytest.mark.parametrize(
    ("argument", "parameter", "value", "lowest", "highest"),
    [
        ("window_seconds", "windowSeconds", 59, 60, 12 * 3_600),
        ("window_seconds", "windowSeconds", 12 * 3_600 + 1, 60, 12 * 3_600),
        ("delay_seconds", "finalityDelaySeconds", 59, 60, WINDOW_SECONDS * RING_ROUNDS // 2),
        ("delay_seconds", "finalityDelaySeconds", 200_000, 60, WINDOW_SECONDS * RING_ROUNDS // 2),
        ("ring_rounds", "ringRounds", 63, 64, 65_536),
        ("ring_rounds", "ringRounds", 65_537, 64, 65_536),
    ],
)
def test_parameters_outside_their_bounds_are_refused(
    oracle: OracleBench,
    deploy: Any,
    reverts: Any,
    argument: str,
    parameter: str,
    value: int,
    lowest: int,
    highest: int,
) -> None:
    with reverts("TelemetryOracle_OutOfBounds", ascii_word(parameter), value, lowest, highest):
        deploy("TelemetryOracle", *oracle.arguments(**{argument: value}))


def test_the_delay_is_at_most_a_week_however_long_the_ring(
    oracle: OracleBench, deploy: Any, reverts: Any
) -> None:
    deploy("TelemetryOracle", *oracle.arguments(ring_rounds=65_536, delay_seconds=7 * DAY))
    with reverts("TelemetryOracle_OutOfBounds", ascii_word("finalityDelaySeconds"), 7 * DAY + 1, 60, 7 * DAY):
        deploy("TelemetryOracle", *oracle.arguments(ring_rounds=65_536, delay_seconds=7 * DAY + 1))


@pytest.mark.parametrize("away", [-8 * DAY, 8 * DAY])
def test_genesis_must_be_near(oracle: OracleBench, deploy: Any, reverts: Any, away: int) -> None:
    deploy("TelemetryOracle", *oracle.arguments(genesis=oracle.genesis + away // 8 * 6))
    with reverts("TelemetryOracle_OutOfBounds"):
        deploy("TelemetryOracle", *oracle.arguments(genesis=oracle.genesis + away))


@pytest.mark.parametrize(("reporters", "faulty"), [(5, 0), (3, 1), (0, 1), (5, 2), (5, 255)])
def test_a_weak_quorum_cannot_be_deployed(
    oracle: OracleBench, deploy: Any, reverts: Any, reporters: int, faulty: int
) -> None:
    with reverts("Quorum_Weak", reporters, faulty):
        deploy("TelemetryOracle", *oracle.arguments(reporters=oracle.addresses[:reporters], faulty=faulty))


def test_misordered_or_zero_reporters_cannot_be_deployed(
    oracle: OracleBench, deploy: Any, reverts: Any
) -> None:
    first, second, *rest = oracle.addresses
    with reverts("Quorum_SignersNotAscending", 1, second, first):
        deploy("TelemetryOracle", *oracle.arguments(reporters=[second, first, *rest]))
    with reverts("Quorum_SignersNotAscending", 1, first, first):
        deploy("TelemetryOracle", *oracle.arguments(reporters=[first, first, *rest]))
    with reverts("Quorum_SignersNotAscending", 0, ZERO, ZERO):
        deploy("TelemetryOracle", *oracle.arguments(reporters=[ZERO, first, second, *rest]))


def test_roles_cannot_be_zero(
    oracle: OracleBench, deploy: Any, send: Any, actors: Mapping[str, str], reverts: Any
) -> None:
    with reverts("TelemetryOracle_ZeroGuardian"):
        deploy("TelemetryOracle", *oracle.arguments(guardian=ZERO))
    with reverts("NewOwnerIsZeroAddress"):
        deploy("TelemetryOracle", *oracle.arguments(owner=ZERO))
    with reverts("TelemetryOracle_ZeroGuardian"):
        send(oracle.functions.setGuardian(ZERO), sender=actors["owner"])


def test_only_the_owner_configures(
    oracle: OracleBench, send: Any, actors: Mapping[str, str], reverts: Any
) -> None:
    for nobody in (actors["stranger"], actors["guardian"], oracle.addresses[0]):
        with reverts("Unauthorized"):
            send(oracle.functions.setReporters(oracle.addresses, FAULTY), sender=nobody)
        with reverts("Unauthorized"):
            send(oracle.functions.setGuardian(nobody), sender=nobody)


def test_the_owner_names_another_guardian(oracle: OracleBench, send: Any, actors: Mapping[str, str]) -> None:
    receipt = send(oracle.functions.setGuardian(actors["stranger"]), sender=actors["owner"])
    (event,) = oracle.contract.events.GuardianSet().process_receipt(receipt)
    assert event["args"]["previousGuardian"] == actors["guardian"]
    assert event["args"]["newGuardian"] == actors["stranger"]
    assert oracle.functions.guardian().call() == actors["stranger"]


def test_other_reporters_take_over(oracle: OracleBench, send: Any, actors: Mapping[str, str]) -> None:
    before = oracle.functions.configDigest().call()
    fewer = oracle.addresses[:4]
    receipt = send(oracle.functions.setReporters(fewer, FAULTY), sender=actors["owner"])
    (event,) = oracle.contract.events.ReportersSet().process_receipt(receipt)
    digest = quorum.config_digest(oracle.w3.eth.chain_id, oracle.contract.address, 2, FAULTY, fewer)
    assert dict(event["args"]) == {
        "configCount": 2,
        "configDigest": digest,
        "quorum": 3,
        "reporters": fewer,
    }
    assert oracle.functions.configDigest().call() == digest != before
    assert oracle.functions.reporters().call() == fewer


def test_the_same_reporters_set_again_are_another_configuration(
    oracle: OracleBench, send: Any, actors: Mapping[str, str]
) -> None:
    before = oracle.functions.configDigest().call()
    send(oracle.functions.setReporters(oracle.addresses, FAULTY), sender=actors["owner"])
    assert oracle.functions.configDigest().call() != before


def test_a_weak_quorum_cannot_be_set(
    oracle: OracleBench, send: Any, actors: Mapping[str, str], reverts: Any
) -> None:
    with reverts("Quorum_Weak", 3, 1):
        send(oracle.functions.setReporters(oracle.addresses[:3], 1), sender=actors["owner"])


def test_windows_and_rounds_name_each_other(oracle: OracleBench) -> None:
    read = oracle.functions
    assert read.windowEndOf(0).call() == oracle.genesis
    for number in (1, 2, 1_000, 2**24 - 1):
        end = oracle.window_end(number)
        assert read.windowEndOf(number).call() == end
        assert read.roundEndedBy(end).call() == number
        assert read.roundEndedBy(end - 1).call() == number - 1
    assert read.roundEndedBy(0).call() == 0
    assert read.roundEndedBy(oracle.genesis).call() == 0
    assert read.roundEndedBy(2**40 - 1).call() == 2**24 - 1  # rounds end there


def test_reporting_waits_for_a_genesis_ahead(
    w3: Web3, oracle: OracleBench, deploy: Any, reverts: Any
) -> None:
    early = oracle.elsewhere(deploy, genesis=local.chain_time(w3) + DAY)
    with reverts("TelemetryOracle_WindowNotEnded"):
        early.signed(1).call()
    early.report(1, {1: early.record(1)})
    assert early.functions.latestRound().call() == 1

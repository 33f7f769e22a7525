"""The veto: the guardian's, in time; and the way back to the last good records."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from oracle_bench import DELAY_SECONDS, RING_ROUNDS, OracleBench
from web3 import Web3

from wellhead.chain import local
from wellhead.reference.merkle import Reading, RecordTree

NODE = 7
OTHER_NODE = 8


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    """Rounds 5 to 7 are reported; none is final."""
    bench = OracleBench(w3, deploy, send, actors, keys)
    bench.pass_window(7)
    for number in (5, 6, 7):
        record = bench.record(number)
        bench.report(number, {NODE: record, OTHER_NODE: record})
    return bench


def test_the_guardian_vetoes_a_round(oracle: OracleBench, send: Any, actors: Mapping[str, str]) -> None:
    receipt = send(oracle.functions.veto(6, "clock skew"), sender=actors["guardian"])
    (event,) = oracle.contract.events.RoundVetoed().process_receipt(receipt)
    assert dict(event["args"]) == {"round": 6, "guardian": actors["guardian"], "reason": "clock skew"}
    root, posted_at, vetoed = oracle.functions.roundInfo(6).call()
    assert (root, vetoed) == (oracle.trees[6].root, True)
    assert posted_at > 0
    assert oracle.functions.lastVetoedRound().call() == 6
    assert not oracle.functions.roundInfo(5).call()[2]
    assert not oracle.functions.roundInfo(7).call()[2]


def test_vetoes_may_come_in_any_order(oracle: OracleBench) -> None:
    oracle.veto(7)
    oracle.veto(5)
    assert oracle.functions.lastVetoedRound().call() == 7
    assert [oracle.functions.roundInfo(number).call()[2] for number in (5, 6, 7)] == [True, False, True]


def test_nobody_else_vetoes(oracle: OracleBench, send: Any, actors: Mapping[str, str], reverts: Any) -> None:
    for nobody in (actors["stranger"], actors["owner"], oracle.addresses[0]):
        with reverts("TelemetryOracle_NotGuardian", nobody):
            send(oracle.functions.veto(6, "mine"), sender=nobody)


@pytest.mark.parametrize("unknown", [0, 4, 8, 5 + RING_ROUNDS, 2**24 - 1])
def test_an_unknown_round_cannot_be_vetoed(
    oracle: OracleBench, send: Any, actors: Mapping[str, str], reverts: Any, unknown: int
) -> None:
    with reverts("TelemetryOracle_UnknownRound", unknown):
        send(oracle.functions.veto(unknown, ""), sender=actors["guardian"])


def test_a_round_is_vetoed_once(oracle: OracleBench, reverts: Any) -> None:
    oracle.veto(6)
    with reverts("TelemetryOracle_RoundVetoed", 6):
        oracle.veto(6)


def test_a_final_round_stands(oracle: OracleBench, actors: Mapping[str, str], reverts: Any) -> None:
    final_at = oracle.functions.roundInfo(6).call()[1] + DELAY_SECONDS
    guardian = {"from": actors["guardian"]}
    local.advance(oracle.w3, final_at - 1 - local.chain_time(oracle.w3))
    oracle.functions.veto(6, "").call(guardian)
    assert not oracle.functions.isFinal(6).call()
    local.advance(oracle.w3, 1)
    with reverts("TelemetryOracle_RoundFinal", 6, final_at):
        oracle.functions.veto(6, "").call(guardian)
    assert oracle.functions.isFinal(6).call()


def test_a_vetoed_round_never_becomes_final(oracle: OracleBench, reverts: Any) -> None:
    oracle.veto(6)
    oracle.pass_delay()
    assert not oracle.functions.isFinal(6).call()
    with reverts("TelemetryOracle_RoundVetoed", 6):
        oracle.proven(NODE, 6)


def test_a_vetoed_record_is_not_shown(oracle: OracleBench) -> None:
    oracle.veto(6)
    assert oracle.latest(NODE) == oracle.record(7)
    oracle.veto(7)
    assert oracle.functions.latestRecord(NODE).call() == (0,) * 7


def restore(oracle: OracleBench, round_number: int, node: int = NODE) -> Any:
    return oracle.functions.restore(node, oracle.trees[round_number].reading(round_number, node))


def test_anyone_restores_the_last_good_record_at_once(
    oracle: OracleBench, send: Any, actors: Mapping[str, str]
) -> None:
    oracle.veto(7)
    assert not oracle.functions.isFinal(6).call()
    receipt = send(restore(oracle, 6), sender=actors["stranger"])
    (event,) = oracle.contract.events.RecordRestored().process_receipt(receipt)
    assert dict(event["args"]) == {
        "node": NODE,
        "round": 6,
        "record": oracle.record(6).pack(),
        "caller": actors["stranger"],
    }
    assert oracle.latest(NODE) == oracle.record(6)
    assert oracle.functions.latestRecord(OTHER_NODE).call() == (0,) * 7


def test_restoring_converges_on_the_newest_good_record(oracle: OracleBench, send: Any, reverts: Any) -> None:
    oracle.veto(7)
    send(restore(oracle, 5))
    send(restore(oracle, 6))
    assert oracle.latest(NODE) == oracle.record(6)
    with reverts("NodeRecords_WindowsOverlap", oracle.window_end(6), oracle.window_end(5)):
        send(restore(oracle, 5))
    with reverts("NodeRecords_WindowsOverlap", oracle.window_end(6), oracle.window_end(6)):
        send(restore(oracle, 6))


def test_a_vetoed_round_restores_nothing(oracle: OracleBench, send: Any, reverts: Any) -> None:
    oracle.veto(7)
    oracle.veto(6)
    with reverts("TelemetryOracle_RoundVetoed", 6):
        send(restore(oracle, 6))


def test_a_record_may_be_restored_where_none_was_pushed(oracle: OracleBench, send: Any) -> None:
    record = oracle.record(8)
    oracle.report(8, {1: record, 2: record, 3: record}, pushed=[1])
    send(restore(oracle, 8, node=3))
    assert oracle.latest(3) == record


def test_a_standing_record_is_replaced_by_one_that_follows(
    oracle: OracleBench, send: Any, reverts: Any
) -> None:
    good, bad = oracle.record(8), oracle.record(8, energy_wh=0)
    oracle.report(8, {NODE: good, OTHER_NODE: bad}, pushed=[])
    send(restore(oracle, 8))
    assert oracle.latest(NODE) == good
    with reverts("NodeRecords_CounterWentBack"):
        send(restore(oracle, 8, node=OTHER_NODE))


def test_nothing_is_restored_without_a_proof(oracle: OracleBench, send: Any, reverts: Any) -> None:
    oracle.veto(7)
    record, proof = oracle.record(6), oracle.trees[6].proof(NODE)
    with reverts("TelemetryOracle_ForgedProof"):
        send(oracle.functions.restore(NODE, Reading(6, oracle.record(6, work_units=1).pack(), proof)))
    with reverts("TelemetryOracle_ForgedProof"):
        send(oracle.functions.restore(NODE, Reading(6, record.pack(), [])))
    with reverts("TelemetryOracle_UnknownRound", 4):
        send(oracle.functions.restore(NODE, Reading(4, record.pack(), proof)))


def test_what_is_restored_must_be_possible(oracle: OracleBench, send: Any, reverts: Any) -> None:
    impossible = oracle.record(8, gpu_count=0)
    late = oracle.record(9)
    oracle.report(8, {1: impossible, 2: late}, pushed=[])
    with reverts("NodeRecords_NoGpus"):
        send(restore(oracle, 8, node=1))
    with reverts("TelemetryOracle_WindowMismatch", 2, late.window_end, oracle.window_end(8)):
        send(restore(oracle, 8, node=2))


def test_reports_go_on_from_a_restored_record(oracle: OracleBench, send: Any, reverts: Any) -> None:
    oracle.veto(7)
    send(restore(oracle, 6))
    oracle.pass_window(8)
    bad = RecordTree([(NODE, oracle.record(8, energy_wh=0))])
    entries = NODE.to_bytes(4, "big") + bad.reading(8, NODE).record
    with reverts("NodeRecords_CounterWentBack"):
        send(oracle.signed(8, bad.root, entries))
    oracle.report(8, {NODE: oracle.record(8)})
    assert oracle.latest(NODE) == oracle.record(8)

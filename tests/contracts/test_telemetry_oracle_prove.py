"""Proven records: what money may depend on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from oracle_bench import DELAY_SECONDS, RING_ROUNDS, OracleBench
from web3 import Web3

from wellhead.chain import local
from wellhead.reference.merkle import Reading, leaf_of
from wellhead.reference.record import NodeRecord

NODES = range(1, 12)  # 11 leaves: odd nodes are promoted on two levels


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    """Round 5 is reported and final; no record was pushed."""
    bench = OracleBench(w3, deploy, send, actors, keys)
    bench.report(5, {node: bench.record(5, work_units=node) for node in NODES}, pushed=[])
    bench.pass_delay()
    return bench


def proof_of(oracle: OracleBench, reading: Reading, node: int = 4) -> NodeRecord:
    return NodeRecord(*oracle.functions.provenRecord(node, reading).call())


@pytest.mark.parametrize("node", NODES)
def test_every_node_of_the_tree_is_proven(oracle: OracleBench, node: int) -> None:
    assert oracle.proven(node, 5) == oracle.record(5, work_units=node)


def test_a_tree_of_one_needs_no_path(oracle: OracleBench) -> None:
    oracle.report(6, {4: oracle.record(6)})
    oracle.pass_delay()
    assert oracle.trees[6].proof(4) == []
    assert oracle.proven(4, 6) == oracle.record(6)


def test_an_unfinished_round_proves_nothing(oracle: OracleBench, reverts: Any) -> None:
    oracle.report(6, {4: oracle.record(6)})
    final_at = oracle.functions.roundInfo(6).call()[1] + DELAY_SECONDS
    local.advance(oracle.w3, final_at - 1 - local.chain_time(oracle.w3))
    with reverts("TelemetryOracle_RoundNotFinal", 6, final_at):
        oracle.proven(4, 6)
    local.advance(oracle.w3, 1)
    assert oracle.proven(4, 6) == oracle.record(6)


@pytest.mark.parametrize("unknown", [0, 4, 6, 5 + RING_ROUNDS])
def test_an_unknown_round_proves_nothing(oracle: OracleBench, reverts: Any, unknown: int) -> None:
    reading = oracle.trees[5].reading(unknown, 4)
    with reverts("TelemetryOracle_UnknownRound", unknown):
        proof_of(oracle, reading)
    assert not oracle.functions.isFinal(unknown).call()


def test_an_overwritten_round_proves_nothing(oracle: OracleBench, reverts: Any) -> None:
    later = 5 + RING_ROUNDS
    oracle.report(later, {4: oracle.record(later)})
    with reverts("TelemetryOracle_UnknownRound", 5):
        oracle.proven(4, 5)


def test_a_forged_record_or_path_is_refused(oracle: OracleBench, reverts: Any) -> None:
    number, record, proof = oracle.trees[5].reading(5, 4)
    forged = oracle.record(5, work_units=5).pack()
    flipped = [bytes([proof[0][0] ^ 1]) + proof[0][1:], *proof[1:]]
    for reading in (
        Reading(number, forged, proof),
        Reading(number, record, flipped),
        Reading(number, record, proof[:-1]),
        Reading(number, record, [*proof, bytes(32)]),
        Reading(number, record, []),
    ):
        with reverts("TelemetryOracle_ForgedProof"):
            proof_of(oracle, reading)


def test_another_nodes_record_is_refused(oracle: OracleBench, reverts: Any) -> None:
    with reverts("TelemetryOracle_ForgedProof"):
        proof_of(oracle, oracle.trees[5].reading(5, 3), node=4)


def test_a_record_of_another_round_is_refused(oracle: OracleBench, reverts: Any) -> None:
    oracle.report(6, {node: oracle.record(6) for node in NODES}, pushed=[])
    oracle.pass_delay()
    with reverts("TelemetryOracle_ForgedProof"):
        proof_of(oracle, Reading(6, *oracle.trees[5].reading(5, 4)[1:]))


def test_an_inner_node_is_no_leaf(oracle: OracleBench, reverts: Any) -> None:
    """A leaf hashes 36 bytes, so the 64 bytes below an inner node cannot be given out as a record."""
    leaves = [leaf_of(node, oracle.record(5, work_units=node).pack()) for node in (1, 2)]
    inside = b"".join(sorted(leaves))
    proof = oracle.trees[5].proof(1)[1:]
    for start in (0, 4, 28, 32):
        node = int.from_bytes(inside[start : start + 4], "big")
        record = inside[start + 4 : start + 36].ljust(32, b"\0")
        with reverts("TelemetryOracle_ForgedProof"):
            proof_of(oracle, Reading(5, record, proof), node=node)


def test_a_signed_root_cannot_carry_an_impossible_record(oracle: OracleBench, reverts: Any) -> None:
    bad = {
        1: oracle.record(6, up_seconds=0),
        2: oracle.record(6, covered_seconds=1),
        3: oracle.record(6, gpu_count=0),
        4: oracle.record(5),
    }
    oracle.report(6, bad, pushed=[])
    oracle.pass_delay()
    with reverts("NodeRecords_BusyExceedsUp", bad[1].busy_gpu_seconds, 0):
        oracle.proven(1, 6)
    with reverts("NodeRecords_UpExceedsCovered", bad[2].up_seconds, 1):
        oracle.proven(2, 6)
    with reverts("NodeRecords_NoGpus"):
        oracle.proven(3, 6)
    with reverts("TelemetryOracle_WindowMismatch", 4, oracle.window_end(5), oracle.window_end(6)):
        oracle.proven(4, 6)

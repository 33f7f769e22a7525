"""What consumers read: the difference of two proven records, and what nobody knows of it."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import astuple
from typing import Any

import pytest
from oracle_bench import RING_ROUNDS, WINDOW_SECONDS, OracleBench
from web3 import Web3
from web3.contract import Contract

from wellhead.reference.record import NodeDelta, NodeRecord, difference

NODE, OTHER_NODE = 7, 8
SEED = 20_261_123
ROUNDS = (2, 3, 6, 7, 11)


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    """Five final rounds of a node of which some seconds are unknown, some down."""
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    bench = OracleBench(w3, deploy, send, actors, keys)
    record = NodeRecord(bench.genesis, 0, 0, 0, 0, 0, 8)
    for number in ROUNDS:
        end = bench.window_end(number)
        covered = rng.randint(0, end - record.window_end)
        up = rng.randint(0, covered)
        record = NodeRecord(
            end,
            record.covered_seconds + covered,
            record.up_seconds + up,
            record.busy_gpu_seconds + rng.randint(0, 8 * up),
            record.energy_wh + rng.randint(0, 10**6),
            record.work_units + rng.randint(0, 10**9),
            8,
        )
        bench.report(number, {NODE: record, OTHER_NODE: bench.record(number)}, pushed=())
    bench.pass_delay()
    return bench


@pytest.fixture(scope="module")
def consumer(oracle: OracleBench, deploy: Any) -> Contract:
    contract: Contract = deploy("NodeHistoryDouble", oracle.contract.address)
    return contract


def readings(oracle: OracleBench, base: int, end: int, node: int = NODE) -> tuple[Any, Any]:
    return tuple(oracle.trees[number].reading(number, node) for number in (base, end))  # type: ignore[return-value]


@pytest.mark.parametrize("base", ROUNDS)
@pytest.mark.parametrize("end", ROUNDS)
def test_any_two_rounds_give_what_happened_between(
    oracle: OracleBench, consumer: Contract, reverts: Any, base: int, end: int
) -> None:
    first, last = readings(oracle, base, end)
    records = [NodeRecord.unpack(reading.record) for reading in (first, last)]
    if base >= end:
        with reverts("NodeRecords_WindowsOverlap", *(record.window_end for record in records)):
            consumer.functions.between(NODE, first, last).call()
        return
    expected = difference(*records)
    told, unknown, down = consumer.functions.between(NODE, first, last).call()
    assert NodeDelta(*told) == expected
    assert (unknown, down) == (expected.unknown_seconds, expected.down_seconds)
    assert unknown + down + expected.up_seconds == (end - base) * WINDOW_SECONDS
    assert NodeDelta(*consumer.functions.since(NODE, astuple(records[0]), last).call()) == expected


def test_money_reads_final_rounds_only(oracle: OracleBench, consumer: Contract, reverts: Any) -> None:
    oracle.report(12, {OTHER_NODE: oracle.record(12)}, pushed=())
    first, last = readings(oracle, 2, 12, OTHER_NODE)
    with reverts("TelemetryOracle_RoundNotFinal"):
        consumer.functions.between(OTHER_NODE, first, last).call()
    with reverts("TelemetryOracle_RoundNotFinal"):
        consumer.functions.since(OTHER_NODE, astuple(oracle.record(2)), last).call()
    oracle.veto(12)
    with reverts("TelemetryOracle_RoundVetoed", 12):
        consumer.functions.between(OTHER_NODE, first, last).call()


def test_another_nodes_record_is_no_base_and_no_end(
    oracle: OracleBench, consumer: Contract, reverts: Any
) -> None:
    (mine, last), (theirs, their_last) = (readings(oracle, 2, 7, node) for node in (NODE, OTHER_NODE))
    for pair in ((theirs, last), (mine, their_last)):
        with reverts("TelemetryOracle_ForgedProof"):
            consumer.functions.between(NODE, *pair).call()


def test_a_base_that_the_ring_forgot_is_no_base(
    oracle: OracleBench, consumer: Contract, reverts: Any
) -> None:
    later = 2 + RING_ROUNDS
    oracle.report(later, {OTHER_NODE: oracle.record(later)}, pushed=())
    with reverts("TelemetryOracle_UnknownRound", 2):
        consumer.functions.between(NODE, *readings(oracle, 2, 7)).call()

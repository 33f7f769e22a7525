"""Pushed records: checked against their round, themselves and the record they replace."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from oracle_bench import RING_ROUNDS, WINDOW_SECONDS, OracleBench
from web3 import Web3

from wellhead.reference.record import NODE_ID_BYTES, NodeRecord, pack_entries

NODE = 7


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    """Node 7 was pushed in round 5; round 8 may be reported."""
    bench = OracleBench(w3, deploy, send, actors, keys)
    bench.report(5, {NODE: bench.record(5)})
    bench.pass_window(8)
    return bench


def push(oracle: OracleBench, round_number: int, *entries: tuple[int, NodeRecord]) -> Any:
    """The signed report of these entries in the order given, which pack_entries would mend."""
    packed = b"".join(node.to_bytes(NODE_ID_BYTES, "big") + record.pack() for node, record in entries)
    return oracle.signed(round_number, entries=packed)


@pytest.mark.parametrize("length", [1, 35, 37, 71])
def test_torn_records_are_refused(oracle: OracleBench, reverts: Any, length: int) -> None:
    entries = pack_entries({1: oracle.record(8), 2: oracle.record(8)}) + bytes(36)
    with reverts("TelemetryOracle_MalformedRecords", length):
        oracle.signed(8, entries=entries[:length]).call()


@pytest.mark.parametrize(("first", "second"), [(2, 2), (3, 2), (2**32 - 1, 1)])
def test_misordered_nodes_are_refused(oracle: OracleBench, reverts: Any, first: int, second: int) -> None:
    with reverts("TelemetryOracle_NodesNotAscending", first, second):
        push(oracle, 8, (first, oracle.record(8)), (second, oracle.record(8))).call()


def test_node_zero_is_no_node(oracle: OracleBench, reverts: Any) -> None:
    with reverts("TelemetryOracle_NodesNotAscending", 0, 0):
        push(oracle, 8, (0, oracle.record(8))).call()


@pytest.mark.parametrize("away", [-WINDOW_SECONDS, -1, 1, WINDOW_SECONDS])
def test_a_record_must_end_with_its_round(oracle: OracleBench, reverts: Any, away: int) -> None:
    end = oracle.window_end(8)
    with reverts("TelemetryOracle_WindowMismatch", 1, end + away, end):
        push(oracle, 8, (1, oracle.record(8, window_end=end + away))).call()


def test_a_first_record_must_be_possible(oracle: OracleBench, reverts: Any) -> None:
    impossible = {
        ("NodeRecords_NoGpus",): oracle.record(8, gpu_count=0),
        ("NodeRecords_UpExceedsCovered", 101, 100): oracle.record(8, covered_seconds=100, up_seconds=101),
        ("NodeRecords_BusyExceedsUp", 801, 800): oracle.record(8, up_seconds=100, busy_gpu_seconds=801),
    }
    for error, record in impossible.items():
        with reverts(*error):
            push(oracle, 8, (1, record)).call()
    push(oracle, 8, (1, oracle.record(8, up_seconds=100, busy_gpu_seconds=800))).call()


@pytest.mark.parametrize(
    ("field", "counter"),
    [
        ("covered_seconds", "coveredSeconds"),
        ("up_seconds", "upSeconds"),
        ("busy_gpu_seconds", "busyGpuSeconds"),
        ("energy_wh", "energyWh"),
        ("work_units", "workUnits"),
    ],
)
def test_counters_cannot_go_back(oracle: OracleBench, reverts: Any, field: str, counter: str) -> None:
    held = getattr(oracle.record(5), field)
    with reverts("NodeRecords_CounterWentBack", counter.encode().ljust(32, b"\0"), held, held - 1):
        push(oracle, 8, (NODE, oracle.record(8, **{field: held - 1}))).call()
    still = {field: held}
    if field in ("covered_seconds", "up_seconds"):  # what lies below stands still with it
        still |= {"up_seconds": oracle.record(5).up_seconds}
        still |= {"busy_gpu_seconds": oracle.record(5).busy_gpu_seconds}
    push(oracle, 8, (NODE, oracle.record(8, **still))).call()


def test_a_record_adds_what_is_possible_only(oracle: OracleBench, reverts: Any) -> None:
    held, end = oracle.record(5), oracle.window_end(8)
    elapsed = end - held.window_end
    with reverts("NodeRecords_CoveredExceedsTime", elapsed + 1, elapsed):
        push(oracle, 8, (NODE, oracle.record(8, covered_seconds=held.covered_seconds + elapsed + 1))).call()
    with reverts("NodeRecords_UpExceedsCovered", elapsed, elapsed - 1):
        push(oracle, 8, (NODE, oracle.record(8, covered_seconds=held.covered_seconds + elapsed - 1))).call()
    most = held.busy_gpu_seconds + 8 * elapsed
    with reverts("NodeRecords_BusyExceedsUp", 8 * elapsed + 1, 8 * elapsed):
        push(oracle, 8, (NODE, oracle.record(8, busy_gpu_seconds=most + 1))).call()
    push(oracle, 8, (NODE, oracle.record(8, busy_gpu_seconds=most))).call()


def test_a_node_keeps_its_gpus(oracle: OracleBench, reverts: Any) -> None:
    with reverts("NodeRecords_GpuCountChanged", 8, 9):
        push(oracle, 8, (NODE, oracle.record(8, gpu_count=9))).call()


def test_one_bad_record_stops_the_report(oracle: OracleBench, send: Any, reverts: Any) -> None:
    with reverts("NodeRecords_NoGpus"):
        send(push(oracle, 8, (1, oracle.record(8)), (2, oracle.record(8, gpu_count=0))))
    assert oracle.functions.latestRound().call() == 5
    assert oracle.functions.latestRecord(1).call() == (0,) * 7


def test_a_record_of_a_vetoed_round_binds_nobody(oracle: OracleBench, send: Any) -> None:
    inflated = oracle.record(8, work_units=2**63)
    send(push(oracle, 8, (NODE, inflated)))
    oracle.veto(8)
    oracle.report(9, {NODE: oracle.record(9)})
    assert oracle.latest(NODE) == oracle.record(9)


def test_an_earlier_veto_does_not_free_later_records(oracle: OracleBench, reverts: Any) -> None:
    oracle.report(8, {1: oracle.record(8)})
    oracle.report(9, {NODE: oracle.record(9)})
    oracle.veto(8)
    oracle.pass_window(10)
    with reverts("NodeRecords_CounterWentBack"):
        push(oracle, 10, (NODE, oracle.record(10, energy_wh=0))).call()


def test_a_later_veto_does_not_free_earlier_records(oracle: OracleBench, reverts: Any) -> None:
    oracle.report(8, {1: oracle.record(8)})
    oracle.veto(8)
    oracle.pass_window(9)
    with reverts("NodeRecords_CounterWentBack"):
        push(oracle, 9, (NODE, oracle.record(9, energy_wh=0))).call()


def test_what_the_ring_forgot_below_a_veto_binds_nobody(oracle: OracleBench, send: Any) -> None:
    """Whether round 5 was vetoed cannot be known any more; the node must not be shut out for ever."""
    oracle.report(8, {1: oracle.record(8)})
    oracle.veto(8)
    later = 5 + RING_ROUNDS
    oracle.report(later, {1: oracle.record(later)})
    assert oracle.functions.latestRecord(NODE).call() == (0,) * 7
    oracle.pass_window(later + 1)
    send(push(oracle, later + 1, (NODE, oracle.record(later + 1, energy_wh=0))))
    assert oracle.latest(NODE).energy_wh == 0


def test_what_the_ring_forgot_above_all_vetoes_still_binds(oracle: OracleBench, reverts: Any) -> None:
    later = 5 + RING_ROUNDS
    oracle.report(later, {1: oracle.record(later)})
    assert oracle.latest(NODE) == oracle.record(5)
    oracle.pass_window(later + 1)
    with reverts("NodeRecords_CounterWentBack"):
        push(oracle, later + 1, (NODE, oracle.record(later + 1, energy_wh=0))).call()

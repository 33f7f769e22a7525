"""Records pushed after the report: whole branches of its tree, by anyone, each record once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from oracle_bench import RING_ROUNDS, OracleBench
from web3 import Web3

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.oracle.onchain import last_records
from wellhead.oracle.pushing import DEFAULT_BUDGET, PushGas, split
from wellhead.reference.merkle import ROOT_BYTES, Branch, branch_of
from wellhead.reference.record import ENTRY_BYTES, NodeRecord, pack_entries

NODES = (2, 3, 5, 7, 11)
MANY = 1_000


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    """Five nodes: pushed in round 5, named by root alone in round 8."""
    bench = OracleBench(w3, deploy, send, actors, keys)
    bench.report(5, dict.fromkeys(NODES, bench.record(5)))
    bench.report(8, dict.fromkeys(NODES, bench.record(8)), pushed=())
    return bench


def push(oracle: OracleBench, branch: Branch, round_number: int = 8) -> Any:
    return oracle.functions.push(round_number, *branch)


def test_a_branch_is_pushed_by_anyone(oracle: OracleBench, send: Any, actors: Mapping[str, str]) -> None:
    branch = oracle.trees[8].branch(1, 1)
    receipt = send(push(oracle, branch), sender=actors["stranger"])
    (event,) = oracle.contract.events.RecordsPushed().process_receipt(receipt)
    assert dict(event["args"]) == {"round": 8, "transmitter": actors["stranger"], "records": branch.entries}
    rounds = {node: 8 if node in (5, 7) else 5 for node in NODES}
    assert {node: oracle.latest(node) for node in NODES} == {n: oracle.record(r) for n, r in rounds.items()}


@pytest.mark.parametrize("height", range(4))
def test_the_branches_of_any_height_push_everything(oracle: OracleBench, send: Any, height: int) -> None:
    for place in range(-(-len(NODES) // (1 << height))):
        send(push(oracle, oracle.trees[8].branch(height, place)))
    assert {oracle.latest(node).window_end for node in NODES} == {oracle.window_end(8)}


def test_reporters_read_what_was_pushed_as_what_was_reported(oracle: OracleBench, send: Any) -> None:
    client = TelemetryOracle(oracle.w3, oracle.contract.address)
    send(push(oracle, oracle.trees[8].branch(1, 0)))
    send(push(oracle, oracle.trees[8].branch(2, 0)))
    assert [len(report.records) for report in client.reports()] == [5 * ENTRY_BYTES, 4 * ENTRY_BYTES]
    rounds = {node: 5 if node == 11 else 8 for node in NODES}
    assert last_records(client) == {node: oracle.record(number) for node, number in rounds.items()}


def test_no_record_is_pushed_twice_and_nobody_is_stopped_by_trying(oracle: OracleBench, send: Any) -> None:
    """A stranger who pushes or restores a part first costs the transmitter nothing but that part."""
    tree = oracle.trees[8]
    send(oracle.functions.restore(3, tree.reading(8, 3)))
    first = send(push(oracle, tree.branch(3, 0)))
    again = send(push(oracle, tree.branch(3, 0)))
    assert first["gasUsed"] - again["gasUsed"] > 4 * 2_000  # the slots were written once
    assert all(oracle.latest(node) == oracle.record(8) for node in NODES)


def test_a_late_push_leaves_newer_records_alone(oracle: OracleBench, send: Any) -> None:
    oracle.report(9, dict.fromkeys(NODES, oracle.record(9)), pushed=(5, 11))
    send(push(oracle, oracle.trees[8].branch(3, 0)))
    rounds = {node: 9 if node in (5, 11) else 8 for node in NODES}
    assert {node: oracle.latest(node) for node in NODES} == {n: oracle.record(r) for n, r in rounds.items()}


def test_a_push_replaces_what_was_vetoed(oracle: OracleBench, send: Any) -> None:
    oracle.report(9, dict.fromkeys(NODES, oracle.record(9, work_units=2**63)))
    oracle.veto(9)
    send(push(oracle, oracle.trees[8].branch(3, 0)))
    assert all(oracle.latest(node) == oracle.record(8) for node in NODES)


def test_only_whole_branches_are_of_the_round(oracle: OracleBench, reverts: Any) -> None:
    tree = oracle.trees[8]
    good = tree.branch(1, 0)
    lied = pack_entries({2: oracle.record(8), 3: oracle.record(8, work_units=10**9)})
    for entries, proof in (
        (lied, good.proof),
        (good.entries[:ENTRY_BYTES], good.proof),
        (good.entries, good.proof[:-1]),
        (good.entries, [*good.proof, bytes(32)]),
        (tree.branch(0, 1).entries + tree.branch(0, 2).entries, good.proof),
        (pack_entries({2: oracle.record(8), 4: oracle.record(8)}), good.proof),
    ):
        with reverts("TelemetryOracle_ForgedBranch"):
            oracle.functions.push(8, entries, proof).call()
    push(oracle, good).call()


@pytest.mark.parametrize("length", [0, 35])
def test_a_push_brings_at_least_one_record(oracle: OracleBench, reverts: Any, length: int) -> None:
    with reverts("TelemetryOracle_MalformedRecords", length):
        oracle.functions.push(8, bytes(length), []).call()


def test_a_torn_push_is_refused(oracle: OracleBench, reverts: Any) -> None:
    branch = oracle.trees[8].branch(1, 0)
    with reverts("TelemetryOracle_MalformedRecords", 2 * ENTRY_BYTES + 1):
        oracle.functions.push(8, branch.entries + b"\0", branch.proof).call()


def test_what_is_pushed_must_be_of_a_known_unvetoed_round(oracle: OracleBench, reverts: Any) -> None:
    branch = oracle.trees[8].branch(3, 0)
    for unknown in (0, 7, 9, 8 + RING_ROUNDS):
        with reverts("TelemetryOracle_UnknownRound", unknown):
            push(oracle, branch, unknown).call()
    with reverts("TelemetryOracle_ForgedBranch", 5, oracle.trees[8].root):
        push(oracle, branch, 5).call()
    oracle.veto(8)
    with reverts("TelemetryOracle_RoundVetoed", 8):
        push(oracle, branch).call()


def test_what_a_quorum_should_not_have_signed_is_not_pushed(oracle: OracleBench, reverts: Any) -> None:
    """The rules of a report hold: ids ascend, the window is the round's, records follow and are possible."""
    end = oracle.window_end(9)
    bad: dict[tuple[Any, ...], dict[int, NodeRecord]] = {
        ("TelemetryOracle_WindowMismatch", 2, end - 1, end): {2: oracle.record(9, window_end=end - 1)},
        ("NodeRecords_CounterWentBack",): {2: oracle.record(9, energy_wh=0)},
        ("NodeRecords_NoGpus",): {4: oracle.record(9, gpu_count=0)},
    }
    for number, (error, records) in enumerate(bad.items()):
        snapshot = oracle.w3.provider.make_request("evm_snapshot", [])["result"]
        oracle.report(9, {20 + number: oracle.record(9)} | records, pushed=())
        with reverts(*error):
            push(oracle, oracle.trees[9].branch(1, 0), 9).call()
        oracle.w3.provider.make_request("evm_revert", [snapshot])


def test_misordered_leaves_are_not_pushed(oracle: OracleBench, send: Any, reverts: Any) -> None:
    entries = b"".join(pack_entries({node: oracle.record(9)}) for node in (4, 2))
    oracle.pass_window(9)
    send(oracle.signed(9, branch_of(entries)[:ROOT_BYTES]))
    with reverts("TelemetryOracle_NodesNotAscending", 4, 2):
        oracle.functions.push(9, entries, []).call()


def test_a_thousand_nodes_are_pushed_within_the_budget(oracle: OracleBench, send: Any) -> None:
    """First into fresh slots, then into the same again: never above what was planned, every record there."""
    client = TelemetryOracle(oracle.w3, oracle.contract.address)
    known: set[int] = set(NODES)
    for round_number, transactions in ((9, 4), (10, 1)):
        records = {node: wide(oracle, round_number, node) for node in range(1, MANY + 1)}
        for node in NODES:
            records[node] = oracle.record(round_number)
        oracle.report(round_number, records, pushed=())
        branches = split(oracle.trees[round_number], known)
        assert len(branches) == transactions
        for branch in branches:
            below = [
                int.from_bytes(branch.entries[at : at + 4], "big") for at in range(0, len(branch.entries), 36)
            ]
            planned = PushGas().of(len(below), len(set(below) - known), len(branch.proof))
            used = send(push(oracle, branch, round_number))["gasUsed"]
            print(f"{len(below)} records, {len(set(below) - known)} new: {used} of {planned} gas")
            assert planned * 9 // 10 < used <= planned <= DEFAULT_BUDGET
        known |= records.keys()
        assert last_records(client) == records
        assert oracle.latest(MANY) == records[MANY]


def wide(oracle: OracleBench, round_number: int, node: int) -> NodeRecord:
    """Counters without zero bytes, as after years: the dearest calldata."""
    honest = oracle.record(round_number)
    return NodeRecord(
        window_end=honest.window_end,
        covered_seconds=0x11223344 + honest.covered_seconds,
        up_seconds=0x10213243 + honest.up_seconds - node,
        busy_gpu_seconds=0x0A22334455 + honest.busy_gpu_seconds,
        energy_wh=0x1122334455 + honest.energy_wh,
        work_units=0x1122334455667788 + honest.work_units,
        gpu_count=200,
    )

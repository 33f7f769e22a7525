"""What reporting and proving cost, in steady state: every slot written has held something before."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import pytest
from oracle_bench import RING_ROUNDS, OracleBench
from web3 import Web3

from wellhead.reference.merkle import Reading, leaf_of, root_from
from wellhead.reference.record import NodeRecord

# DESIGN §8: whole transactions on Anvil, k = 3 of n = 5, no modules.
ORACLE_ONE, ORACLE_MARGINAL, ORACLE_ROOT, ORACLE_PROVE = 63_000, 6_500, 58_000, 20_000


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    return OracleBench(w3, deploy, send, actors, keys)


def grown(oracle: OracleBench, round_number: int, node: int) -> NodeRecord:
    """A record whose counters are wide, as after years: calldata counts non-zero bytes."""
    record = oracle.record(round_number)
    return NodeRecord(
        window_end=record.window_end,
        covered_seconds=0x11223344 + record.covered_seconds,
        up_seconds=0x10213243 + record.up_seconds - node,
        busy_gpu_seconds=record.busy_gpu_seconds + 0x0A22334455,
        energy_wh=record.energy_wh + 0x1122334455,
        work_units=record.work_units + 0x1122334455667788,
        gpu_count=200,
    )


def used(oracle: OracleBench, nodes: range) -> int:
    """Gas of the second report that writes the same slots."""
    oracle.report(1, {node: grown(oracle, 1, node) for node in range(1, 102)}, nodes)
    round_number = 1 + RING_ROUNDS
    receipt = oracle.report(round_number, {n: grown(oracle, round_number, n) for n in range(1, 102)}, nodes)
    return int(receipt["gasUsed"])


def test_a_root_alone(oracle: OracleBench) -> None:
    gas = used(oracle, range(0))
    print(f"oracle_root {gas}")
    assert gas <= ORACLE_ROOT


def test_a_root_and_one_record(oracle: OracleBench) -> None:
    gas = used(oracle, range(1, 2))
    print(f"oracle_one {gas}")
    assert gas <= ORACLE_ONE


def test_each_further_record(oracle: OracleBench, w3: Web3) -> None:
    snapshot = w3.provider.make_request("evm_snapshot", [])["result"]
    one = used(oracle, range(1, 2))
    w3.provider.make_request("evm_revert", [snapshot])
    hundred_more = used(oracle, range(1, 102))
    marginal = -((one - hundred_more) // 100)  # rounded up
    print(f"oracle_marginal {marginal}")
    assert marginal <= ORACLE_MARGINAL


def test_proving_one_record_of_a_million(oracle: OracleBench, deploy: Any, send: Any) -> None:
    # A path of 20 levels stands for a tree of 2^20 leaves: the contract sees nothing else of it.
    levels = 20
    packed = grown(oracle, 1, 77).pack()
    rng = random.Random(1859)
    path = [rng.randbytes(32) for _ in range(levels)]
    root = root_from(leaf_of(77, packed), path)
    oracle.pass_window(1)
    send(oracle.signed(1, root))
    oracle.pass_delay()
    consumer = deploy("ProofConsumer")
    receipt = send(consumer.functions.consume(oracle.contract.address, 77, Reading(1, packed, path)))
    (event,) = consumer.events.ProofConsumed().process_receipt(receipt)
    gas = event["args"]["gasUsed"]
    print(f"oracle_prove {gas}")
    assert event["args"]["windowEnd"] == oracle.window_end(1)
    assert gas <= ORACLE_PROVE

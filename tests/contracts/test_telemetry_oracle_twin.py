"""NodeRecords and RecordTree against their Python twins, over random records near every limit."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import astuple, replace
from typing import Any

import pytest
from web3.contract import Contract
from web3.exceptions import ContractCustomError

from wellhead.reference.merkle import RecordTree, branch_of, leaf_of, root_from
from wellhead.reference.record import NodeDelta, NodeRecord, RecordError, difference

SEED = 20_260_715
PAIRS = 300


@pytest.fixture(scope="module")
def rng() -> random.Random:
    print(f"seed {SEED}")
    return random.Random(SEED)


@pytest.fixture(scope="module")
def rules(deploy: Any) -> Contract:
    contract: Contract = deploy("NodeRecordsDouble")
    return contract


def some_record(rng: random.Random) -> NodeRecord:
    """Any record, most often a possible one, its fields from empty to full."""
    gpus = rng.choice([0, 1, 8, 255, rng.randrange(256)])
    covered = rng.choice([0, 2**32 - 1, rng.randrange(2**32), rng.randrange(2**20)])
    up = rng.choice([covered, covered // 2, rng.randrange(covered + 1), min(covered + 1, 2**32 - 1)])
    busy = min(rng.choice([0, up * gpus, up * gpus + 1, rng.randrange(up * gpus + 1)]), 2**40 - 1)
    return NodeRecord(
        window_end=rng.choice([0, 2**40 - 1, rng.randrange(2**40), rng.randrange(2**31)]),
        covered_seconds=covered,
        up_seconds=up,
        busy_gpu_seconds=busy,
        energy_wh=rng.randrange(2**40),
        work_units=rng.randrange(2**64),
        gpu_count=gpus,
    )


def grown(rng: random.Random, earlier: NodeRecord) -> NodeRecord:
    """A record that may follow; or one that steps over one limit, by one; full fields stay full."""
    elapsed = rng.choice([1, 3_600, rng.randrange(1, 2**26)])
    covered = rng.choice([0, elapsed, rng.randrange(elapsed + 1)])
    up = rng.choice([0, covered, rng.randrange(covered + 1)])
    most = up * earlier.gpu_count
    busy = rng.choice([0, most, rng.randrange(most + 1)])
    gains = [elapsed, covered, up, busy, rng.choice([0, rng.randrange(2**20)]), rng.choice([0, 2**32]), 0]
    over = [0, elapsed + 1, covered + 1, most + 1]
    if rng.random() < 0.7:
        place = rng.randrange(len(gains))
        gains[place] = rng.choice([-1, over[place]]) if place < len(over) else -1
    values = [
        min(max(value + gain, 0), (1 << bits) - 1)
        for value, gain, bits in zip(astuple(earlier), gains, NodeRecord.BITS, strict=True)
    ]
    return NodeRecord(*values)


def told(call: Callable[[], Any], errors: dict[bytes, tuple[str, list[str]]], w3: Any) -> tuple[Any, ...]:
    """What the contract answers: ("done", answer), or an error's name and values."""
    try:
        return "done", call()
    except ContractCustomError as error:
        data = bytes.fromhex(str(error.data).removeprefix("0x"))
        name, types = errors[data[:4]]
        values = w3.codec.decode(types, data[4:])
        return name, *(
            value.rstrip(b"\0").decode() if isinstance(value, bytes) else value for value in values
        )


def said(call: Callable[[], Any]) -> tuple[Any, ...]:
    """What the twin answers, in the same form."""
    try:
        return "done", call()
    except RecordError as error:
        return error.name, *error.values


@pytest.fixture(scope="module")
def errors(rules: Contract, w3: Any) -> dict[bytes, tuple[str, list[str]]]:
    known = {}
    for entry in rules.abi:
        if entry["type"] == "error":
            types = [parameter["type"] for parameter in entry["inputs"]]
            known[bytes(w3.keccak(text=f"{entry['name']}({','.join(types)})")[:4])] = (entry["name"], types)
    return known


def test_layout_and_check_agree(rules: Contract, rng: random.Random, errors: Any, w3: Any) -> None:
    for _ in range(PAIRS // 3):
        record = some_record(rng)
        assert rules.functions.pack(astuple(record)).call() == record.pack()
        assert NodeRecord(*rules.functions.unpack(record.pack()).call()) == record
        by_contract = told(
            lambda record=record: bool(rules.functions.check(record.pack()).call()), errors, w3
        )
        by_twin = said(lambda record=record: bool(record.check()))
        assert by_contract[0] == by_twin[0], (by_contract, by_twin)
        if by_twin[0] != "done":
            assert by_contract == by_twin


def test_differences_and_refusals_agree(rules: Contract, rng: random.Random, errors: Any, w3: Any) -> None:
    outcomes: dict[str, int] = {}
    for number in range(PAIRS):
        earlier = some_record(rng)
        if number % 4:
            earlier = replace(earlier, window_end=earlier.window_end % 2**39)
        later = grown(rng, earlier) if number % 8 else some_record(rng)
        by_contract = told(
            lambda a=earlier, b=later: NodeDelta(*rules.functions.difference(astuple(a), astuple(b)).call()),
            errors,
            w3,
        )
        assert by_contract == said(lambda a=earlier, b=later: difference(a, b)), (earlier, later)
        outcomes[by_contract[0]] = outcomes.get(by_contract[0], 0) + 1
    expected = {
        "done",
        "NodeRecords_WindowsOverlap",
        "NodeRecords_GpuCountChanged",
        "NodeRecords_CounterWentBack",
        "NodeRecords_CoveredExceedsTime",
        "NodeRecords_UpExceedsCovered",
        "NodeRecords_BusyExceedsUp",
    }
    assert outcomes.keys() == expected, outcomes


def test_roots_agree(rules: Contract, rng: random.Random) -> None:
    for count in (1, 2, 3, 5, 8, 21, 64):
        nodes = rng.sample(range(1, 2**32), count)
        tree = RecordTree((node, some_record(rng)) for node in nodes)
        for node in rng.sample(nodes, min(count, 4)):
            _, record, proof = tree.reading(1, node)
            assert rules.functions.rootFrom(node, record, proof).call() == tree.root
        for height in range(tree.height + 1):
            place = rng.randrange(-(-count // (1 << height)))
            branch = tree.branch(height, place)
            assert rules.functions.branchRootFrom(*branch).call() == tree.root
            assert root_from(branch_of(branch.entries), branch.proof) == tree.root
    path = [rng.randbytes(32) for _ in range(20)]
    leaf_record = rng.randbytes(32)
    assert rules.functions.rootFrom(5, leaf_record, path).call() == root_from(leaf_of(5, leaf_record), path)

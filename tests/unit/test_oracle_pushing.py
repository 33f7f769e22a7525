"""How a round's records are split over transactions: everything once, nothing above the budget."""

from __future__ import annotations

import random

import pytest

from wellhead.errors import Misused
from wellhead.oracle.pushing import PushGas, split
from wellhead.reference.merkle import RecordTree, branch_of, root_from
from wellhead.reference.record import ENTRY_BYTES, NodeRecord, pack_entries, unpack_entries

SEED = 1859
RECORD = NodeRecord(1, 0, 0, 0, 0, 0, 1)
GAS = PushGas(base=100, level=1, record=10, new_node=20)


def tree_of(count: int) -> RecordTree:
    return RecordTree((node, RECORD) for node in range(1, count + 1))


def cost_of(entries: bytes, levels: int, known: set[int]) -> int:
    nodes = {node for node, _ in unpack_entries(entries)}
    return GAS.of(len(nodes), len(nodes - known), levels)


def test_everything_is_pushed_once_within_any_budget() -> None:
    print(f"seed {SEED}")
    rng = random.Random(SEED)
    for _ in range(200):
        count = rng.randint(1, 70)
        tree = tree_of(count)
        known = set(rng.sample(range(1, count + 1), rng.randint(0, count)))
        budget = rng.randint(GAS.of(1, 1, tree.height), 4_000)
        branches = split(tree, known, budget, GAS)
        assert b"".join(branch.entries for branch in branches) == pack_entries(
            dict.fromkeys(range(1, count + 1), RECORD)
        )
        for entries, proof in branches:
            assert root_from(branch_of(entries), proof) == tree.root
            assert cost_of(entries, len(proof), known) <= budget


def test_what_fits_is_not_split() -> None:
    tree = tree_of(8)
    whole = GAS.of(8, 0, 0)
    everyone = set(range(1, 9))
    assert [len(b.entries) // ENTRY_BYTES for b in split(tree, everyone, whole, GAS)] == [8]
    assert [len(b.entries) // ENTRY_BYTES for b in split(tree, everyone, whole - 1, GAS)] == [4, 4]
    assert [len(b.entries) // ENTRY_BYTES for b in split(tree, {1, 2, 3, 4}, 165, GAS)] == [4, 2, 2]
    assert [len(b.entries) // ENTRY_BYTES for b in split(tree, {5, 6, 7, 8}, 165, GAS)] == [2, 2, 4]


def test_an_odd_branch_has_no_right_half() -> None:
    tree = tree_of(5)
    everyone = set(range(1, 6))
    parts = split(tree, everyone, GAS.of(2, 0, 2), GAS)
    assert [len(part.entries) // ENTRY_BYTES for part in parts] == [2, 2, 1]


def test_a_budget_below_one_record_is_refused() -> None:
    least = GAS.of(1, 1, 3)
    with pytest.raises(Misused, match=f"budget of {least - 1} gas .* takes {least}"):
        split(tree_of(8), set(), least - 1, GAS)

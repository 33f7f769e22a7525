"""The tree over a round's records: one root for all reporters, a proof for every node, and for nothing else."""

from __future__ import annotations

import random

import pytest
from eth_hash.auto import keccak

from wellhead.reference import merkle
from wellhead.reference.merkle import MerkleError, RecordTree, branch_of, leaf_of, root_from, verify
from wellhead.reference.record import ENTRY_BYTES, NodeRecord, RecordError, pack_entries

SEED = 1859


def records(count: int, seed: int = SEED) -> list[tuple[int, NodeRecord]]:
    rng = random.Random(seed)
    nodes = rng.sample(range(1, 2**32), count)
    return [(node, NodeRecord.unpack(rng.randbytes(32))) for node in nodes]


def parent(left: bytes, right: bytes) -> bytes:
    return keccak(min(left, right) + max(left, right))


def test_a_leaf_hashes_node_and_record() -> None:
    ((node, record),) = records(1)
    assert leaf_of(node, record.pack()) == keccak(node.to_bytes(4, "big") + record.pack())


def test_a_single_leaf_is_the_root() -> None:
    ((node, record),) = records(1)
    tree = RecordTree([(node, record)])
    assert tree.root == leaf_of(node, record.pack())[:23]
    assert tree.proof(node) == []


def test_odd_nodes_move_up_unchanged() -> None:
    given = sorted(records(5))
    a, b, c, d, e = (leaf_of(node, record.pack()) for node, record in given)
    tree = RecordTree(given)
    assert tree.root == parent(parent(parent(a, b), parent(c, d)), e)[:23]
    assert tree.proof(given[4][0]) == [parent(parent(a, b), parent(c, d))]
    assert tree.proof(given[2][0]) == [d, parent(a, b), e]


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33, 100])
def test_every_node_is_proven_and_no_other(count: int) -> None:
    given = records(count)
    tree = RecordTree(given)
    for node, record in given:
        round_number, packed, proof = tree.reading(9, node)
        assert (round_number, packed) == (9, record.pack())
        assert verify(tree.root, node, packed, proof)
        assert not verify(tree.root, node ^ 1, packed, proof)
        assert not verify(tree.root, node, packed[:-1] + bytes([packed[-1] ^ 1]), proof)
        assert not verify(tree.root, node, packed, [*proof, bytes(32)])
        if proof:
            assert not verify(tree.root, node, packed, proof[:-1])


@pytest.mark.parametrize("count", [*range(1, 18), 31, 32, 33])
def test_every_branch_is_proven_and_nothing_else(count: int) -> None:
    tree = RecordTree(records(count))
    for height in range(tree.height + 1):
        joined = b""
        for place in range(-(-count // (1 << height))):
            entries, proof = tree.branch(height, place)
            assert root_from(branch_of(entries), proof) == tree.root
            assert root_from(branch_of(entries), [*proof, bytes(32)]) != tree.root
            if len(entries) > ENTRY_BYTES:
                assert root_from(branch_of(entries[ENTRY_BYTES:]), proof) != tree.root
            flawed = entries[:-1] + bytes([entries[-1] ^ 1])
            assert root_from(branch_of(flawed), proof) != tree.root
            joined += entries
        assert joined == pack_entries(dict(records(count)))


@pytest.mark.parametrize(("height", "place"), [(-1, 0), (0, 5), (1, 3), (3, 1), (4, 0), (0, -1)])
def test_a_tree_has_no_other_branches(height: int, place: int) -> None:
    with pytest.raises(MerkleError, match=f"no branch {place} of height {height}"):
        RecordTree(records(5)).branch(height, place)


def test_a_branch_has_leaves() -> None:
    with pytest.raises(MerkleError, match="at least one"):
        branch_of(b"")
    with pytest.raises(RecordError, match="MalformedRecords"):
        branch_of(bytes(35))


def test_the_order_in_which_records_come_does_not_matter() -> None:
    given = records(50)
    assert RecordTree(given).root == RecordTree(reversed(given)).root


def test_a_node_given_twice_is_refused() -> None:
    (node, record), (_, other) = records(2)
    with pytest.raises(MerkleError, match=f"node {node} is given twice"):
        RecordTree([(node, record), (node, other)])


def test_an_empty_tree_is_refused() -> None:
    with pytest.raises(MerkleError, match="at least one"):
        RecordTree([])


@pytest.mark.parametrize("node", [0, 2**32])
def test_a_node_must_be_nameable(node: int) -> None:
    with pytest.raises(RecordError, match="node_id"):
        RecordTree([(node, records(1)[0][1])])


def test_a_node_outside_the_tree_has_no_proof() -> None:
    (node, record), (stranger, _) = records(2)
    with pytest.raises(MerkleError, match=f"no node {stranger}"):
        RecordTree([(node, record)]).proof(stranger)


def test_a_leaf_takes_whole_records_only() -> None:
    with pytest.raises(RecordError, match="NotARecord"):
        leaf_of(1, bytes(28))


def test_a_hundred_thousand_leaves_need_seventeen_siblings(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shape of a large tree, with a hash that costs nothing."""
    monkeypatch.setattr(merkle, "keccak", lambda data: data[:32])
    record = NodeRecord(1, 0, 0, 0, 0, 0, 1)
    last = 100_001
    tree = RecordTree((node, record) for node in range(1, last + 1))
    assert len(tree.proof(1)) == 17
    assert len(tree.proof(last)) == 6  # promoted on the other eleven levels
    assert verify(tree.root, last, record.pack(), tree.proof(last))


def test_a_proof_is_followed_in_order() -> None:
    leaf, one, two = (keccak(bytes([number])) for number in range(3))
    assert root_from(leaf, [one, two]) == parent(parent(leaf, one), two)[:23]
    assert root_from(leaf, [two, one]) != root_from(leaf, [one, two])

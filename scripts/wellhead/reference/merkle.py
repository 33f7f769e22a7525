"""The Merkle tree over all nodes' records of a round; the twin of RecordTree.sol, and what builds the trees.

Leaves stand by ascending node id, so every reporter who has the same records has the same root. A leaf hashes
36 bytes (node id, record), an inner node 64 (two hashes, the smaller first); an odd node moves up unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from eth_hash.auto import keccak

from wellhead.reference.record import (
    NODE_ID_BYTES,
    PACKED_BYTES,
    NodeRecord,
    RecordError,
    require_node_id,
    unpack_entries,
)

ROOT_BYTES = 23


class Reading(NamedTuple):
    """A record with the proof that it belongs to a round's root, as the contract takes it."""

    round: int
    record: bytes
    proof: list[bytes]


class Branch(NamedTuple):
    """All leaves below one branch of a tree, with the proof that it belongs to the root, as `push` takes them."""

    entries: bytes
    proof: list[bytes]


class MerkleError(ValueError):
    """A tree that cannot be built, or a node that it does not hold; the message says which."""


def leaf_of(node_id: int, packed: bytes) -> bytes:
    """The leaf of a node's packed record."""
    if len(packed) != PACKED_BYTES:
        raise RecordError("NotARecord", len(packed))
    return keccak(node_id.to_bytes(NODE_ID_BYTES, "big") + packed)


def root_from(leaf: bytes, proof: Iterable[bytes]) -> bytes:
    """The 23-byte root that `proof` leads to from `leaf`."""
    node = leaf
    for sibling in proof:
        node = _parent_of(node, sibling)
    return node[:ROOT_BYTES]


def branch_of(entries: bytes) -> bytes:
    """The branch above the leaves of `entries`; RecordError or MerkleError unless they are whole and some."""
    level = [leaf_of(node_id, record.pack()) for node_id, record in unpack_entries(entries)]
    if not level:
        raise MerkleError("a branch needs at least one record")
    while len(level) > 1:
        level = _level_above(level)
    return level[0]


def verify(root: bytes, node_id: int, packed: bytes, proof: Iterable[bytes]) -> bool:
    """Whether `proof` leads from the record of `node_id` to the 23-byte `root`."""
    return root_from(leaf_of(node_id, packed), proof) == root


class RecordTree:
    """The tree over (node id, record) pairs, in any order: one to millions of nodes."""

    def __init__(self, records: Iterable[tuple[int, NodeRecord]]) -> None:
        """Raises MerkleError for no records or a node given twice, RecordError for an impossible node id."""
        packed: dict[int, bytes] = {}
        for node_id, record in records:
            if node_id in packed:
                raise MerkleError(f"node {node_id} is given twice")
            packed[require_node_id(node_id)] = record.pack()
        if not packed:
            raise MerkleError("a tree needs at least one record")
        self._packed = packed
        self._place = {node_id: place for place, node_id in enumerate(sorted(packed))}
        self._levels = [[leaf_of(node_id, packed[node_id]) for node_id in self._place]]
        while len(self._levels[-1]) > 1:
            self._levels.append(_level_above(self._levels[-1]))

    @property
    def root(self) -> bytes:
        """The 23 bytes that a report names."""
        return self._levels[-1][0][:ROOT_BYTES]

    def holds(self, node_id: int) -> bool:
        """Whether the tree has a record of the node."""
        return node_id in self._place

    def proof(self, node_id: int) -> list[bytes]:
        """The siblings from the node's leaf to the root; MerkleError if the tree does not hold the node."""
        if node_id not in self._place:
            raise MerkleError(f"the tree holds no node {node_id}")
        return self._siblings(0, self._place[node_id])

    def _siblings(self, height: int, place: int) -> list[bytes]:
        siblings = []
        for level in self._levels[height:-1]:
            if place ^ 1 < len(level):
                siblings.append(level[place ^ 1])
            place //= 2
        return siblings

    @property
    def nodes(self) -> list[int]:
        """The nodes by their places, which is ascending."""
        return list(self._place)

    @property
    def height(self) -> int:
        """Levels above the leaves: the branch of this height at place 0 is the whole tree."""
        return len(self._levels) - 1

    def branch(self, height: int, place: int) -> Branch:
        """The leaves from `place` * 2^`height` on, at most 2^`height`; MerkleError if there is no such branch."""
        if not (0 <= height <= self.height and 0 <= place < len(self._levels[height])):
            raise MerkleError(f"the tree has no branch {place} of height {height}")
        nodes = self.nodes[place << height : (place + 1) << height]
        entries = b"".join(node.to_bytes(NODE_ID_BYTES, "big") + self._packed[node] for node in nodes)
        return Branch(entries, self._siblings(height, place))

    def reading(self, round_number: int, node_id: int) -> Reading:
        """The node's record with its proof, for a tree that was reported as `round_number`."""
        proof = self.proof(node_id)
        return Reading(round_number, self._packed[node_id], proof)


def _level_above(level: list[bytes]) -> list[bytes]:
    above = [_parent_of(level[place], level[place + 1]) for place in range(0, len(level) - 1, 2)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _parent_of(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left <= right else right + left)

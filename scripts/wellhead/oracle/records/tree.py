"""The record tree by blocks of 16 leaves: what is below a block's hash follows from its entries and is kept nowhere.

Equal to `wellhead.reference.merkle`, which holds whole trees in memory; tests compare the two.
"""

from __future__ import annotations

from collections.abc import Iterable

from sha3 import keccak_256  # eth-hash's default takes seven times as long, twice per node

from wellhead.reference.record import ENTRY_BYTES

HASH_BYTES = 32
# 16 leaves are hashed anew for every proof, in 30 us; keeping one hash of 32 leaves room for a sixteenth of the tree.
BLOCK_LEVELS = 4
BLOCK_ENTRIES = 1 << BLOCK_LEVELS
BLOCK_BYTES = BLOCK_ENTRIES * ENTRY_BYTES

Levels = list[list[bytes]]


def block_levels(block: bytes) -> Levels:
    """The levels over a block of 1 to 16 packed entries, leaves first, the block's hash alone in the last.

    An entry is what its leaf hashes. A last block that is not full has fewer levels: its hash moves up unchanged.
    """
    return levels_over(
        [
            keccak_256(block[start : start + ENTRY_BYTES]).digest()
            for start in range(0, len(block), ENTRY_BYTES)
        ]
    )


def levels_over(hashes: list[bytes]) -> Levels:
    """The levels over `hashes`, themselves first, the root alone in the last."""
    levels = [hashes]
    while len(levels[-1]) > 1:
        levels.append(_level_above(levels[-1]))
    return levels


def siblings(levels: Levels, place: int) -> list[bytes]:
    """What leads from the hash at `place` of the first level to the last one."""
    path = []
    for level in levels[:-1]:
        if place ^ 1 < len(level):
            path.append(level[place ^ 1])
        place //= 2
    return path


def root_over(leaf: bytes, path: Iterable[bytes]) -> bytes:
    """The whole root of 32 bytes that `path` leads to from `leaf`."""
    node = leaf
    for sibling in path:
        node = _parent_of(node, sibling)
    return node


def kept_sizes(entries: int) -> list[int]:
    """How many hashes each kept level of a tree over `entries` has: that of the blocks first, the root's last."""
    sizes = [-(-entries // BLOCK_ENTRIES)]
    while sizes[-1] > 1:
        sizes.append((sizes[-1] + 1) // 2)
    return sizes


def _level_above(level: list[bytes]) -> list[bytes]:
    above = [_parent_of(left, right) for left, right in zip(level[::2], level[1::2], strict=False)]
    if len(level) % 2:
        above.append(level[-1])
    return above


def _parent_of(left: bytes, right: bytes) -> bytes:
    digest: bytes = keccak_256(left + right if left <= right else right + left).digest()
    return digest

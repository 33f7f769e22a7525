"""A round's records in one file: a header, the packed entries by ascending node, the upper levels of their tree.

The entries stand as a report pushes them, 36 bytes each. Whatever is read of them is proven against the header's root
before anybody gets it, so a file that was damaged is refused and never believed.
"""

from __future__ import annotations

import os
import struct
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from itertools import pairwise
from operator import lt
from pathlib import Path
from typing import BinaryIO, ClassVar

from wellhead.errors import Refused
from wellhead.oracle.records.tree import (
    BLOCK_BYTES,
    BLOCK_ENTRIES,
    HASH_BYTES,
    block_levels,
    kept_sizes,
    levels_over,
    root_over,
    siblings,
)
from wellhead.reference.merkle import ROOT_BYTES, MerkleError, Reading
from wellhead.reference.record import ENTRY_BYTES, NODE_ID_BYTES, RecordError

CHUNK_BYTES = 1024 * BLOCK_BYTES


class NotKept(Refused):
    """No record of that round, or of that node in it, is kept here."""


class Damaged(Refused):
    """A file is not what was written."""

    def __init__(self, path: Path, what: str) -> None:
        super().__init__(f"{path} {what}: delete it, and fetch the round from another reporter")


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself. `root` is whole, 32 bytes."""

    round: int
    entries: int
    root: bytes
    entries_digest: bytes

    _LAYOUT: ClassVar[struct.Struct] = struct.Struct(">8sII32s32s")
    _MAGIC: ClassVar[bytes] = b"whround1"
    BYTES: ClassVar[int] = _LAYOUT.size + HASH_BYTES

    def pack(self) -> bytes:
        fields = self._LAYOUT.pack(self._MAGIC, self.round, self.entries, self.root, self.entries_digest)
        return fields + sha256(fields).digest()

    @classmethod
    def read(cls, path: Path, fd: int) -> Header:
        """The header of an open file. Raises Damaged, also when the file is longer or shorter than it says."""
        packed = os.pread(fd, cls.BYTES, 0)
        fields, digest = packed[: cls._LAYOUT.size], packed[cls._LAYOUT.size :]
        if len(packed) < cls.BYTES or sha256(fields).digest() != digest or not fields.startswith(cls._MAGIC):
            raise Damaged(path, "has no whole header of a round's records")
        _, round_number, entries, root, entries_digest = cls._LAYOUT.unpack(fields)
        header = cls(round_number, entries, root, entries_digest)
        if (size := os.fstat(fd).st_size) != header.file_bytes:
            raise Damaged(
                path, f"has {size:,} bytes, not the {header.file_bytes:,} of its {entries:,} records"
            )
        return header

    @property
    def tree_start(self) -> int:
        return self.BYTES + self.entries * ENTRY_BYTES

    @property
    def file_bytes(self) -> int:
        return self.tree_start + sum(kept_sizes(self.entries)) * HASH_BYTES


class RoundWriter:
    """Takes a round's entries by ascending node, in pieces of any length, and keeps one hash of 16 of them."""

    def __init__(self, file: BinaryIO) -> None:
        """`file` is empty."""
        self._file, self._rest = file, b""
        self._digest, self._blocks, self._entries = sha256(), list[bytes](), 0
        self._last_id = bytes(NODE_ID_BYTES)  # no node has this id
        file.write(bytes(Header.BYTES))

    def add(self, piece: bytes) -> None:
        """Raises MerkleError when a node does not ascend."""
        piece = self._rest + piece
        whole = len(piece) - len(piece) % BLOCK_BYTES
        self._rest = piece[whole:]
        self._take(piece[:whole])

    def finish(self, round_number: int) -> Header:
        """Write what is left, the tree and the header. Raises MerkleError when nothing or half an entry was added."""
        if left := len(self._rest) % ENTRY_BYTES:
            raise MerkleError(f"entries have {ENTRY_BYTES} bytes each; {left} are left over")
        self._take(self._rest)
        if not self._entries:
            raise MerkleError("a tree needs at least one record")
        levels = levels_over(self._blocks)
        for level in levels:
            self._file.write(b"".join(level))
        header = Header(round_number, self._entries, levels[-1][0], self._digest.digest())
        self._file.seek(0)
        self._file.write(header.pack())
        return header

    def _take(self, blocks: bytes) -> None:
        for start in range(0, len(blocks), BLOCK_BYTES):
            block = blocks[start : start + BLOCK_BYTES]
            self._require_ascending(block)
            self._blocks.append(block_levels(block)[-1][0])
        self._file.write(blocks)
        self._digest.update(blocks)
        self._entries += len(blocks) // ENTRY_BYTES

    def _require_ascending(self, block: bytes) -> None:
        ids = [self._last_id]
        ids += [block[start : start + NODE_ID_BYTES] for start in range(0, len(block), ENTRY_BYTES)]
        if not all(map(lt, ids, ids[1:])):
            raise MerkleError(_disorder([int.from_bytes(packed, "big") for packed in ids]))
        self._last_id = ids[-1]


class RoundFile:
    """A file that was written, open for reading. Threads may share it."""

    def __init__(self, path: Path, round_number: int) -> None:
        """Raises NotKept or Damaged."""
        try:
            self._file = path.open("rb", buffering=0)
        except FileNotFoundError:
            raise NotKept(f"round {round_number} is not kept here") from None
        self._path = path
        self._fd = self._file.fileno()
        try:
            self.header = Header.read(path, self._fd)
            if self.header.round != round_number:
                raise Damaged(path, f"holds round {self.header.round}, not {round_number}")
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> RoundFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()

    @property
    def root(self) -> bytes:
        """The 23 bytes that a report names."""
        return self.header.root[:ROOT_BYTES]

    def reading(self, node: int) -> Reading:
        """The node's record with its proof. Raises NotKept when the round has none, Damaged."""
        place = bisect_left(range(self.header.entries), node, key=self._node_at)
        if place < self.header.entries:
            entry, proof = self._proven(place)
            if entry[:NODE_ID_BYTES] == node.to_bytes(NODE_ID_BYTES, "big"):
                return Reading(self.header.round, entry[NODE_ID_BYTES:], proof)
        if place:
            self._proven(place - 1)  # with the one before it too, it is certain that nothing is between them
        raise NotKept(f"round {self.header.round} has no record of node {node}")

    def checked_pieces(self) -> Iterator[bytes]:
        """All entries in pieces of whole ones, by ascending node; the file is closed after the last.

        They are compared with what was written before anybody gets the first. Raises Damaged.
        """
        try:
            digest = sha256()
            for piece in self._pieces():
                digest.update(piece)
            if digest.digest() != self.header.entries_digest:
                raise Damaged(self._path, "has other records than were written to it")
        except BaseException:
            self._file.close()
            raise
        return self._pieces_then_close()

    def _pieces(self) -> Iterator[bytes]:
        end = self.header.tree_start
        for start in range(Header.BYTES, end, CHUNK_BYTES):
            yield self._read(start, min(CHUNK_BYTES, end - start))

    def _pieces_then_close(self) -> Iterator[bytes]:
        with self:
            yield from self._pieces()

    def _node_at(self, place: int) -> int:
        return int.from_bytes(self._read(Header.BYTES + place * ENTRY_BYTES, NODE_ID_BYTES), "big")

    def _proven(self, place: int) -> tuple[bytes, list[bytes]]:
        """The entry at `place` and its proof, checked against the root."""
        number, inside = divmod(place, BLOCK_ENTRIES)
        start = Header.BYTES + number * BLOCK_BYTES
        block = self._read(start, min(BLOCK_BYTES, self.header.tree_start - start))
        levels = block_levels(block)
        above = self._siblings_above(number)
        if root_over(levels[-1][0], above) != self.header.root:
            raise Damaged(self._path, f"does not prove its records {place - inside:,} and following")
        entry = block[inside * ENTRY_BYTES : (inside + 1) * ENTRY_BYTES]
        return entry, siblings(levels, inside) + above

    def _siblings_above(self, place: int) -> list[bytes]:
        start, path = self.header.tree_start, []
        for size in kept_sizes(self.header.entries)[:-1]:
            if place ^ 1 < size:
                path.append(self._read(start + (place ^ 1) * HASH_BYTES, HASH_BYTES))
            start += size * HASH_BYTES
            place //= 2
        return path

    def _read(self, start: int, length: int) -> bytes:
        try:
            found = os.pread(self._fd, length, start)
        except OSError as error:
            raise Damaged(self._path, f"cannot be read: {error}") from error
        if len(found) < length:
            raise Damaged(self._path, "was cut while it was read")
        return found


def _disorder(ids: list[int]) -> str:
    before, node = next(pair for pair in pairwise(ids) if pair[0] >= pair[1])
    if node == 0:
        return str(RecordError("FieldOutOfRange", "node_id", 0, (1 << 8 * NODE_ID_BYTES) - 1))
    return f"node {node} is given twice" if before == node else f"node {node} stands after node {before}"

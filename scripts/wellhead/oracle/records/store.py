"""Every round's records on disk, one file per round: written whole or not at all, read by a few blocks."""

from __future__ import annotations

import fcntl
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import BinaryIO, NamedTuple

from wellhead.errors import Misused, Refused
from wellhead.oracle.records.round_file import CHUNK_BYTES, RoundFile, RoundWriter
from wellhead.reference.merkle import ROOT_BYTES, Reading
from wellhead.reference.record import (
    ENTRY_BYTES,
    NODE_ID_BYTES,
    NodeRecord,
    require_node_id,
    unpack_entries,
)

MAX_ROUND = 2**24 - 1
_NAME = re.compile(r"(\d{8})\.records")
_PARTIAL = ".partial"


class KeptRound(NamedTuple):
    """What is kept of a round; its `root` has the 23 bytes that a report names."""

    round: int
    root: bytes
    nodes: int


class RecordStore:
    """The rounds of one oracle in a folder. Threads and processes may read and write at once.

    What is kept is not yet what the chain says: who relies on a round compares its root.
    """

    def __init__(self, folder: Path, keep_rounds: int) -> None:
        """At most `keep_rounds` are kept, at least 1; a round beyond the oracle's ring proves nothing any more."""
        if keep_rounds < 1:
            raise Misused(f"a store that keeps {keep_rounds} rounds keeps nothing: let it be at least 1")
        self._folder, self.keep_rounds = folder, keep_rounds
        folder.mkdir(parents=True, exist_ok=True)

    # Writing ----------------------------------------------------------------------------------------

    def write(self, round_number: int, records: Iterable[tuple[int, NodeRecord]]) -> bytes:
        """Keep `records`, in any order, as the round's; its root.

        They replace what was kept of it; whatever fails leaves that as it was. Raises MerkleError for no records or a
        node given twice, RecordError for an impossible node id, else as `write_entries`.
        """
        packed = [
            require_node_id(node).to_bytes(NODE_ID_BYTES, "big") + record.pack() for node, record in records
        ]
        packed.sort()  # by node: its number stands first, the highest byte in front
        step = CHUNK_BYTES // ENTRY_BYTES
        pieces = (b"".join(packed[start : start + step]) for start in range(0, len(packed), step))
        return self.write_entries(round_number, pieces)

    def write_entries(self, round_number: int, pieces: Iterable[bytes], root: bytes | None = None) -> bytes:
        """As `write`, of packed entries by ascending node, in pieces of any length; memory stays at a few megabytes.

        If the chain's `root` is given, only entries that hash to it are taken. Raises Refused when they do not, when
        the disk takes no more or when the round is older than all that are kept; MerkleError for entries out of order.
        """
        self._require_wanted(round_number)
        try:
            with self._partial() as file:
                writer = RoundWriter(file)
                for piece in pieces:
                    writer.add(piece)
                found = writer.finish(round_number).root[:ROOT_BYTES]
                if root is not None and found != root:
                    raise Refused(
                        f"the records of round {round_number} have the root 0x{found.hex()}, not 0x{root.hex()}"
                    )
                file.flush()
                os.fsync(file.fileno())
                os.replace(file.name, self._path(round_number))
            self._sync_folder()
        except OSError as error:
            raise Refused(f"round {round_number} cannot be kept in {self._folder}: {error}") from error
        self._forget_old()
        return found

    # Reading ----------------------------------------------------------------------------------------

    def rounds(self) -> list[int]:
        """The rounds that are kept, ascending."""
        return sorted(
            int(name[1]) for entry in os.scandir(self._folder) if (name := _NAME.fullmatch(entry.name))
        )

    def newest(self, at_or_below: int = MAX_ROUND) -> int | None:
        """The newest kept round that is not above `at_or_below`; None if there is none."""
        return max((number for number in self.rounds() if number <= at_or_below), default=None)

    def open(self, round_number: int) -> RoundFile:
        """What is kept of the round, for more than one look at the same. Raises NotKept or Damaged, as all below."""
        return RoundFile(self._path(round_number), round_number)

    def about(self, round_number: int) -> KeptRound:
        """The round's root and how many nodes it has."""
        with self.open(round_number) as file:
            return KeptRound(round_number, file.root, file.header.entries)

    def reading(self, round_number: int, node: int) -> Reading:
        """The node's record in the round with its proof. Raises NotKept also when the round has none of it."""
        with self.open(round_number) as file:
            return file.reading(require_node_id(node))

    def entries(self, round_number: int) -> Iterator[bytes]:
        """The round's packed entries by ascending node, in pieces of whole ones; all are checked before the first."""
        return self.open(round_number).checked_pieces()

    def records(self, round_number: int) -> Iterator[tuple[int, NodeRecord]]:
        """The round's nodes and records by ascending node; all are checked before the first."""
        return (pair for piece in self.entries(round_number) for pair in unpack_entries(piece))

    # Files ------------------------------------------------------------------------------------------

    def _path(self, round_number: int) -> Path:
        return self._folder / f"{round_number:08}.records"

    def _require_wanted(self, round_number: int) -> None:
        if not 1 <= round_number <= MAX_ROUND:
            raise Misused(f"round {round_number} is none: rounds go from 1 to {MAX_ROUND}")
        kept = self.rounds()[-self.keep_rounds :]
        if len(kept) == self.keep_rounds and round_number < kept[0]:
            raise Refused(
                f"round {round_number} is older than the {len(kept)} that are kept, from {kept[0]} on"
            )

    def _forget_old(self) -> None:
        for number in self.rounds()[: -self.keep_rounds]:
            self._path(number).unlink(missing_ok=True)

    @contextmanager
    def _partial(self) -> Iterator[BinaryIO]:
        """A new file that is gone after the block, however that ends, unless it was renamed within.

        A writer holds the lock of its file: what nobody holds was left by a process that was killed.
        """
        for left in self._folder.glob(f"*{_PARTIAL}"):
            with suppress(OSError), left.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                left.unlink()
        while True:
            with NamedTemporaryFile(dir=self._folder, suffix=_PARTIAL, delete=False) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if not os.fstat(file.fileno()).st_nlink:
                    continue  # another writer took it for left behind before it was locked
                try:
                    yield file  # type: ignore[misc]
                finally:
                    Path(file.name).unlink(missing_ok=True)
                return

    def _sync_folder(self) -> None:
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

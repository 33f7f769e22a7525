"""The records on disk: the same tree as the twin's, believed only where they prove themselves, whole or not there."""

from __future__ import annotations

import errno
import os
import random
import resource
import subprocess
import sys
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from wellhead.errors import Misused, Refused
from wellhead.oracle.records.round_file import Damaged, Header, NotKept
from wellhead.oracle.records.store import KeptRound, RecordStore
from wellhead.reference.merkle import MerkleError, Reading, RecordTree, verify
from wellhead.reference.record import ENTRY_BYTES, NodeRecord, RecordError, pack_entries

SEED = 1859
ROUND = 17
SIZES = [*range(1, 71), *(2**power + step for power in range(7, 11) for step in (-1, 0, 1))]


def records(count: int, seed: int = SEED) -> dict[int, NodeRecord]:
    """Random records of nodes anywhere among all that can be."""
    rng = random.Random(f"{seed} {count}")
    return {node: NodeRecord.unpack(rng.randbytes(32)) for node in rng.sample(range(1, 2**32), count)}


@pytest.fixture
def store(tmp_path: Path) -> RecordStore:
    return RecordStore(tmp_path / "rounds", keep_rounds=3)


def the_file(store: RecordStore, round_number: int = ROUND) -> Path:
    return store._path(round_number)


# The same tree ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", SIZES)
def test_root_and_proofs_are_the_twins(store: RecordStore, count: int) -> None:
    print("seed", SEED)
    given = records(count)
    tree = RecordTree(given.items())
    assert store.write(ROUND, given.items()) == tree.root
    assert store.about(ROUND) == KeptRound(ROUND, tree.root, count)
    assert dict(store.records(ROUND)) == given
    for node in random.Random(SEED).sample(sorted(given), min(count, 40)):
        assert store.reading(ROUND, node) == tree.reading(ROUND, node)


def test_nodes_in_a_row_are_found_as_well_as_scattered_ones(store: RecordStore) -> None:
    given = dict(zip(range(1, 101), records(100).values(), strict=True))
    tree = RecordTree(given.items())
    store.write(ROUND, given.items())
    assert [store.reading(ROUND, node) for node in given] == [tree.reading(ROUND, node) for node in given]


@pytest.mark.parametrize("length", [1, 35, 36, 575, 577, 5_000])
def test_entries_may_come_in_pieces_of_any_length(store: RecordStore, length: int) -> None:
    given = records(70)
    entries = pack_entries(given)
    pieces = [entries[start : start + length] for start in range(0, len(entries), length)]
    assert store.write_entries(ROUND, pieces) == RecordTree(given.items()).root
    assert b"".join(store.entries(ROUND)) == entries


def test_no_record_passes_that_was_not_in_the_leaf_set(store: RecordStore) -> None:
    """What the store proves holds for that node, that record and that root, and for nothing made out of it."""
    rng = random.Random(SEED)
    print("seed", SEED)
    for count in (1, 2, 3, 15, 16, 17, 33, 100, 257):
        given = records(count)
        root = store.write(ROUND, given.items())
        other_root = RecordTree(records(count, SEED + 1).items()).root
        nodes = rng.sample(sorted(given), min(count, 20))
        for node in nodes:
            _, packed, proof = store.reading(ROUND, node)
            assert verify(root, node, packed, proof)
            assert not verify(other_root, node, packed, proof)
            for _ in range(8):
                assert not verify(root, *_forged(rng, node, packed, proof, given))
        for stranger in set(records(20, SEED + 2)) - set(given):
            with pytest.raises(NotKept, match=f"no record of node {stranger}"):
                store.reading(ROUND, stranger)


def _forged(
    rng: random.Random, node: int, packed: bytes, proof: list[bytes], given: dict[int, NodeRecord]
) -> tuple[int, bytes, list[bytes]]:
    """Another node, record or proof than the true one, made from it."""
    bit = 1 << rng.randrange(256)
    other = (int.from_bytes(packed, "big") ^ bit).to_bytes(32, "big")
    forgeries = [
        (node ^ 1 << rng.randrange(31), packed, proof),
        (node, other, proof),
        (node, packed, [*proof, rng.randbytes(32)]),
        (node, packed, [rng.randbytes(32), *proof]),
    ]
    if proof:
        place = rng.randrange(len(proof))
        forgeries.append((node, packed, proof[:place] + proof[place + 1 :]))
        forgeries.append((node, packed, [*proof[:place], rng.randbytes(32), *proof[place + 1 :]]))
        # An inner node has 64 bytes: its halves are no node's record, whatever is left of the path.
        forgeries.append((node, proof[place], proof[place + 1 :]))
        stranger = rng.choice([one for one in given if one != node])
        forgeries.append((stranger, packed, proof))
        forgeries.append((node, given[stranger].pack(), proof))
    return rng.choice(forgeries)


# What is not there --------------------------------------------------------------------------------------


def test_a_node_below_between_and_above_the_kept_ones_has_no_reading(store: RecordStore) -> None:
    given = dict(zip(range(10, 1_000, 10), records(99).values(), strict=True))
    store.write(ROUND, given.items())
    for stranger in (1, 9, 11, 159, 161, 999, 2**32 - 1):
        with pytest.raises(NotKept, match=f"round 17 has no record of node {stranger}"):
            store.reading(ROUND, stranger)
    with pytest.raises(NotKept, match="round 18 is not kept"):
        store.reading(18, 10)
    with pytest.raises(RecordError, match="node_id"):
        store.reading(ROUND, 0)


def test_rounds_are_listed_and_the_old_ones_forgotten(store: RecordStore) -> None:
    given = records(3)
    assert (store.rounds(), store.newest()) == ([], None)
    for number in (5, 9, 7):
        store.write(number, given.items())
    assert store.rounds() == [5, 7, 9]
    assert [store.newest(below) for below in (4, 5, 6, 8, 100)] == [None, 5, 5, 7, 9]
    store.write(12, given.items())
    assert store.rounds() == [7, 9, 12]
    with pytest.raises(Refused, match="round 6 is older than the 3 that are kept, from 7 on"):
        store.write(6, given.items())
    store.write(8, given.items())
    assert store.rounds() == [8, 9, 12]


@pytest.mark.parametrize("number", [0, 2**24])
def test_a_round_must_be_one(store: RecordStore, number: int) -> None:
    with pytest.raises(Misused, match=f"round {number} is none"):
        store.write(number, records(1).items())


def test_a_store_must_keep_something(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="at least 1"):
        RecordStore(tmp_path, 0)


# What cannot be a round ---------------------------------------------------------------------------------


def test_a_round_that_cannot_be_leaves_what_was_kept(store: RecordStore) -> None:
    given = records(40)
    root = store.write(ROUND, given.items())
    (node, record), (other, _) = list(given.items())[:2]
    packed = pack_entries({node: record, other: record})
    with pytest.raises(MerkleError, match="at least one"):
        store.write(ROUND, [])
    with pytest.raises(MerkleError, match=f"node {node} is given twice"):
        store.write(ROUND, [(node, record), (other, record), (node, record)])
    with pytest.raises(RecordError, match="node_id"):
        store.write(ROUND, [(0, record)])
    with pytest.raises(MerkleError, match=f"node {min(node, other)} stands after node {max(node, other)}"):
        store.write_entries(ROUND, [packed[ENTRY_BYTES:], packed[:ENTRY_BYTES]])
    with pytest.raises(MerkleError, match="node_id, 0"):
        store.write_entries(ROUND, [bytes(ENTRY_BYTES)])
    with pytest.raises(MerkleError, match="36 bytes each; 35 are left over"):
        store.write_entries(ROUND, [packed[:-1]])
    with pytest.raises(Refused, match=f"not 0x{bytes(23).hex()}"):
        store.write_entries(ROUND, [packed], root=bytes(23))
    assert store.about(ROUND).root == root
    assert [path.name for path in the_file(store).parent.iterdir()] == ["00000017.records"]


def test_the_order_is_kept_across_blocks(store: RecordStore) -> None:
    entries = pack_entries(records(17))
    last = entries[-ENTRY_BYTES:]
    with pytest.raises(MerkleError, match="is given twice"):
        store.write_entries(ROUND, [entries[ENTRY_BYTES:], last])


def test_a_round_may_be_replaced(store: RecordStore) -> None:
    store.write(ROUND, records(40).items())
    later = records(50)
    root = store.write_entries(ROUND, [pack_entries(later)], root=RecordTree(later.items()).root)
    assert store.about(ROUND) == KeptRound(ROUND, root, 50)


# Damage -------------------------------------------------------------------------------------------------


def test_one_wrong_byte_anywhere_is_never_believed(store: RecordStore) -> None:
    """Every reading of a damaged file is the true one or Damaged; which one depends on what it reads."""
    given = records(40)
    store.write(ROUND, given.items())
    nodes = sorted(given)
    edges_of_blocks = [nodes[place] for place in (0, 15, 16, 31, 32, 39)]
    true = {node: store.reading(ROUND, node) for node in edges_of_blocks}
    path, whole = the_file(store), the_file(store).read_bytes()
    entries_end = Header.BYTES + 40 * ENTRY_BYTES
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        if place < entries_end:
            with pytest.raises(Damaged, match=r"00000017\.records"):
                list(store.records(ROUND))
        if place < Header.BYTES:
            with pytest.raises(Damaged, match="no whole header"):
                store.about(ROUND)
        for node in edges_of_blocks:
            assert _reading_or_damaged(store, node) in (true[node], None)


def test_a_damaged_block_is_refused_and_the_others_still_serve(store: RecordStore) -> None:
    given = dict(zip(range(1, 101), records(100).values(), strict=True))
    store.write(ROUND, given.items())
    path = the_file(store)
    whole = bytearray(path.read_bytes())
    whole[Header.BYTES + 20 * ENTRY_BYTES + 30] ^= 1  # the record of node 21
    path.write_bytes(whole)
    with pytest.raises(Damaged, match="does not prove its records 16 and following: delete it"):
        store.reading(ROUND, 21)
    assert verify(store.about(ROUND).root, 40, given[40].pack(), store.reading(ROUND, 40).proof)


def _reading_or_damaged(store: RecordStore, node: int) -> Reading | None:
    try:
        return store.reading(ROUND, node)
    except Damaged:
        return None


def test_a_file_that_was_cut_or_grew_is_refused(store: RecordStore) -> None:
    store.write(ROUND, records(20).items())
    path, whole = the_file(store), the_file(store).read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(Damaged, match=r"no whole header|has [\d,]+ bytes, not the"):
            store.about(ROUND)
    path.write_bytes(whole + b"\0")
    with pytest.raises(Damaged, match="not the"):
        store.about(ROUND)


def test_a_file_that_is_cut_while_it_is_read_is_refused(store: RecordStore) -> None:
    given = records(20)
    store.write(ROUND, given.items())
    with store.open(ROUND) as file:
        os.truncate(the_file(store), Header.BYTES + ENTRY_BYTES)
        with pytest.raises(Damaged, match="was cut while it was read"):
            file.reading(min(given))


def test_a_disk_that_gives_nothing_back_is_refused(
    store: RecordStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = records(20)
    store.write(ROUND, given.items())

    def fail(*_: int) -> bytes:
        raise OSError(errno.EIO, "Input/output error")

    with store.open(ROUND) as file:
        monkeypatch.setattr(os, "pread", fail)
        with pytest.raises(Damaged, match=r"cannot be read: .*Input/output error"):
            file.reading(min(given))


def test_a_file_under_another_rounds_name_is_refused(store: RecordStore) -> None:
    store.write(ROUND, records(20).items())
    the_file(store).rename(the_file(store, 18))
    with pytest.raises(Damaged, match="holds round 17, not 18"):
        store.about(18)


# Crashes ------------------------------------------------------------------------------------------------

KILLED = """
import os, signal, sys
from pathlib import Path
from wellhead.oracle.records.store import RecordStore

def pieces():
    yield bytes(3) + b"\\1" + bytes(32)
    os.kill(os.getpid(), signal.SIGKILL)

RecordStore(Path(sys.argv[1]), 3).write_entries(17, pieces())
"""


def test_a_writer_that_is_killed_leaves_the_old_round_and_the_next_one_cleans_up(store: RecordStore) -> None:
    given = records(40)
    store.write(ROUND, given.items())
    folder = the_file(store).parent
    killed = subprocess.run([sys.executable, "-c", KILLED, str(folder)], timeout=60, check=False)
    assert killed.returncode == -9
    assert len(list(folder.iterdir())) == 2  # what was there, and what the writer left
    assert dict(store.records(ROUND)) == given
    store.write(18, given.items())
    assert sorted(path.name for path in folder.iterdir()) == ["00000017.records", "00000018.records"]


def test_two_may_write_at_once(store: RecordStore) -> None:
    first, second = records(20), records(30)

    def pieces() -> Iterator[bytes]:
        entries = pack_entries(first)
        yield entries[:100]
        store.write(18, second.items())
        yield entries[100:]

    store.write_entries(ROUND, pieces())
    assert dict(store.records(ROUND)) == first
    assert dict(store.records(18)) == second


def test_a_disk_that_takes_no_more_leaves_the_old_round(store: RecordStore) -> None:
    given = records(40)
    store.write(ROUND, given.items())
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))  # the kernel then refuses as a full disk does
    try:
        with pytest.raises(Refused, match="round 17 cannot be kept in"):
            store.write(ROUND, records(1_000).items())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert dict(store.records(ROUND)) == given
    assert len(list(the_file(store).parent.iterdir())) == 1


def test_a_peers_round_passes_through_without_being_held(store: RecordStore) -> None:
    count = 50_000
    record = NodeRecord(1, 0, 0, 0, 0, 0, 1).pack()
    tracemalloc.start()
    try:
        store.write_entries(ROUND, (node.to_bytes(4, "big") + record for node in range(1, count + 1)))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < count * ENTRY_BYTES / 2

"""What every report goes on from: the chain's own records, whoever kept or spoilt them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from wellhead.chain.contracts.telemetry_oracle import Round
from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.history import History
from wellhead.oracle.daemon.store import ReporterStore, Sealed
from wellhead.oracle.records.store import RecordStore
from wellhead.reference.merkle import RecordTree
from wellhead.reference.record import NodeRecord

GENESIS, WINDOW_SECONDS = 1_700_000_000, 300


def record_of(round_number: int) -> NodeRecord:
    seconds = round_number * WINDOW_SECONDS
    return NodeRecord(GENESIS + seconds, seconds, seconds, 0, 0, round_number, 1)


class StandInView(ChainView):
    """Rounds of which only the roots are on the chain."""

    def __init__(self, nodes_of: dict[int, list[int]]) -> None:
        self.genesis, self.window_seconds, self.finality_delay_seconds = GENESIS, WINDOW_SECONDS, 900
        self.nodes_of, self.vetoed = nodes_of, set[int]()
        self.lie = 0
        self.asked = 0

    def chain_time(self) -> int:
        return GENESIS + self.latest_round() * WINDOW_SECONDS

    def latest_round(self) -> int:
        return max(self.nodes_of) + self.lie

    def records(self, round_number: int) -> dict[int, NodeRecord]:
        return {node: record_of(round_number) for node in self.nodes_of[round_number]}

    def posted(self, round_number: int) -> Round | None:
        self.asked += 1
        if round_number not in self.nodes_of:
            return None
        root = RecordTree(self.records(round_number).items()).root
        return Round(root, GENESIS + round_number * WINDOW_SECONDS, round_number in self.vetoed)

    def last_pushed(self, _node: int) -> NodeRecord | None:
        return None

    def entries_of(self, _round_number: int, _root: bytes) -> list[bytes]:
        return []

    def gpu_count(self, node: int) -> int | None:
        return 1 if node < 100 else None


class StandInKeeper:
    """Another reporter: gives what it has, or what it should not."""

    def __init__(self, view: StandInView, honest: bool = True) -> None:
        self.view, self.honest = view, honest

    def fetch(self, store: RecordStore, round_number: int, root: bytes, *, within_seconds: float = 0) -> None:
        records = self.view.records(round_number)
        if not self.honest:
            raise Refused("it gives a byte a minute")
        store.write(round_number, records.items())
        assert store.about(round_number).root == root
        assert within_seconds > 0


class Stage:
    def __init__(self, folder: Path, nodes_of: dict[int, list[int]], keepers: int = 2) -> None:
        self.view, self.folder = StandInView(nodes_of), folder / "records"
        self.records = RecordStore(self.folder, 100)
        self.store = ReporterStore(f"sqlite:///{folder / 'reporter.db'}")
        others = [StandInKeeper(self.view, honest=number == 0) for number in range(keepers)]
        self.history = History(self.view, self.store, self.records, others)


def test_a_record_is_the_newest_of_a_good_round(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: [1, 2, 3], 2: [1, 2], 3: [1], 5: [1]})
    stage.view.vetoed.add(2)
    stage.history.catch_up()
    found = stage.history.last([1, 2, 3, 4, 200], 5)
    assert found == {
        1: record_of(5),
        2: record_of(1),
        3: record_of(1),
        4: replace(record_of(0), gpu_count=1),
    }


def test_what_it_goes_on_from_is_fetched_at_once(tmp_path: Path) -> None:
    """Not when all that was missed is there; a peer that gives nothing is passed over."""
    stage = Stage(tmp_path, {number: [1] for number in range(1, 51)}, keepers=4)
    assert stage.history.last([1], 50) == {1: record_of(50)}
    assert stage.records.rounds() == [50]


def test_nobody_to_ask_is_no_reason_to_begin_at_zero(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: [1]}, keepers=0)
    with pytest.raises(Refused, match="nobody to ask"):
        stage.history.last([1], 1)


def test_a_file_that_was_spoilt_is_fetched_again(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: [1]})
    stage.history.catch_up()
    (file,) = stage.folder.glob("*.records")
    whole = file.read_bytes()
    file.write_bytes(whole[:120] + b"\xff" + whole[121:])
    with pytest.raises(Refused, match="prove"):
        stage.history.last([1], 1)
    stage.history.catch_up()
    assert stage.history.last([1], 1) == {1: record_of(1)}


def test_a_round_that_was_said_to_be_far_ahead_hides_none(tmp_path: Path) -> None:
    """A chain's node once answered nonsense: what it skipped is looked at again."""
    nodes_of = {number: [1] for number in range(1, 4)}
    stage = Stage(tmp_path, nodes_of)
    stage.view.lie = 60
    stage.history.catch_up()
    stage.view.lie = 0
    nodes_of |= {number: [1] for number in range(4, 40)}
    stage.history.catch_up()
    assert stage.records.rounds() == list(range(1, 40))


def test_what_is_final_is_asked_for_once(tmp_path: Path) -> None:
    """A new node has a record nowhere: with each proposal that would be a question per round that is kept."""
    stage = Stage(tmp_path, {number: [1] for number in range(1, 41)})
    stage.history.catch_up()
    stage.history.last([1, 2], 40)
    stage.view.asked = 0
    for _ in range(3):
        stage.history.last([1, 2, 200], 40)
    assert stage.view.asked <= 12


def test_the_record_before_the_last(tmp_path: Path) -> None:
    stage = Stage(tmp_path, {1: [1, 2], 2: [1, 2], 3: [1], 4: [1, 2]})
    stage.view.vetoed.add(3)
    stage.history.catch_up()
    never = replace(record_of(0), gpu_count=1)
    assert stage.history.before([1, 3, 200], 4) == {1: record_of(2), 3: never}
    assert stage.history.before([2], 1) == {2: never}


def test_what_was_seen_of_rounds_that_nobody_reported_is_forgotten(tmp_path: Path) -> None:
    """What is new is not, whatever the chain says: it might be sealed a second time."""
    stage = Stage(tmp_path, {1: [1], 4: [1], 20: [1]})

    def seen(number: int) -> None:
        stage.store.seal(b"\x11" * 32, number, Sealed(0, b"", {}), {1: (b"\x05" * 32, b"{}")})

    def kept() -> set[int]:
        known = {number for number in range(1, 30) if stage.store.evidence_hashes(number)}
        assert known == {number for number in range(1, 30) if stage.store.sealed(b"\x11" * 32, number)}
        return known

    for number in (1, 2, 4, 8, 20):
        seen(number)
    stage.history.catch_up()
    assert kept() == {1, 2, 4, 8, 20}  # one look is not believed
    stage.history.catch_up()
    assert kept() == {1, 4, 20}

    seen(21)
    stage.view.nodes_of[100] = [1]
    stage.history.catch_up()
    stage.history.catch_up()
    assert kept() == {1, 4, 20, 21}

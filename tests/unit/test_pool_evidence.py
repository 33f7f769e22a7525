"""The best two records of a member's work, out of a chain of rounds some of which are vetoed, silent or restarted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from wellhead.chain.contracts.telemetry_oracle import PostedReport
from wellhead.errors import Refused
from wellhead.pool.evidence import PostedRounds
from wellhead.reference.merkle import Reading, RecordTree
from wellhead.reference.record import NodeRecord, pack_entries

FIRST, LAST = 10, 14


def record(round_number: int, work_units: int) -> NodeRecord:
    return NodeRecord(3_600 * round_number, 0, 0, 0, 0, work_units, 8)


@dataclass
class OracleStandIn:
    """Reports as they were posted, and which rounds are final."""

    posted: list[PostedReport] = field(default_factory=list)
    open_rounds: set[int] = field(default_factory=set)
    trees: dict[int, RecordTree] = field(default_factory=dict)

    def post(self, round_number: int, work: dict[int, int], *, pushed: tuple[int, ...] | None = None) -> None:
        records = {node: record(round_number, units) for node, units in work.items()}
        entries = {node: records[node] for node in (pushed if pushed is not None else records)}
        tree = self.trees[round_number] = RecordTree(records.items())
        self.posted.append(PostedReport(round_number, tree.root, bytes(32), pack_entries(entries), False))

    def reports(self, rounds: Sequence[int]) -> list[PostedReport]:
        return [report for report in self.posted if report.round in rounds]

    def is_final(self, round_number: int) -> bool:
        return round_number not in self.open_rounds


@dataclass
class PeerStandIn:
    """A reporter who kept some of the rounds."""

    oracle: OracleStandIn
    kept: tuple[int, ...]

    def rounds(self) -> list[int]:
        return [3, *self.kept]

    def reading(self, round_number: int, node: int, root: bytes) -> Reading | None:
        tree = self.oracle.trees[round_number]
        assert (tree.root, round_number in self.kept) == (root, True)
        return tree.reading(round_number, node) if tree.holds(node) else None


class SilentPeer:
    def rounds(self) -> list[int]:
        raise Refused("no reporter answers")


@pytest.fixture
def oracle() -> OracleStandIn:
    return OracleStandIn()


def rounds(oracle: OracleStandIn, peer: PeerStandIn | SilentPeer | None = None) -> PostedRounds:
    return PostedRounds(oracle, FIRST, LAST, peer)  # type: ignore[arg-type]


def stretch(oracle: OracleStandIn, node: int, peer: PeerStandIn | None = None) -> tuple[int, int, int] | None:
    evidence = rounds(oracle, peer).of(node)
    return evidence and (evidence.base.round, evidence.end.round, evidence.served_units)


def test_the_whole_period_and_nothing_outside_of_it(oracle: OracleStandIn) -> None:
    for number in range(FIRST - 1, LAST + 2):
        oracle.post(number, {1: 100 * number, 2: 7})
    assert rounds(oracle).has(LAST)
    assert stretch(oracle, 1) == (FIRST, LAST, 400)
    assert stretch(oracle, 2) is None  # it did nothing
    assert stretch(oracle, 3) is None  # nobody knows it


def test_rounds_that_are_not_final_or_did_not_push_everything_do_not_count(oracle: OracleStandIn) -> None:
    oracle.post(10, {1: 100, 2: 5}, pushed=(1,))
    oracle.post(11, {1: 200, 2: 5})
    oracle.post(13, {1: 300, 2: 9})
    oracle.post(14, {1: 400, 2: 9})
    oracle.open_rounds = {14}
    assert not rounds(oracle).has(14)
    assert stretch(oracle, 1) == (11, 13, 100)


def test_counters_that_were_restarted_leave_the_longer_part(oracle: OracleStandIn) -> None:
    for number, units in ((10, 1_000), (11, 1_500), (12, 20), (13, 90), (14, 900)):
        oracle.post(number, {1: units})
    assert stretch(oracle, 1) == (12, 14, 880)


def test_the_proofs_lead_to_the_posted_root(oracle: OracleStandIn) -> None:
    for number in (10, 14):
        oracle.post(number, {node: node * number for node in range(1, 6)})
    evidence = rounds(oracle).of(4)
    assert evidence is not None
    assert NodeRecord.unpack(evidence.end.record).work_units == 56
    assert len(evidence.end.proof) == 3


def test_rounds_that_only_name_a_root_are_proven_by_a_reporter_who_kept_them(oracle: OracleStandIn) -> None:
    oracle.post(10, {1: 100, 2: 5}, pushed=(1,))
    oracle.post(11, {1: 200, 2: 6})
    oracle.post(12, {1: 300}, pushed=())
    oracle.post(13, {1: 400, 2: 9}, pushed=())
    oracle.post(14, {1: 500, 2: 9}, pushed=())
    oracle.open_rounds = {14}
    all_kept, some_kept = PeerStandIn(oracle, (10, 12, 13, 14)), PeerStandIn(oracle, (12,))
    assert [stretch(oracle, 1, peer) for peer in (None, some_kept, all_kept)] == [
        None,
        (11, 12, 100),
        (10, 13, 300),
    ]
    assert stretch(oracle, 2, all_kept) == (10, 13, 4)  # round 12 has no record of it
    assert rounds(oracle, all_kept).has(13)
    assert not rounds(oracle, some_kept).has(13)
    assert not rounds(oracle, all_kept).has(14)


def test_a_reporter_is_asked_only_for_what_the_chain_has_not(oracle: OracleStandIn) -> None:
    for number in (10, 14):
        oracle.post(number, {1: number})
    assert rounds(oracle, SilentPeer()).has(14)
    oracle.post(12, {1: 12}, pushed=())
    with pytest.raises(Refused, match="no reporter answers"):
        rounds(oracle, SilentPeer())

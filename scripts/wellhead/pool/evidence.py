"""What a member's work is proven by: two of the oracle's final records of it, the further apart the better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.reference.merkle import Reading, RecordTree
from wellhead.reference.record import NodeRecord, RecordError, difference, unpack_entries


class Evidence(NamedTuple):
    """Two readings, and the tokens served between them."""

    base: Reading
    end: Reading
    served_units: int


class PostedRounds:
    """The final rounds from `first` to `last` whose reports pushed every record: the chain alone has their proofs."""

    def __init__(self, oracle: TelemetryOracle, first: int, last: int) -> None:
        self._trees: dict[int, RecordTree] = {}
        for report in oracle.reports(range(first, last + 1)):
            if not (report.records and oracle.is_final(report.round)):
                continue
            tree = RecordTree(unpack_entries(report.records))
            if tree.root == report.root:  # else the report names records that it did not push
                self._trees[report.round] = tree

    def has(self, round_number: int) -> bool:
        """Whether the round is final and its records are known."""
        return round_number in self._trees

    def of(self, node: int) -> Evidence | None:
        """The best evidence of the node's work, None if there is none."""
        rounds = sorted(number for number, tree in self._trees.items() if tree.holds(node))
        records = [NodeRecord.unpack(self._trees[number].reading(number, node).record) for number in rounds]
        base, end, units = _best_stretch(records)
        if units == 0:
            return None
        first, last = rounds[base], rounds[end]
        return Evidence(self._trees[first].reading(first, node), self._trees[last].reading(last, node), units)


def _best_stretch(records: Sequence[NodeRecord]) -> tuple[int, int, int]:
    """The places of two records with the most work between them, and that work. Where counters were restarted, or
    something else forbids a difference, a new stretch begins."""
    best, start = (0, 0, 0), 0
    for place in range(1, len(records)):
        try:
            units = difference(records[start], records[place]).work_units
        except RecordError:
            start = place
            continue
        best = max(best, (start, place, units), key=lambda stretch: stretch[2])
    return best

"""What a member's work is proven by: two of the oracle's final records of it, the further apart the better."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.oracle.records.peer import RecordPeer
from wellhead.reference.merkle import Reading, RecordTree
from wellhead.reference.record import NodeRecord, RecordError, difference, unpack_entries


class Evidence(NamedTuple):
    """Two readings, and the tokens served between them."""

    base: Reading
    end: Reading
    served_units: int


class PostedRounds:
    """The final rounds from `first` to `last` of which records can be proven.

    The chain alone has the proofs of a round whose report pushed every record; of another, a reporter who kept it.
    """

    def __init__(
        self, oracle: TelemetryOracle, first: int, last: int, peer: RecordPeer | None = None
    ) -> None:
        """`peer` is asked for the proofs that the chain has not. Raises Refused when it does not answer."""
        self._trees: dict[int, RecordTree] = {}
        self._roots: dict[int, bytes] = {}
        self._peer = peer
        for report in oracle.reports(range(first, last + 1)):
            if not oracle.is_final(report.round):
                continue
            if report.records:
                tree = RecordTree(unpack_entries(report.records))
                if tree.root == report.root:  # else the report names records that it did not push
                    self._trees[report.round] = tree
                    continue
            self._roots[report.round] = report.root
        kept = set(peer.rounds()) if peer is not None and self._roots else set()
        self._roots = {number: root for number, root in self._roots.items() if number in kept}

    def has(self, round_number: int) -> bool:
        """Whether the round is final and its records are known."""
        return round_number in self._trees or round_number in self._roots

    def of(self, node: int) -> Evidence | None:
        """The best evidence of the node's work, None if there is none. Raises Refused when the peer fails."""
        found = (self._reading(number, node) for number in sorted(self._trees.keys() | self._roots.keys()))
        readings = [reading for reading in found if reading is not None]
        base, end, units = _best_stretch([NodeRecord.unpack(reading.record) for reading in readings])
        return Evidence(readings[base], readings[end], units) if units else None

    def _reading(self, round_number: int, node: int) -> Reading | None:
        tree = self._trees.get(round_number)
        if tree is not None:
            return tree.reading(round_number, node) if tree.holds(node) else None
        assert self._peer is not None  # without one there is no round but those of the trees
        return self._peer.reading(round_number, node, self._roots[round_number])


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

"""What the newest records say of nodes, out of reports as they were posted."""

from __future__ import annotations

from dataclasses import replace

from wellhead.chain.contracts.telemetry_oracle import PostedReport
from wellhead.oracle.standing import NodeStanding, nodes_of
from wellhead.reference.record import NodeRecord, pack_entries

FIRST = NodeRecord(1_000, 100, 90, 10, 0, 5, 2)
SECOND = NodeRecord(2_000, 900, 690, 610, 1, 9, 2)


def posted(round_number: int, **records: NodeRecord) -> PostedReport:
    entries = pack_entries({int(name[1:]): record for name, record in records.items()})
    return PostedReport(round_number, b"\x01" * 23, b"\x02" * 32, entries, vetoed=False)


def test_a_node_stands_between_its_two_newest_records() -> None:
    third = replace(SECOND, window_end=3_000)
    found = nodes_of([posted(1, n7=FIRST), posted(3, n7=SECOND, n9=FIRST), posted(4, n7=third)])
    assert found == [NodeStanding(7, 3, 4, 1_000, 1_000, 0, 0, 0)]
    # 800 of 1,000 seconds covered, 600 up, both GPUs busy for half of them.
    assert nodes_of([posted(1, n7=FIRST), posted(3, n7=SECOND)]) == [
        NodeStanding(7, 1, 3, 1_000, 200, 8_000, 7_500, 5_000)
    ]


def test_one_record_says_nothing_and_counters_that_begin_anew_tell_from_there() -> None:
    assert nodes_of([posted(1, n7=FIRST)]) == []
    anew = replace(FIRST, window_end=3_000)
    assert nodes_of([posted(2, n7=SECOND), posted(3, n7=anew)]) == []

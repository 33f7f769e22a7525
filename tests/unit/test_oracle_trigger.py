"""Which windows are worth a report: the rule alone, over records."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from wellhead.cli.reporter import run
from wellhead.errors import Misused
from wellhead.oracle.trigger import Cause, Decision, Said, Trigger, decide
from wellhead.reference.record import NodeRecord

GENESIS, WINDOW, GPUS = 1_700_000_000, 300, 4
NODE = 7
TRIGGER = Trigger(heartbeat_seconds=6 * WINDOW, deviation_bps=500)


def after(record: NodeRecord, covered: int, up: int, busy: int) -> NodeRecord:
    """The next window's."""
    return replace(
        record,
        window_end=record.window_end + WINDOW,
        covered_seconds=record.covered_seconds + covered,
        up_seconds=record.up_seconds + up,
        busy_gpu_seconds=record.busy_gpu_seconds + busy,
    )


BEFORE = NodeRecord(GENESIS, 5_000, 4_000, 3_000, 0, 0, GPUS)
REPORTED = after(BEFORE, 300, 300, 600)


def said(last: Mapping[int, tuple[NodeRecord, NodeRecord]] | None = None, **what: object) -> Said:
    told = {NODE: (BEFORE, REPORTED)} if last is None else last
    return Said(1, GENESIS + WINDOW, told, **{"left_out": {}, **what})  # type: ignore[arg-type]


def decided(
    record: NodeRecord, told: Said | None = None, trigger: Trigger = TRIGGER, node: int = NODE
) -> Decision:
    return decide(trigger, told or said(), {node: record}, record.window_end, WINDOW)


def test_as_before_is_quiet() -> None:
    decision = decided(after(REPORTED, 300, 300, 600))
    assert (decision.cause, decision.reports) == (Cause.QUIET, False)
    assert decision.why.endswith("from the report of round 1; the heartbeat comes with round 7")


@pytest.mark.parametrize(
    ("covered", "up", "busy", "why"),
    [
        (300, 285, 600, "is up for 95.00 % of what is known, in the last report for 100.00 %"),
        (20, 19, 40, "is up for 95.00 % of what is known"),
        (300, 300, 660, "is busy for 55.00 % of what is known, in the last report for 50.00 %"),
        (300, 300, 540, "is busy for 45.00 %"),
        (300, 0, 0, "went down"),
    ],
)
def test_a_part_that_differs_by_so_much_is_reported(covered: int, up: int, busy: int, why: str) -> None:
    decision = decided(after(REPORTED, covered, up, busy))
    assert decision.cause is Cause.DEVIATION
    assert decision.why.startswith(f"node {NODE} {why}")


@pytest.mark.parametrize(
    ("covered", "up", "busy"), [(300, 286, 600), (300, 300, 659), (300, 300, 541), (0, 0, 0)]
)
def test_a_little_less_is_not(covered: int, up: int, busy: int) -> None:
    """Nor is a window of which nothing is known: unknown is not down."""
    assert not decided(after(REPORTED, covered, up, busy)).reports


def test_going_down_and_coming_back_counts_however_little_it_is() -> None:
    slack = Trigger(6 * WINDOW, 10_000)
    hardly = after(BEFORE, 300, 1, 0)
    assert decided(after(hardly, 300, 0, 0), said({NODE: (BEFORE, hardly)}), slack).why == "node 7 went down"
    down = after(BEFORE, 300, 0, 0)
    assert decided(after(down, 300, 1, 0), said({NODE: (BEFORE, down)}), slack).why == "node 7 came back up"
    assert not decided(after(down, 300, 0, 0), said({NODE: (BEFORE, down)}), slack).reports


def test_what_counts_is_whether_it_was_down_when_it_was_last_reported() -> None:
    """Not whether it was all the while since the report before."""
    slack, left_out = Trigger(6 * WINDOW, 10_000), after(BEFORE, 300, 300, 0)
    down = after(left_out, 300, 0, 0)
    told = said({NODE: (BEFORE, down)}, left_out_before={NODE: left_out})
    assert decided(after(down, 300, 300, 0), told, slack).why == "node 7 came back up"
    assert not decided(after(down, 300, 0, 0), told, slack).reports
    # What was left out before the report before that tells nothing of it.
    told = said({NODE: (left_out, down)}, left_out_before={NODE: BEFORE})
    assert decided(after(down, 300, 300, 0), told, slack).why == "node 7 came back up"
    # Nor does a window of which nothing is known.
    unknown = after(left_out, 0, 0, 0)
    told = said({NODE: (BEFORE, unknown)}, left_out_before={NODE: left_out})
    assert not decided(after(unknown, 300, 300, 0), told, slack).reports


def test_a_node_that_is_new_or_known_of_again_is_reported() -> None:
    assert decided(REPORTED, said({})).why == "node 7 is not in the last report"
    unknown = after(BEFORE, 0, 0, 0)
    again = decided(after(unknown, 300, 300, 0), said({NODE: (BEFORE, unknown)}))
    assert again.why == "node 7 is known of again"
    odd = decided(after(REPORTED, 300, 300, 600), said({NODE: (REPORTED, REPORTED)}))
    assert odd.cause is Cause.DEVIATION
    assert "cannot be held against the last report: NodeRecords_WindowsOverlap" in odd.why


def test_many_that_changed_are_counted() -> None:
    records = {node: after(REPORTED, 300, 0, 0) for node in (7, 8, 9)}
    told = said(dict.fromkeys(records, (BEFORE, REPORTED)))
    decision = decide(TRIGGER, told, records, GENESIS + 2 * WINDOW, WINDOW)
    assert decision.why == "node 7 went down; 2 more nodes changed"


def test_a_change_shows_in_its_own_window_however_many_were_quiet() -> None:
    quiet = REPORTED
    for _ in range(4):
        quiet = after(quiet, 300, 300, 600)
    change = after(quiet, 300, 270, 600)
    assert not decided(change, trigger=replace(TRIGGER, heartbeat_seconds=12 * WINDOW)).reports
    assert decided(change, said(left_out={NODE: quiet})).cause is Cause.DEVIATION
    # What others' medians put a little higher then is of no use: all windows together are.
    higher = replace(quiet, up_seconds=change.up_seconds + 1, covered_seconds=change.covered_seconds)
    assert decided(change, said(left_out={NODE: higher}), Trigger(12 * WINDOW, 500)).cause is Cause.QUIET


def test_the_heartbeat_is_never_late() -> None:
    for heartbeat, expected in (
        (2 * WINDOW, 2),
        (2 * WINDOW + WINDOW - 1, 2),
        (3 * WINDOW, 3),
        (12 * WINDOW, 12),
    ):
        record, rounds = REPORTED, 0
        while True:
            record, rounds = after(record, 300, 300, 600), rounds + 1
            decision = decided(record, trigger=Trigger(heartbeat, 500))
            if decision.reports:
                break
            quiet = decision.why
        assert (rounds, decision.cause) == (expected, Cause.HEARTBEAT)
        assert rounds * WINDOW <= heartbeat
        assert quiet.endswith(f"with round {1 + rounds}")
        assert decision.why == f"the heartbeat, {rounds * WINDOW} s after round 1"


def test_what_was_owed_comes_with_the_next_round() -> None:
    decision = decided(after(REPORTED, 300, 300, 600), said(owed="round 4 was to be reported, and was not"))
    assert decision == (Cause.OWED, "round 4 was to be reported, and was not")


def test_what_is_left_out_never_differs_by_more_than_is_said() -> None:
    """Random fleets: whatever the rule leaves out is within the deviation, reckoned here with fractions of its own."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng, left_out = random.Random(seed), 0
    for _ in range(2_000):
        bps = rng.randint(1, 10_000)
        was = [rng.randint(0, 300), rng.randint(0, 300)]
        now = [rng.randint(0, 300), rng.randint(0, 300)] if rng.random() < 0.5 else list(was)
        busy = [rng.randint(0, GPUS * min(pair)) for pair in (was, now)]
        reported = after(BEFORE, max(was), min(was), busy[0])
        record = after(reported, max(now), min(now), busy[1])
        decision = decided(record, said({NODE: (BEFORE, reported)}), Trigger(12 * WINDOW, bps))
        if decision.reports or not max(now):
            continue
        left_out += 1
        for before, later, gpus in ((min(was), min(now), 1), (*busy, GPUS)):
            apart = abs(before / (max(was) * gpus) - later / (max(now) * gpus)) * 10_000
            assert apart < bps + 1e-6, (bps, was, now, busy)
    assert left_out > 200


def test_a_trigger_that_cannot_work_says_what_would() -> None:
    for bps in (0, 10_001):
        with pytest.raises(Misused, match=f"{bps} basis points: it takes 1 to 10000"):
            Trigger(3_600, bps)
    for windows in (1, 13):
        with pytest.raises(Misused, match=r"windows of 300 s: it takes 600 s, .* to 3600 s"):
            Trigger(windows * WINDOW, 500).require_fits(WINDOW, 12)
    for windows in (2, 12):
        Trigger(windows * WINDOW, 500).require_fits(WINDOW, 12)


def test_options_that_make_no_sense_together(tmp_path: Path) -> None:
    fleet = tmp_path / "fleet.toml"
    peers = ["0x00=http://127.0.0.1:1"]
    with pytest.raises(Misused, match="give a --heartbeat too"):
        run(fleet, signer="reporter-0", peers=peers, deviation="5%")
    with pytest.raises(Misused, match="name its key with --as"):
        run(fleet, heartbeat="1h")

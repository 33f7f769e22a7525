"""Which windows are worth a report: those in which a node changed, and one every so often. Pure.

Counters are absolute and every report covers all windows since the last good one, so what is left out is not lost: in
each round every reporter observes and seals all of them, and what its sources have forgotten since stands as it was
sealed (see Witness). The rule judges the report that follows from what was revealed, which everybody has alike. Whoever
comes to another decision may have too much reported, as any correct report is endorsed, or too little, which the
heartbeat makes up for; no number depends on it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple

from wellhead.errors import Misused
from wellhead.reference.record import NodeDelta, NodeRecord, RecordError, difference

FULL_BPS = 10_000


@dataclass(frozen=True)
class Trigger:
    """When a window is reported; without any, all are.

    Left-out rounds are boundaries that consumers cannot name: a sale is decided, and a pool pays its members, only
    between rounds that were reported.
    """

    heartbeat_seconds: int
    """Of chain time: no two reported windows end farther apart."""
    deviation_bps: int
    """A node's part up of what is known, or busy of its GPUs' known time, that differs by so much is reported."""

    def __post_init__(self) -> None:
        if not 1 <= self.deviation_bps <= FULL_BPS:
            raise Misused(
                f"a deviation of {self.deviation_bps} basis points: it takes 1 to {FULL_BPS}, a hundredth of a "
                "percent to all"
            )

    def require_fits(self, window_seconds: int, most_rounds: int) -> None:
        """Raises Misused for a heartbeat of fewer than two windows or more than `most_rounds`."""
        least, most = 2 * window_seconds, most_rounds * window_seconds
        if not least <= self.heartbeat_seconds <= most:
            raise Misused(
                f"a heartbeat of {self.heartbeat_seconds} s with windows of {window_seconds} s: it takes {least} s, "
                f"or none is ever left out, to {most} s, or what fails now and then is lost"
            )


class Cause(StrEnum):
    """Why a window is reported, or is not."""

    ALL = "every window"
    DEVIATION = "deviation"
    HEARTBEAT = "heartbeat"
    OWED = "owed"
    UNSURE = "unsure"
    QUIET = "quiet"


class Decision(NamedTuple):
    """`why` is for people."""

    cause: Cause
    why: str

    @property
    def reports(self) -> bool:
        """Whether the window is to be reported."""
        return self.cause is not Cause.QUIET


ALL_WINDOWS = Decision(Cause.ALL, "every window is")


@dataclass(frozen=True)
class Said:
    """What the newest good report says, and what was left out since."""

    round: int
    """0 before the first."""
    window_end: int
    """Of that round, chain time in seconds."""
    nodes: Mapping[int, tuple[NodeRecord, NodeRecord]]
    """Of every node in that report, the record before it and its own."""
    left_out: Mapping[int, NodeRecord]
    """By node, what a report of the last round would have said, had it not been left out. Without, a change is looked
    for in all windows since the last report together, where it shows less."""
    left_out_before: Mapping[int, NodeRecord] = field(default_factory=dict)
    """The same of the report itself, if rounds were left out before it: whether a node was down at its end."""
    owed: str = ""
    """Why a report is wanted whatever the nodes do: one was to come after that round and did not."""


def decide(
    trigger: Trigger, said: Said, records: Mapping[int, NodeRecord], window_end: int, window_seconds: int
) -> Decision:
    """Whether a report of `records`, up to `window_end`, is due."""
    changes = [
        f"node {node} {change}"
        for node, record in records.items()
        if (change := _change(said, node, record, trigger.deviation_bps))
    ]
    if changes:
        more = f"; {len(changes) - 1} more nodes changed" if len(changes) > 1 else ""
        return Decision(Cause.DEVIATION, changes[0] + more)
    if said.owed:
        return Decision(Cause.OWED, said.owed)
    elapsed = window_end - said.window_end
    if elapsed + window_seconds > trigger.heartbeat_seconds:
        return Decision(Cause.HEARTBEAT, f"the heartbeat, {elapsed} s after round {said.round}")
    next_round = said.round + trigger.heartbeat_seconds // window_seconds
    return Decision(
        Cause.QUIET,
        f"no node differs by {trigger.deviation_bps} basis points from the report of round {said.round}; "
        f"the heartbeat comes with round {next_round}",
    )


def _change(said: Said, node: int, record: NodeRecord, bps: int) -> str:
    """What is new of a node since it was last reported; empty if nothing is."""
    if node not in said.nodes:
        return "is not in the last report"
    before, reported = said.nodes[node]
    try:
        was, now = difference(before, reported), _newest(reported, said.left_out.get(node), record)
        at_last = _newest(before, said.left_out_before.get(node), reported)
    except RecordError as error:
        return f"cannot be held against the last report: {error}"
    if not now.covered_seconds:
        return ""  # unknown is not down
    if not was.covered_seconds:
        return "is known of again"
    was_up = at_last.up_seconds if at_last.covered_seconds else was.up_seconds
    if bool(was_up) != bool(now.up_seconds):
        return "came back up" if now.up_seconds else "went down"
    parts = (
        ("up", was.up_seconds, now.up_seconds, 1),
        ("busy", was.busy_gpu_seconds, now.busy_gpu_seconds, record.gpu_count),
    )
    for name, then, later, gpus in parts:
        # then / (covered then * gpus) and later / (covered now * gpus), held against each other without dividing.
        apart = abs(later * was.covered_seconds - then * now.covered_seconds) * FULL_BPS
        if apart >= bps * was.covered_seconds * now.covered_seconds * gpus:
            return (
                f"is {name} for {_percent(later, now.covered_seconds * gpus)} of what is known, in the last report "
                f"for {_percent(then, was.covered_seconds * gpus)}"
            )
    return ""


def _newest(reported: NodeRecord, left_out: NodeRecord | None, record: NodeRecord) -> NodeDelta:
    """What it did since what was left out; since the report before, where there is no such or other reporters' medians
    went a bit back."""
    if left_out is not None and left_out.window_end > reported.window_end:
        try:
            return difference(left_out, record)
        except RecordError:
            pass
    return difference(reported, record)


def _percent(part: int, whole: int) -> str:
    whole_percent, hundredths = divmod(part * FULL_BPS // whole, 100)
    return f"{whole_percent}.{hundredths:02} %"

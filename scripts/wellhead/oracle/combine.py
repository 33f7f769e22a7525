"""Out of what several sources found: which slots a node was up, down, or not to be known about. Pure.

Unknown is not down, and down must not hide as unknown. A source that got no answer tells of the node only if its
line to the world was up just then: something else answered over it, a canary, another node or this node elsewhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Set

from wellhead.oracle.observation import DOWN, NOTHING, UNKNOWN, UP, Observation, Window
from wellhead.oracle.sources.finding import Exhibit, Finding

Alive = Mapping[str, Set[int]]
"""By line: the slots in which something answered over it."""


def alive_of(findings: Iterable[Finding]) -> dict[str, set[int]]:
    """What all findings of one reporter, canaries included, prove about its lines."""
    alive: dict[str, set[int]] = {}
    for finding in findings:
        if finding.line is not None:
            slots = (slot for slot, right in finding.answered.items() if right)
            alive.setdefault(finding.line, set()).update(slots)
    return alive


def combine(
    reporter: str, node: int, window: Window, findings: Sequence[Finding], alive: Alive
) -> Observation:
    """One reporter's observation of one node.

    A reporter one of whose counting sources looked at nothing lacks its instrument: it abstains from the whole
    window, since the nothing that it counted would pass for the node's.
    """
    if not findings or any(finding.counts and not finding.answered for finding in findings):
        return Observation(reporter, node, window, UNKNOWN * window.slots, NOTHING)
    slots = range(window.first_slot, window.first_slot + window.slots)
    states = "".join(state_of([_verdict(finding, slot, alive) for finding in findings]) for slot in slots)
    gained = NOTHING
    for finding in findings:
        gained += finding.gained
    return Observation(reporter, node, window, states, gained)


def state_of(verdicts: Sequence[bool | None]) -> str:
    """Of one slot: every source must have had its answer for up, one that had none although it could is down."""
    if False in verdicts:
        return DOWN
    return UNKNOWN if None in verdicts else UP


def line_exhibits(findings: Iterable[Finding], window: Window, alive: Alive) -> tuple[Exhibit, ...]:
    """For the lines of a node's findings: slot by slot whether they were proven to be up."""
    lines = dict.fromkeys(finding.line for finding in findings)
    slots = range(window.first_slot, window.first_slot + window.slots)
    return tuple(
        Exhibit(f"line of {line}", bytes(b"01"[slot in alive.get(line, ())] for slot in slots))
        for line in lines
        if line is not None
    )


def _verdict(finding: Finding, slot: int, alive: Alive) -> bool | None:
    """Whether the source had its answer; None where it did not look, or could not have had one."""
    answered = finding.answered.get(slot)
    if answered is False and finding.line is not None and slot not in alive.get(finding.line, ()):
        return None
    return answered

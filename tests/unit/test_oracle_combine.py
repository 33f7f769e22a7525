"""Up, down, unknown: out of what several sources found over several lines."""

from __future__ import annotations

import pytest

from wellhead.oracle.combine import alive_of, combine, line_exhibits
from wellhead.oracle.observation import NOTHING, Counters, Observation, Window
from wellhead.oracle.sources.finding import HERE, Evidence, Exhibit, Finding, times

WINDOW = Window(first_slot=100, slots=6, interval_ms=1_000)
SITE = "http://prometheus.test"
GAINED = Counters(5, 6, 7)


def finding(answers: str, line: str | None = HERE, *, counts: bool = False) -> Finding:
    """One letter per slot: y answered, n did not, . nobody looked."""
    answered = {100 + at: letter == "y" for at, letter in enumerate(answers) if letter != "."}
    return Finding(line, answered, GAINED if counts else NOTHING, counts)


def seen(*findings: Finding, beside: tuple[Finding, ...] = ()) -> Observation:
    return combine("reporter", 7, WINDOW, findings, alive_of([*findings, *beside]))


ALIVE, DEAD = finding("yyyyyy"), finding("nnnnnn")


@pytest.mark.parametrize(
    ("node", "exporter", "canary", "states"),
    [
        ("yyyyyy", "yyyyyy", "yyyyyy", "UUUUUU"),
        (
            "yyyyyy",
            "yyyyyy",
            "nnnnnn",
            "UUUUUU",
        ),  # who reaches the node can measure, whatever the canary does
        ("yyyyyy", "nnnnnn", "yyyyyy", "DDDDDD"),  # killing one's own exporter saves nothing
        ("nnnnnn", "yyyyyy", "nnnnnn", "DDDDDD"),
        ("nnnnnn", "nnnnnn", "yyyyyy", "DDDDDD"),  # node and exporter both dead: down, not unknown
        ("nnnnnn", "nnnnnn", "nnnnnn", "??????"),  # a reporter that reaches nothing knows nothing
        ("nnnnnn", "nnnnnn", "yyynnn", "DDD???"),
        ("yyy...", "yy.yy.", "yyyyyy", "UU????"),  # not looked at is not known
        ("nnn...", "...nnn", "yyyyyy", "DDDDDD"),  # one silent half is enough to be down
    ],
)
def test_unknown_is_not_down_and_down_is_not_unknown(
    node: str, exporter: str, canary: str, states: str
) -> None:
    assert seen(finding(node), finding(exporter), beside=(finding(canary),)).states == states


def test_another_node_is_as_good_as_a_canary() -> None:
    assert seen(DEAD, beside=(DEAD, finding("yynnnn"))).states == "DD????"


def test_a_line_is_proven_over_itself_alone() -> None:
    """The reporter's Prometheus stands elsewhere and has lost its network; the reporter itself has not."""
    lost = finding("nnnnnn", SITE)
    assert seen(lost, beside=(ALIVE,)).states == "??????"
    assert seen(lost, beside=(ALIVE, finding("yyyyyy", SITE))).states == "DDDDDD"


def test_what_needs_no_line_is_the_nodes_own_fault() -> None:
    assert seen(finding("ynnnyy", None)).states == "UDDDUU"


def test_gains_of_all_sources_add_up() -> None:
    counting = finding("yyyyyy", counts=True)
    assert seen(counting, counting, ALIVE).gained == GAINED + GAINED


def test_who_lacks_an_instrument_abstains() -> None:
    """Its Prometheus is away: the probe that failed would pass for knowledge, and nothing counted for nothing done."""
    broken = Finding(SITE, {}, NOTHING, counts=True)
    observation = seen(broken, DEAD, beside=(ALIVE,))
    assert (observation.states, observation.gained) == ("??????", NOTHING)
    assert seen(Finding(HERE, {}), DEAD, beside=(ALIVE,)).states == "DDDDDD"  # one that counts nothing
    assert seen().states == "??????"


def test_evidence_tells_which_lines_were_proven() -> None:
    findings = [finding("yn.n.n"), finding("nnnnnn", SITE), finding("y.....", None)]
    alive = alive_of([*findings, finding("...y..")])
    assert line_exhibits(findings, WINDOW, alive) == (
        Exhibit(f"line of {HERE}", b"100100"),
        Exhibit(f"line of {SITE}", b"000000"),
    )


def test_the_hash_is_over_every_byte_in_its_place() -> None:
    whole = Evidence((Exhibit("a", b"bc"), Exhibit("d", b"")))
    others = [
        Evidence((Exhibit("ab", b"c"), Exhibit("d", b""))),
        Evidence((Exhibit("a", b"bc"),)),
        Evidence((Exhibit("d", b""), Exhibit("a", b"bc"))),
        Evidence((Exhibit("a", b"bd"), Exhibit("d", b""))),
    ]
    assert len({evidence.hash for evidence in (whole, *others)}) == 5
    assert len(whole.hash) == 32


def test_a_fault_is_told_once_with_how_often_it_was() -> None:
    assert times(["a", "b", "a"]) == ("a (2 times)", "b")

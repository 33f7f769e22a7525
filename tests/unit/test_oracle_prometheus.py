"""What a Prometheus answered, and what may follow from it: gaps, restarts, duplicates and nonsense included."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from email.utils import formatdate

import httpx
import pytest

from wellhead.oracle.observation import NOTHING, Window
from wellhead.oracle.sources.fetch import MAX_SKEW_SECONDS, ScrapeError
from wellhead.oracle.sources.finding import Finding
from wellhead.oracle.sources.meters import RUNTIME, Kind, Series
from wellhead.oracle.sources.prometheus import (
    NOT_COUNTED,
    UP_NAME,
    PrometheusServer,
    PrometheusSource,
    finding_of,
    read_matrix,
    up_of,
)

WINDOW = Window(first_slot=1_000, slots=6, interval_ms=10_000)
SITE = "http://prometheus.test"
UP = up_of("node:1")
TOKENS, BUSY, ENERGY = RUNTIME.needed


def at(slot: int, value: float | str, after_ms: int = 1_234) -> tuple[int, Decimal]:
    """A scrape in the window's `slot`-th slot; -1 is the one before it."""
    return (WINDOW.first_slot + slot) * WINDOW.interval_ms + after_ms, Decimal(str(value))


def series(*values: float | str | None, first: int = 0) -> Series:
    """A scrape per slot; None where there was none."""
    return Series({}, [at(first + slot, value) for slot, value in enumerate(values) if value is not None])


STILL = series(*[5] * 8, first=-1)


def found(kind: Kind = RUNTIME, **given: list[Series]) -> Finding:
    """What is not given was scraped and stood still."""
    everything = {name: [STILL] for name in kind.names} | {UP_NAME: [series(*[1] * 6)]}
    return finding_of(SITE, kind, UP, everything | given, WINDOW, [])


def states(finding: Finding) -> str:
    """y answered, n did not, . nobody looked."""
    slots = range(WINDOW.first_slot, WINDOW.first_slot + WINDOW.slots)
    return "".join({True: "y", False: "n", None: "."}[finding.answered.get(slot)] for slot in slots)


def test_a_target_that_is_scraped_all_the_time_answers() -> None:
    finding = found(**{TOKENS: [series(40, *range(50, 110, 10), first=-1)]})
    assert (states(finding), finding.gained.tokens, finding.faults) == ("yyyyyy", 60, ())
    assert (finding.line, finding.counts) == (SITE, True)


def test_a_failed_scrape_is_no_answer_and_no_scrape_is_no_look() -> None:
    assert states(found(up=[series(1, 0, 0, None, None, 1)])) == "ynn..y"
    assert states(found(up=[])) == "......"


def test_one_failed_scrape_of_two_in_a_slot_is_a_failure() -> None:
    twice = Series({}, [at(0, 0, 100), at(0, 1, 5_000), *series(1, 1, 1, 1, 1, first=1).scrapes])
    assert states(found(up=[twice])) == "nyyyyy"


def test_an_exporter_that_drops_its_counters_does_not_answer() -> None:
    """It is scraped, and exposes what it likes: that must not pass for an idle node."""
    finding = found(**{TOKENS: [series(5, 6, None, None, 7, 8)]})
    assert states(finding) == "yynnyy"
    assert finding.faults == (f"{UP} is 1, and no {TOKENS} was exposed (2 times)",)


def test_an_exporter_that_shows_nonsense_does_not_answer() -> None:
    finding = found(**{ENERGY: [series(5, 6, "NaN", "-1", 7, 8)]})
    assert states(finding) == "yynnyy"
    assert finding.gained.energy_microjoules == 3_000_000


def test_two_targets_where_one_must_be_are_refused() -> None:
    with pytest.raises(ScrapeError, match="matches 2 series: it must name one target"):
        found(up=[series(1), series(1)])


def test_of_several_canaries_any_will_do() -> None:
    two = [series(1, 0, 0, None, 0, 1), series(1, 1, 0, None, None, 0)]
    assert states(found(NOT_COUNTED, up=two)) == "yyn.ny"


def matrix(*values: tuple[float, str]) -> bytes:
    data = {"resultType": "matrix", "result": [{"metric": {"gpu": "0"}, "values": values}]}
    return json.dumps({"status": "success", "data": data}).encode()


def test_times_are_whole_milliseconds() -> None:
    assert read_matrix(matrix((1_700_000_000.123, "42"))) == [
        Series({"gpu": "0"}, [(1_700_000_000_123, Decimal(42))])
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "not an answer"),
        (b"[]", "not an answer"),
        (b'{"status": "error", "errorType": "bad_data", "error": "parse error at 3"}', "parse error at 3"),
        (b'{"status": "success", "data": {"resultType": "vector", "result": []}}', "a plain one"),
        (b'{"status": "success", "data": {"resultType": "matrix", "result": [{}]}}', "not an answer"),
        (matrix((1, "x")), "not an answer"),
        (matrix((1, "2")).replace(b"[1,", b"[null,"), "not an answer"),
    ],
)
def test_answers_that_are_none(body: bytes, said: str) -> None:
    with pytest.raises(ScrapeError, match=said):
        read_matrix(body)


def ask(answer: httpx.Response) -> Finding:
    async def story() -> Finding:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
            source = PrometheusSource(PrometheusServer(SITE), RUNTIME, UP)
            return await source.finding(client, WINDOW)

    return asyncio.run(story())


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (
            httpx.Response(400, content=b'{"status": "error", "error": "unknown function"}'),
            "unknown function",
        ),
        (httpx.Response(503, content=b"starting"), "answers 503"),
        (
            httpx.Response(200, content=matrix(), headers={"date": formatdate(1_700_000_000, usegmt=True)}),
            f"at most {MAX_SKEW_SECONDS} s",
        ),
    ],
)
def test_a_prometheus_in_trouble_has_seen_nothing_and_says_so(answer: httpx.Response, said: str) -> None:
    finding = ask(answer)
    assert (finding.answered, finding.gained, finding.counts) == ({}, NOTHING, True)
    (fault,) = finding.faults
    assert said in fault


def test_every_question_and_answer_is_evidence() -> None:
    body = json.dumps({"status": "success", "data": {"resultType": "matrix", "result": []}}).encode()
    finding = ask(httpx.Response(200, content=body))
    asked = {f'{TOKENS}{{instance="node:1"}} at {SITE}', f"{UP} at {SITE}"}
    assert asked <= {exhibit.asked for exhibit in finding.exhibits}
    assert {exhibit.body for exhibit in finding.exhibits} == {body}


def test_labels_are_quoted() -> None:
    assert up_of('a"b\\c') == 'up{instance="a\\"b\\\\c"}'

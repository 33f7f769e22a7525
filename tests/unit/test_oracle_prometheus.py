"""What a Prometheus answered, and what may follow from it: gaps, restarts, duplicates and nonsense included."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from email.utils import formatdate
from typing import Any

import httpx
import pytest

from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.prometheus import (
    MAX_SKEW_SECONDS,
    Asked,
    Evidence,
    NodeQueries,
    PrometheusSource,
    increase,
    observation_of,
    read_matrix,
)
from wellhead.oracle.scrape import ScrapeError

REPORTER, NODE = "0x" + "11" * 20, 7
WINDOW = Window(first_slot=1_000, slots=6, interval_ms=10_000)
CANARY = 'up{job="prometheus"}'
RUNTIME = NodeQueries.runtime("node:1")
GPU = NodeQueries.gpu_server("gpu:9400", "gpu:8000")
EVERY_SLOT = range(6)


def at(slot: int, value: float | str, after_ms: int = 1_234) -> tuple[int, Decimal]:
    """A scrape in the window's `slot`-th slot; -1 is the one before it."""
    return (WINDOW.first_slot + slot) * WINDOW.interval_ms + after_ms, Decimal(str(value))


def series(*values: float | str | None, first: int = 0) -> list[tuple[int, Decimal]]:
    """A scrape per slot; None where there was none."""
    return [at(first + slot, value) for slot, value in enumerate(values) if value is not None]


def observed(queries: NodeQueries = RUNTIME, **found: Any) -> Observation:
    """`found` by the part of the queries; what is not given was scraped and stood still."""
    selectors = {
        "canary": CANARY,
        "up": queries.up,
        "serving": queries.serving or queries.up,
        "tokens": queries.tokens[0].selector,
        "energy": queries.energy[0].selector,
    }
    if queries.busy_counters:
        selectors["busy"] = queries.busy_counters[0].selector
    if queries.busy_ratios:
        selectors["busy"] = queries.busy_ratios[0]
    everything = {selector: [series(*[1] * 6)] for selector in (CANARY, queries.up, selectors["serving"])}
    everything |= {meter.selector: [] for meter in (*queries.tokens, *queries.busy_counters, *queries.energy)}
    everything |= {selector: [] for selector in queries.busy_ratios}
    everything |= {selectors[part]: scrapes for part, scrapes in found.items()}
    return observation_of(REPORTER, NODE, WINDOW, queries, CANARY, everything)


def test_a_node_that_is_scraped_all_the_time_is_up() -> None:
    seen = observed(tokens=[series(40, *range(50, 110, 10), first=-1)])
    assert (seen.states, seen.gained) == ("UUUUUU", Counters(60, 0, 0))


def test_down_is_not_unknown_and_unknown_is_not_down() -> None:
    """The exporter fails in slots 1 and 2; Prometheus itself is away in slots 3 and 4."""
    seen = observed(up=[series(1, 0, 0, None, None, 1)], canary=[series(1, 1, 1, None, None, 1)])
    assert seen.states == "UDD??U"


def test_nothing_is_known_of_a_target_that_is_not_scraped() -> None:
    assert observed(up=[]).states == "??????"
    assert observed(GPU, serving=[series(1, 1, 1)]).states == "UUU???"


def test_a_reporter_that_reaches_nothing_knows_nothing() -> None:
    assert observed(up=[series(1, 0, 0, 0, 1, 1)], canary=[series(1, 1, 0, 0, 0, 1)]).states == "UD??UU"


def test_one_failed_scrape_of_two_in_a_slot_is_a_failure() -> None:
    twice = [at(0, 0, 100), at(0, 1, 5_000), *series(1, 1, 1, 1, 1, first=1)]
    assert observed(up=[twice]).states == "DUUUUU"


def test_a_server_whose_engine_hangs_does_not_serve_though_its_gpu_exporter_answers() -> None:
    assert observed(GPU, serving=[series(1, 1, 0, 0, 1, 1)]).states == "UUDDUU"


def test_a_counter_that_began_anew_is_counted_from_nothing_and_by_itself() -> None:
    steady, restarted = series(100, 110, 120, 130), series(1_000, 1_005, 3, 8)
    assert observed(tokens=[steady, restarted]).gained.tokens == 30 + 5 + 3 + 5


def test_what_was_scraped_before_the_window_is_a_base_and_no_gain() -> None:
    long_ago = [at(-40, 5), at(-9, 70)]
    assert observed(tokens=[[*long_ago, *series(None, 75, 80)]]).gained.tokens == 10
    assert observed(tokens=[long_ago]).gained.tokens == 0


def test_busy_time_is_not_averaged_over_what_is_left() -> None:
    """Two GPUs; the exporter dies after two slots at full use."""
    busy = [series(1, 1), series("0.5", "0.25")]
    assert observed(GPU, busy=busy).gained.busy_micros == (10 + 10 + 5 + 2.5) * 1_000_000


def test_units_become_integers_of_ours() -> None:
    assert observed(GPU, energy=[series("1000", "1500.0004")]).gained.energy_microjoules == 500_000
    assert observed(energy=[series("1.5", "2.25")]).gained.energy_microjoules == 750_000


@pytest.mark.parametrize(
    ("found", "said"),
    [
        ({"up": [series(1), series(1)]}, "matches 2 series"),
        ({"tokens": [series(1, -1)]}, "not between 0 and"),
        ({"tokens": [series(1, "1e300")]}, "not between 0 and"),
    ],
)
def test_what_cannot_be_right_is_refused(found: dict[str, Any], said: str) -> None:
    with pytest.raises(ScrapeError, match=said):
        observed(**found)


def test_a_ratio_above_one_is_none() -> None:
    with pytest.raises(ScrapeError, match="not a ratio"):
        observed(GPU, busy=[series("1.5")])


def test_increase() -> None:
    assert increase([]) == increase([5]) == 0
    assert increase([5, 7, 7, 2, 3]) == 2 + 0 + 2 + 1


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>", "not an answer"),
        (b"[]", "not an answer"),
        (b'{"status": "error", "errorType": "bad_data", "error": "parse error at 3"}', "parse error at 3"),
        (b'{"status": "success", "data": {"resultType": "vector", "result": []}}', "a plain one"),
        (b'{"status": "success", "data": {"resultType": "matrix", "result": [{}]}}', "not an answer"),
        (
            b'{"status": "success", "data": {"resultType": "matrix", "result": [{"values": [[1, "NaN"]]}]}}',
            "not an answer",
        ),
        (
            b'{"status": "success", "data": {"resultType": "matrix", "result": [{"values": [[1, "x"]]}]}}',
            "not an answer",
        ),
    ],
)
def test_answers_that_are_none(body: bytes, said: str) -> None:
    with pytest.raises(ScrapeError, match=said):
        read_matrix(body)


def matrix(*values: tuple[float, str]) -> bytes:
    data = {"resultType": "matrix", "result": [{"metric": {}, "values": values}]}
    return json.dumps({"status": "success", "data": data}).encode()


def test_times_are_whole_milliseconds() -> None:
    assert read_matrix(matrix((1_700_000_000.123, "42"))) == [[(1_700_000_000_123, Decimal(42))]]


def ask(answer: httpx.Response) -> tuple[Observation, Evidence]:
    async def story() -> tuple[Observation, Evidence]:
        async with httpx.AsyncClient(transport=httpx.MockTransport(lambda _: answer)) as client:
            return await PrometheusSource("http://p.test", CANARY).observe(
                client, REPORTER, NODE, RUNTIME, WINDOW
            )

    return asyncio.run(story())


def test_a_prometheus_whose_clock_is_off_is_not_believed() -> None:
    with pytest.raises(ScrapeError, match=rf"at most {MAX_SKEW_SECONDS} s"):
        ask(httpx.Response(200, content=matrix(), headers={"date": formatdate(1_700_000_000, usegmt=True)}))


def test_an_error_of_prometheus_is_said_in_its_words() -> None:
    body = b'{"status": "error", "errorType": "bad_data", "error": "unknown function"}'
    with pytest.raises(ScrapeError, match="unknown function"):
        ask(httpx.Response(400, content=body))
    with pytest.raises(ScrapeError, match="answers 503"):
        ask(httpx.Response(503, content=b"starting"))


def test_evidence_is_every_byte_of_every_answer() -> None:
    seen, evidence = ask(httpx.Response(200, content=matrix()))
    assert seen.states == "??????"
    assert {one.selector for one in evidence.asked} >= {CANARY, RUNTIME.up}
    first, *others = evidence.asked
    for changed in (first._replace(body=first.body + b" "), first._replace(selector="x")):
        assert Evidence((changed, *others)).hash != evidence.hash
    assert Evidence((Asked("a", b"bc", []),)).hash != Evidence((Asked("ab", b"c", []),)).hash

"""Answers of nodes that are not trusted: parsed strictly, bounded in size and time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from wellhead.oracle import scrape
from wellhead.oracle.observation import Counters
from wellhead.oracle.scrape import (
    RUNTIME_COUNTERS,
    CounterNames,
    ScrapeError,
    answers,
    chain_answers,
    parse_counters,
    scrape_counters,
)
from wellhead.runtime.energy import EnergyEstimate
from wellhead.runtime.metrics import NodeMetrics

URL = "http://node.test/metrics"
NAMES = CounterNames("tokens_total", "busy_seconds_total", "joules_total")
TEXT = b"""# TYPE tokens_total counter
tokens_total{engine="0"} 12
tokens_total{engine="1"} 30
tokens_total_created 1.7e9
busy_seconds_total 1.5
joules_total 2.5e3
other_total NaN
"""


def client_of(handler: httpx.MockTransport) -> httpx.AsyncClient:
    return httpx.AsyncClient(transport=handler)


def answering(content: bytes | AsyncIterator[bytes], status: int = 200) -> httpx.AsyncClient:
    return client_of(httpx.MockTransport(lambda _: httpx.Response(status, content=content)))


def test_counters_become_integers_at_the_edge() -> None:
    assert parse_counters(TEXT, NAMES) == Counters(42, 1_500_000, 2_500_000_000)


def test_the_runtime_is_read_as_it_writes() -> None:
    metrics = NodeMetrics(EnergyEstimate())
    metrics.served(37, 0.25)
    found = parse_counters(metrics.exposition(), RUNTIME_COUNTERS)
    assert (found.tokens, found.busy_micros) == (37, 250_000)
    assert found.energy_microjoules >= 0


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace(b"joules_total", b"watts"), "no counter joules_total"),
        (TEXT.replace(b"1.5\n", b"NaN\n"), "busy_seconds_total is nan"),
        (TEXT.replace(b"1.5\n", b"+Inf\n"), "busy_seconds_total is inf"),
        (TEXT.replace(b" 30\n", b" -60\n"), "tokens_total is -48.0"),
        (TEXT.replace(b" 30\n", b" 1e30\n"), "not between 0 and"),
        (TEXT.replace(b" 30\n", b" thirty\n"), "not Prometheus' text format"),
        (b"\xff\xfe", "not Prometheus' text format"),
        (b"<html>sign in</html>", "no counter"),
    ],
)
def test_impossible_counters_are_no_counters(text: bytes, said: str) -> None:
    with pytest.raises(ScrapeError, match=said):
        parse_counters(text, NAMES)


def test_a_scrape_is_one_get() -> None:
    async def look() -> Counters:
        async with answering(TEXT) as client:
            return await scrape_counters(client, URL, NAMES, 5)

    assert asyncio.run(look()) == Counters(42, 1_500_000, 2_500_000_000)


@pytest.mark.parametrize("status", [204, 301, 404, 500, 503])
def test_only_200_is_an_answer(status: int) -> None:
    async def look() -> bool:
        async with answering(b"", status) as client:
            return await answers(client, URL, 5)

    assert not asyncio.run(look())


def test_a_huge_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scrape, "MAX_BYTES", 1_000)
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    async def look() -> None:
        async with answering(endless()) as client:
            await scrape_counters(client, URL, NAMES, 5)

    with pytest.raises(ScrapeError, match="more than 1000 bytes"):
        asyncio.run(look())
    assert sent < 2_000


def test_a_trickle_does_not_hold_a_reporter_up() -> None:
    pieces = 0

    async def trickle() -> AsyncIterator[bytes]:
        nonlocal pieces
        while True:
            await asyncio.sleep(0.01)  # each piece in time, the whole never
            pieces += 1
            yield b"#"

    async def look() -> None:
        async with answering(trickle()) as client:
            await scrape_counters(client, URL, NAMES, 0.1)

    with pytest.raises(ScrapeError, match=r"longer than 0\.1 s"):
        asyncio.run(look())
    assert pieces <= 10


def test_an_unreachable_node_is_no_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async def look() -> bool:
        async with client_of(httpx.MockTransport(refuse)) as client:
            return await answers(client, URL, 5)

    assert not asyncio.run(look())


@pytest.mark.parametrize(
    ("body", "reached"),
    [
        (b'{"jsonrpc":"2.0","id":1,"result":"0x7a69"}', True),
        (b'{"jsonrpc":"2.0","id":1,"result":"0x1"}', False),
        (b"<html>please sign in</html>", False),
    ],
)
def test_a_canary_must_be_the_chain_that_it_is_taken_for(body: bytes, reached: bool) -> None:
    async def look() -> bool:
        async with answering(body) as client:
            return await chain_answers(client, "http://chain.test", 31337, 5)

    assert asyncio.run(look()) == reached

"""Answers that are not trusted: bounded in size and time, parsed strictly, dated by a clock that can be right."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import AsyncIterator
from decimal import Decimal
from email.utils import formatdate
from time import time

import httpx
import pytest

from wellhead.oracle.sources import fetch
from wellhead.oracle.sources.exporter import MAX_SERIES, MAX_SERIES_CHARACTERS, Exporter, parse
from wellhead.oracle.sources.fetch import MAX_SKEW_SECONDS, ScrapeError
from wellhead.oracle.sources.live import Reader, Reading
from wellhead.oracle.sources.meters import DCGM, RUNTIME, VLLM, Kind, Meter
from wellhead.oracle.sources.reach import ChainCanary, Health, PageCanary
from wellhead.runtime.energy import EnergyEstimate
from wellhead.runtime.metrics import NodeMetrics

URL = "http://node.test/metrics"
KIND = Kind(
    "test", tokens=(Meter("tokens_total", 1),), energy=(Meter("joules_total", 1),), last_errors=("xid",)
)
TEXT = b"""# TYPE tokens_total counter
tokens_total{engine="0"} 12
tokens_total{engine="1"} 30
tokens_total_created 1.7e9
joules_total 2.5e3
other_total NaN
"""
CHAIN_ANSWER = b'{"jsonrpc":"2.0","id":1,"result":"0x7a69"}'


def answering(
    content: bytes | AsyncIterator[bytes], status: int = 200, headers: dict[str, str] | None = None
) -> httpx.AsyncClient:
    answer = httpx.MockTransport(lambda _: httpx.Response(status, content=content, headers=headers))
    return httpx.AsyncClient(transport=answer)


def read(reader: Reader, client: httpx.AsyncClient, timeout_seconds: float = 5) -> Reading:
    async def story() -> Reading:
        async with client:
            return await reader.read(client, 0, timeout_seconds)

    return asyncio.run(story())


def test_every_series_is_read_by_itself() -> None:
    assert parse(TEXT, KIND) == {
        ("tokens_total", (("engine", "0"),)): Decimal(12),
        ("tokens_total", (("engine", "1"),)): Decimal(30),
        ("joules_total", ()): Decimal(2_500),
    }


def test_the_runtime_is_read_as_it_writes() -> None:
    metrics = NodeMetrics(EnergyEstimate())
    metrics.served(37, 0.25)
    found = parse(metrics.exposition(), RUNTIME)
    assert {name for name, _ in found} == set(RUNTIME.needed)
    assert found[RUNTIME.tokens[0].name, ()] == 37
    assert found[RUNTIME.busy_counters[0].name, ()] == Decimal("0.25")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (TEXT.replace(b"joules_total", b"watts"), "no joules_total exposed: is this a test exporter"),
        (TEXT.replace(b'"1"', b'"0"'), "tokens_total.* is exposed twice"),
        (TEXT.replace(b" 30\n", b" thirty\n"), "not Prometheus' text format"),
        (b"\xff\xfe", "not Prometheus' text format"),
        (b"<html>sign in</html>", "no tokens_total exposed"),
    ],
)
def test_what_is_no_exposition_is_no_answer(text: bytes, said: str) -> None:
    with pytest.raises(ScrapeError, match=said):
        read(Exporter(URL, KIND), answering(text))


@pytest.mark.parametrize(
    ("shown", "value"),
    [
        ("7", "7"),
        ("7.5", "7.5"),
        ("1e+06", "1E+6"),
        (" 12 1700000000123", "12"),
        ("+Inf", "Infinity"),
        ("NaN", "NaN"),
    ],
)
def test_a_value_is_read_as_it_is_written(shown: str, value: str) -> None:
    labels = '{engine="a } b",pod="x y"}'
    found = parse(f"tokens_total{labels} {shown}\njoules_total{{}} 1\n".encode(), KIND)
    assert str(found["tokens_total", (("engine", "a } b"), ("pod", "x y"))]) == value


def test_a_node_cannot_fill_its_reporters_memory() -> None:
    many = "".join(f'tokens_total{{engine="{number}"}} 1\n' for number in range(MAX_SERIES)).encode()
    assert len(parse(many[: many.rindex(b"tokens_total")] + b"joules_total 1\n", KIND)) == MAX_SERIES
    with pytest.raises(ScrapeError, match="more than 256 series"):
        parse(many + b"joules_total 1\n", KIND)
    long = f'tokens_total{{engine="{"x" * MAX_SERIES_CHARACTERS}"}} 1\njoules_total 1\n'.encode()
    with pytest.raises(ScrapeError, match="1024 characters of labels"):
        parse(long, KIND)


@pytest.mark.parametrize("shown", ["", "1_000", "0x10", "1 2 3", "1,5", "\u0661"])
def test_a_value_that_is_none(shown: str) -> None:
    with pytest.raises(ScrapeError, match="not Prometheus' text format"):
        parse(f"tokens_total {shown}\njoules_total 1\n".encode(), KIND)


def test_what_shows_only_on_errors_need_not_be_there() -> None:
    assert ("xid", ()) in parse(TEXT + b"xid 79\n", KIND)
    assert "xid" not in KIND.needed


def test_another_kind_of_exporter_is_told_from_the_right_one() -> None:
    with pytest.raises(ScrapeError, match="is this a vllm exporter"):
        parse(TEXT, VLLM)
    with pytest.raises(ScrapeError, match="is this a dcgm exporter"):
        parse(b'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu="0"} 5\n', DCGM)


@pytest.mark.parametrize("status", [204, 301, 404, 500, 503])
def test_only_200_is_an_answer(status: int) -> None:
    assert read(Health(URL), answering(b"")) == Reading({})
    with pytest.raises(ScrapeError, match=f"answers {status}"):
        read(Health(URL), answering(b"", status))


def test_a_huge_answer_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch.fetch, "__kwdefaults__", {**fetch.fetch.__kwdefaults__, "max_bytes": 1_000})
    sent = 0

    async def endless() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 100
            yield b"x" * 100

    with pytest.raises(ScrapeError, match="more than 1000 bytes"):
        read(Exporter(URL, KIND), answering(endless()))
    assert sent < 2_000


def test_an_answer_is_never_unpacked() -> None:
    """Nobody asked for that; a kilobyte may hold a megabyte."""
    packed = gzip.compress(TEXT + b"#" * (1 << 20))
    assert len(packed) < 2_000
    with pytest.raises(ScrapeError, match="packs its answer, which nobody asked for"):
        read(Exporter(URL, KIND), answering(packed, headers={"content-encoding": "gzip"}))

    async def asked() -> str:
        async with fetch.new_client() as client:
            return client.build_request("GET", URL).headers["accept-encoding"]

    assert asyncio.run(asked()) == "identity"


def test_a_trickle_does_not_hold_a_reporter_up() -> None:
    pieces = 0

    async def trickle() -> AsyncIterator[bytes]:
        nonlocal pieces
        while True:
            await asyncio.sleep(0.01)  # each piece in time, the whole never
            pieces += 1
            yield b"#"

    with pytest.raises(ScrapeError, match=r"longer than 0\.1 s"):
        read(Exporter(URL, KIND), answering(trickle()), 0.1)
    assert pieces <= 10


def test_an_unreachable_node_is_no_answer() -> None:
    def refuse(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    with pytest.raises(ScrapeError, match="ConnectError: refused"):
        read(Health(URL), httpx.AsyncClient(transport=httpx.MockTransport(refuse)))


@pytest.mark.parametrize(
    ("body", "reached"),
    [
        (CHAIN_ANSWER, True),
        (b'{"jsonrpc":"2.0","id":1,"result":"0x1"}', False),
        (b"<html>please sign in</html>", False),
    ],
)
def test_a_canary_must_be_what_it_is_taken_for(body: bytes, reached: bool) -> None:
    for canary in (ChainCanary("http://chain.test", 31337), PageCanary("http://page.test", "0x7a69")):
        if reached:
            assert read(canary, answering(body)) == Reading({})
        else:
            with pytest.raises(ScrapeError, match="does not"):
                read(canary, answering(body))


@pytest.mark.parametrize("off", [-120, -MAX_SKEW_SECONDS - 2, MAX_SKEW_SECONDS + 2, 120])
def test_a_canary_by_another_clock_proves_nothing(off: int) -> None:
    """Either it is a replay, or this machine's clock is wrong, and with it every slot."""
    dated = {"date": formatdate(time() + off, usegmt=True)}
    for canary in (ChainCanary("http://chain.test", 31337), PageCanary("http://page.test", "0x7a69")):
        with pytest.raises(ScrapeError, match="from this machine's clock; at most 30 s will do"):
            read(canary, answering(CHAIN_ANSWER, headers=dated))


@pytest.mark.parametrize("off", [20, None])
def test_a_clock_that_is_nearly_right_or_not_shown_is_no_objection(off: int | None) -> None:
    date = "yesterday" if off is None else formatdate(time() + off, usegmt=True)
    assert read(ChainCanary("http://c.test", 31337), answering(CHAIN_ANSWER, headers={"date": date}))


def test_a_nodes_own_clock_is_nobodys_business() -> None:
    """Otherwise a node could set it wrong, and be unknown instead of down."""
    dated = {"date": formatdate(time() + 120, usegmt=True)}
    assert read(Health(URL), answering(b"", headers=dated)) == Reading({})

"""One look at a node, its exporter or a canary over HTTP: bounded in time and size, never trusted further."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from wellhead.errors import Refused
from wellhead.oracle.observation import Counters
from wellhead.runtime import metrics as runtime_metrics

MAX_BYTES = 1 << 20  # a DCGM exporter with eight GPUs shows some 100 kB
MILLIONTHS = 1_000_000
# Beyond this a float, which is what the text format carries, no longer counts by one.
MAX_EXACT = 1 << 53


class ScrapeError(Refused):
    """No usable answer: unreachable, too slow, too large, or not what was asked for."""


@dataclass(frozen=True)
class CounterNames:
    """Where an exporter keeps its counters; series of one name (several GPUs, several models) are summed."""

    tokens: str
    busy_seconds: str
    energy_joules: str


RUNTIME_COUNTERS = CounterNames(
    tokens=runtime_metrics.PROMPT_TOKENS,
    busy_seconds=runtime_metrics.BUSY_SECONDS,
    energy_joules=runtime_metrics.ENERGY_ESTIMATE_JOULES,
)


def new_client() -> httpx.AsyncClient:
    """A client for probes: a connection each, because a node that takes no new ones does not serve."""
    return httpx.AsyncClient(
        limits=httpx.Limits(max_keepalive_connections=0), trust_env=False, follow_redirects=False
    )


async def fetch(
    client: httpx.AsyncClient,
    request: httpx.Request,
    timeout_seconds: float,
    *,
    accepted: Collection[int] = (httpx.codes.OK,),
    check: Callable[[httpx.Response, float], None] = lambda _response, _now: None,
) -> bytes:
    """The body of an `accepted` answer, whole within `timeout_seconds` and MAX_BYTES. Raises ScrapeError, as
    `check` may, which gets the answer's head and this machine's time.

    The time is for everything together: httpx's own limits are per piece, and a node that trickles could
    hold its reporters up and so pass its downtime off as theirs.
    """
    received = bytearray()
    try:
        async with asyncio.timeout(timeout_seconds):
            response = await client.send(request, stream=True)
            try:
                check(response, time.time())
                if response.status_code not in accepted:
                    raise ScrapeError(f"{request.url} answers {response.status_code}")
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > MAX_BYTES:
                        raise ScrapeError(f"{request.url} sends more than {MAX_BYTES} bytes")
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise ScrapeError(f"{request.url} takes longer than {timeout_seconds} s") from error
    except httpx.HTTPError as error:
        raise ScrapeError(f"{request.url}: {type(error).__name__}: {error}") from error
    return bytes(received)


async def answers(client: httpx.AsyncClient, url: str, timeout_seconds: float) -> bool:
    """Whether a GET of `url` is answered with 200."""
    try:
        await fetch(client, client.build_request("GET", url), timeout_seconds)
    except ScrapeError:
        return False
    return True


async def chain_answers(
    client: httpx.AsyncClient, rpc_url: str, chain_id: int, timeout_seconds: float
) -> bool:
    """Whether a chain's RPC names itself. Anything may answer 200; a login page does not know the chain id."""
    call = {"jsonrpc": "2.0", "id": 1, "method": "eth_chainId", "params": []}
    try:
        body = await fetch(client, client.build_request("POST", rpc_url, json=call), timeout_seconds)
    except ScrapeError:
        return False
    return f'"{hex(chain_id)}"'.encode() in body


async def scrape_counters(
    client: httpx.AsyncClient, url: str, names: CounterNames, timeout_seconds: float
) -> Counters:
    """The counters that `url` exposes now. Raises ScrapeError, also for a counter missing or impossible."""
    return parse_counters(await fetch(client, client.build_request("GET", url), timeout_seconds), names)


def parse_counters(text: bytes, names: CounterNames) -> Counters:
    """The counters out of Prometheus' text format. Raises ScrapeError."""
    wanted = (names.tokens, names.busy_seconds, names.energy_joules)
    sums: dict[str, float] = {}
    try:
        # Only our lines reach the parser: a large exporter must not cost a reporter its slot.
        ours = "\n".join(line for line in text.decode().splitlines() if line.startswith(wanted))
        for family in text_string_to_metric_families(ours + "\n"):
            for sample in family.samples:
                if sample.name in wanted:
                    sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ScrapeError(f"not Prometheus' text format: {error}") from error
    return Counters(
        tokens=_whole(sums, names.tokens, 1),
        busy_micros=_whole(sums, names.busy_seconds, MILLIONTHS),
        energy_microjoules=_whole(sums, names.energy_joules, MILLIONTHS),
    )


def _whole(sums: dict[str, float], name: str, scale: int) -> int:
    if name not in sums:
        raise ScrapeError(f"no counter {name} exposed")
    value = sums[name]
    if not math.isfinite(value) or not 0 <= value * scale <= MAX_EXACT:
        raise ScrapeError(f"counter {name} is {value}: not between 0 and {MAX_EXACT // scale}")
    return round(value * scale)

"""One look at something over HTTP: bounded in time and size, never trusted further."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Collection
from email.utils import parsedate_to_datetime

import httpx

from wellhead.errors import Refused

MAX_BYTES = 1 << 20  # a DCGM exporter with eight GPUs shows some 100 kB
MAX_SKEW_SECONDS = 30


class ScrapeError(Refused):
    """No usable answer: unreachable, too slow, too large, or not what was asked for."""


class TooSlowError(ScrapeError):
    """No answer within the time."""


def new_client(connections: int | None = None) -> httpx.AsyncClient:
    """A client for probes: a connection each, because a node that takes no new ones does not serve."""
    limits = httpx.Limits(max_connections=connections, max_keepalive_connections=0)
    return httpx.AsyncClient(
        limits=limits, trust_env=False, follow_redirects=False, headers={"accept-encoding": "identity"}
    )


async def fetch(
    client: httpx.AsyncClient,
    request: httpx.Request,
    timeout_seconds: float,
    *,
    accepted: Collection[int] = (httpx.codes.OK,),
    max_bytes: int = MAX_BYTES,
    check: Callable[[httpx.Response, float], None] = lambda _response, _now: None,
) -> bytes:
    """The body of an `accepted` answer, whole within `timeout_seconds` and `max_bytes`. Raises ScrapeError, as
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
                if response.headers.get("content-encoding", "identity") != "identity":
                    raise ScrapeError(
                        f"{request.url} packs its answer, which nobody asked for"
                    )  # it may be huge
                async for chunk in response.aiter_bytes():
                    received += chunk
                    if len(received) > max_bytes:
                        raise ScrapeError(f"{request.url} sends more than {max_bytes} bytes")
            finally:
                await response.aclose()
    except TimeoutError as error:
        raise TooSlowError(f"{request.url} takes longer than {timeout_seconds} s") from error
    except httpx.HTTPError as error:
        raise ScrapeError(f"{request.url}: {type(error).__name__}: {error}") from error
    return bytes(received)


def check_clock(response: httpx.Response, now: float) -> None:
    """Raises ScrapeError for an answer that was dated by a clock far from this machine's, whichever is wrong."""
    try:
        theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return  # a proxy may leave it out
    if abs(theirs - now) > MAX_SKEW_SECONDS:
        raise ScrapeError(
            f"{response.url} is {theirs - now:+.0f} s from this machine's clock; at most {MAX_SKEW_SECONDS} s will do"
        )

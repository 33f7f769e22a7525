"""Load over plain HTTP/1.1: one connection per worker, one request after the other, every answer timed.

A client library would cost more than what is measured.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import urlsplit

from wellhead.errors import Refused


class Load(NamedTuple):
    """What a run of requests took."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float

    @property
    def per_second(self) -> float:
        return self.requests / self.seconds


async def run_load(
    urls: Sequence[str], body: bytes, headers_by_worker: Sequence[Sequence[dict[str, str]]]
) -> Load:
    """POST `body`: each worker once with each of its headers, all workers at the same time, to the URLs in turn.

    Raises Refused at the first answer that is not 200.
    """
    begun = time.perf_counter()
    timings = await asyncio.gather(
        *(_work(urls[number % len(urls)], body, headers) for number, headers in enumerate(headers_by_worker))
    )
    seconds = time.perf_counter() - begun
    all_timings = sorted(timing for worker in timings for timing in worker)
    count = len(all_timings)
    return Load(count, seconds, 1_000 * all_timings[count // 2], 1_000 * all_timings[count * 99 // 100])


async def _work(url: str, body: bytes, headers: Sequence[dict[str, str]]) -> list[float]:
    parts = urlsplit(url)
    path, host = parts.path, parts.hostname or ""
    reader, writer = await asyncio.open_connection(host, parts.port or 80)
    common = (
        f"POST {path} HTTP/1.1\r\nhost: {host}\r\ncontent-type: application/json\r\n"
        f"content-length: {len(body)}\r\n"
    )
    requests = [
        common.encode()
        + b"".join(f"{name}: {value}\r\n".encode() for name, value in one.items())
        + b"\r\n"
        + body
        for one in headers
    ]
    timings = []
    try:
        for request in requests:
            sent = time.perf_counter()
            writer.write(request)
            head = await reader.readuntil(b"\r\n\r\n")
            answer = await reader.readexactly(_length(head))
            timings.append(time.perf_counter() - sent)
            if not head.startswith(b"HTTP/1.1 200 "):
                raise Refused(
                    f"request {len(timings)} to {path} was answered {head[:40]!r}: {answer[:300]!r}"
                )
    finally:
        writer.close()
    return timings


def _length(head: bytes) -> int:
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return int(line[15:])
    raise Refused(f"an answer without a length: {head[:200]!r}")

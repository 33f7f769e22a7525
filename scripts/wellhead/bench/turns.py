"""Several servers under the same load by turns: a machine whose speed drifts slows all of them alike, and each turn's
figures are compared with each other alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import NamedTuple

from wellhead.bench.load import Load, run_load

TURNS = 10
WORKERS = 8
_TICKS = os.sysconf("SC_CLK_TCK")

# The headers of so many requests for each of so many workers, at a URL.
Headers = Callable[[str, int, int], Sequence[Sequence[dict[str, str]]]]


class Server(NamedTuple):
    """Where it listens, and its process."""

    url: str
    pid: int


class Turn(NamedTuple):
    """One burst with WORKERS calls at a time, and one with a single call at a time."""

    requests: int
    per_second: float
    p50_ms: float
    p99_ms: float
    single_p50_ms: float
    cpu_seconds: float


@dataclass(frozen=True)
class Side:
    """One side under load, and alone on its connection: medians over the turns."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    # With nothing else under way.
    single_p50_ms: float
    cpu_us_per_request: float


class Contestant:
    """Servers that share their calls, and what their turns came to."""

    def __init__(self, servers: Sequence[Server], calls: int, body: bytes, headers: Headers) -> None:
        """`calls` in all, over TURNS turns; at least one per worker and turn."""
        self._servers, self._body, self._headers = servers, body, headers
        self._each = max(calls // TURNS // WORKERS, 1)
        self.turns: list[Turn] = []

    def warm(self) -> None:
        """Some calls that do not count."""
        self._load(WORKERS, 2)

    def take_turn(self) -> None:
        """One more turn. Raises Refused when a call is not answered."""
        single = self._load(1, self._each)
        before = self._cpu_seconds()
        load = self._load(WORKERS, self._each)
        cpu = self._cpu_seconds() - before
        self.turns.append(Turn(load.requests, load.per_second, load.p50_ms, load.p99_ms, single.p50_ms, cpu))

    @property
    def side(self) -> Side:
        """What its turns came to."""
        turns = self.turns
        requests, cpu = sum(turn.requests for turn in turns), sum(turn.cpu_seconds for turn in turns)
        return Side(
            round(median(turn.per_second for turn in turns), 1),
            round(median(turn.p50_ms for turn in turns), 3),
            round(median(turn.p99_ms for turn in turns), 3),
            round(median(turn.single_p50_ms for turn in turns), 3),
            round(1e6 * cpu / requests, 1),
        )

    def added_p50_ms(self, upstream: Contestant) -> float:
        """Over the upstream alone, one call at a time, in the same turn."""
        pairs = zip(self.turns, upstream.turns, strict=True)
        return round(median(mine.single_p50_ms - theirs.single_p50_ms for mine, theirs in pairs), 3)

    def times_throughput(self, other: Contestant) -> float:
        """Requests per second beside another's in the same turn."""
        pairs = zip(self.turns, other.turns, strict=True)
        return round(median(mine.per_second / theirs.per_second for mine, theirs in pairs), 1)

    def _load(self, workers: int, count: int) -> Load:
        urls = [server.url for server in self._servers]
        return asyncio.run(run_load(urls, self._body, self._headers(urls[0], workers, count)))

    def _cpu_seconds(self) -> float:
        return sum(_cpu_seconds(server.pid) for server in self._servers)


def take_turns(contestants: Sequence[Contestant]) -> None:
    """All of them, in the same order each time."""
    for contestant in contestants:
        contestant.warm()
    for _ in range(TURNS):
        for contestant in contestants:
            contestant.take_turn()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS

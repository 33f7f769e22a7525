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
# One after the other; as many at once as leave a fast side time to wait; and more than any side has use for.
CUSTOMERS = (1, 8, 32)
# Before each turn, by each of so many: while others had theirs, a side's caches went cold.
WARMING_CALLS, WARMING_CUSTOMERS = 2, 8
_TICKS = os.sysconf("SC_CLK_TCK")

# The headers of so many requests for each of so many customers, at a URL.
Headers = Callable[[str, int, int], Sequence[Sequence[dict[str, str]]]]


class Server(NamedTuple):
    """Where it listens, and its process."""

    url: str
    pid: int


class Burst(NamedTuple):
    """What came of the calls of some customers at once, and the servers' CPU for them."""

    load: Load
    cpu_seconds: float


@dataclass(frozen=True)
class Side:
    """One side with so many customers at once, each with one call under way at most: medians over the turns."""

    requests_per_second: float
    p50_ms: float
    p99_ms: float
    cpu_us_per_request: float


class Contestant:
    """Servers that share their calls, and what their turns came to."""

    def __init__(self, servers: Sequence[Server], calls: int, body: bytes, headers: Headers) -> None:
        """`calls` in all, over TURNS turns, with each number of customers; an eighth of them with a single one. At
        least one per customer and turn."""
        self._servers, self._body, self._headers = servers, body, headers
        self._calls_per_turn = {
            customers: max(calls // TURNS // max(customers, 8), 1) for customers in CUSTOMERS
        }
        self._turns: list[dict[int, Burst]] = []

    def take_turn(self) -> None:
        """One more turn. Raises Refused when a call is not answered."""
        self._load(self._signed(WARMING_CUSTOMERS, WARMING_CALLS))
        self._turns.append({customers: self._burst(customers) for customers in CUSTOMERS})

    @property
    def sides(self) -> dict[int, Side]:
        """What the turns came to, by the number of customers."""
        return {customers: self._side(customers) for customers in CUSTOMERS}

    def added_p50_ms(self, upstream: Contestant) -> float:
        """Over the upstream alone, one call at a time, in the same turn."""
        pairs = zip(self._turns, upstream._turns, strict=True)
        return round(median(mine[1].load.p50_ms - theirs[1].load.p50_ms for mine, theirs in pairs), 3)

    def times_throughput(self, other: Contestant) -> dict[int, float]:
        """Requests per second beside another's in the same turn, by the number of customers."""
        return {
            customers: round(
                median(
                    mine[customers].load.per_second / theirs[customers].load.per_second
                    for mine, theirs in zip(self._turns, other._turns, strict=True)
                ),
                1,
            )
            for customers in CUSTOMERS
        }

    def _side(self, customers: int) -> Side:
        bursts = [turn[customers] for turn in self._turns]
        loads = [burst.load for burst in bursts]
        cpu = sum(burst.cpu_seconds for burst in bursts) / sum(load.requests for load in loads)
        return Side(
            round(median(load.per_second for load in loads), 1),
            round(median(load.p50_ms for load in loads), 3),
            round(median(load.p99_ms for load in loads), 3),
            round(1e6 * cpu, 1),
        )

    def _burst(self, customers: int) -> Burst:
        calls = self._signed(customers, self._calls_per_turn[customers])  # before anything is measured
        before = self._cpu_seconds()
        load = self._load(calls)
        return Burst(load, self._cpu_seconds() - before)

    def _signed(self, customers: int, count: int) -> Sequence[Sequence[dict[str, str]]]:
        return self._headers(self._servers[0].url, customers, count)

    def _load(self, calls: Sequence[Sequence[dict[str, str]]]) -> Load:
        return asyncio.run(run_load([server.url for server in self._servers], self._body, calls))

    def _cpu_seconds(self) -> float:
        return sum(_cpu_seconds(server.pid) for server in self._servers)


def take_turns(contestants: Sequence[Contestant]) -> None:
    """All of them, in the same order each time."""
    for _ in range(TURNS):
        for contestant in contestants:
            contestant.take_turn()


def _cpu_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS

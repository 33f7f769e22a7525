"""What a round costs as nodes become many: time and memory off the chain, gas on it."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from wellhead.bench.apart import figures_of
from wellhead.bench.oracle_rounds import RoundTime, measure_rounds
from wellhead.bench.reporting import Reporting
from wellhead.bench.stage import RING_ROUNDS, bench_stage
from wellhead.chain import local
from wellhead.errors import Refused
from wellhead.oracle.pushing import MAX_REPORTED
from wellhead.processes import ManagedProcess

PUSHED = (1, 10, 100, 1_000)
# So many at work, of so many reporters, of which so many may lie. No set has fewer than four, and one may be silent.
REPORTERS = ((3, 4, 1), (7, 7, 2))
ROUNDS = 3
START_TIMEOUT_SECONDS = 60


def measure(nodes: int, scraped: int) -> dict[str, Any]:
    """Figures for rounds of up to `nodes` nodes, and for a reporter who looks at `scraped`. Raises Refused."""
    return {
        "records": measure_records(nodes),
        "scraping": measure_scraping(scraped),
        "rounds": [one._asdict() for one in _measure_rounds()],
        "gas_per_node": _gas_per_node(nodes),
    }


def _measure_rounds() -> list[RoundTime]:
    with _exporters() as url:
        return [measure_rounds(url, *reporters, ROUNDS) for reporters in REPORTERS]


def measure_records(nodes: int) -> dict[str, float]:
    """See `wellhead.bench.records`. Raises Refused."""
    return figures_of("wellhead.bench.records", str(nodes))


def measure_scraping(nodes: int) -> dict[str, float]:
    """See `wellhead.bench.scraping`. Raises Refused."""
    with _exporters() as url:
        return figures_of("wellhead.bench.scraping", "reporter", url, str(nodes))


@contextmanager
def _exporters() -> Iterator[str]:
    """The root of a server at which every path is a node."""
    with TemporaryDirectory(prefix="wellhead-bench-") as folder:
        port = local.free_port()
        command = [sys.executable, "-m", "wellhead.bench.scraping", "exporters", str(port)]
        exporters = ManagedProcess(command, Path(folder) / "exporters.log")
        try:
            _wait_for(exporters, port)
            yield f"http://{local.HOST}:{port}"
        finally:
            exporters.stop()


def _wait_for(process: ManagedProcess, port: int) -> None:
    until = time.monotonic() + START_TIMEOUT_SECONDS
    while process.running and time.monotonic() < until:
        try:
            socket.create_connection((local.HOST, port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)  # a process of its own has no event to wait for
    raise Refused(f"nothing listens at port {port}:\n{process.log_tail()}")


def _gas_per_node(nodes: int) -> dict[str, float]:
    """Gas of a round divided by its nodes, all slots used before: pushed with the report, split over transactions
    after it where a report takes no more, and `nodes` under a root alone."""
    with bench_stage(plain_usd=True) as stage:
        reporting = Reporting(stage)
        everybody = range(1, 1 + max(PUSHED))
        reporting.push_split(1, everybody, known=range(0))
        for number in range(2, len(PUSHED) + 2):
            reporting.push(number, range(0))
        gas: dict[int, int] = {}
        for number, count in enumerate(PUSHED, 1 + RING_ROUNDS):
            some = range(1, 1 + count)
            whole = count <= MAX_REPORTED
            gas[count] = (
                reporting.push(number, some) if whole else reporting.push_split(number, some, everybody)
            )
        gas[nodes] = reporting.push(1 + RING_ROUNDS + len(PUSHED), range(0))
    return {str(count): round(used / count, 3) for count, used in gas.items()}

"""What a round costs as nodes become many: time and memory off the chain, gas on it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from wellhead.bench.reporting import Reporting
from wellhead.bench.stage import RING_ROUNDS, bench_stage
from wellhead.errors import Refused

PUSHED = (1, 10, 100, 1_000)
# What fits into a block while every slot is new.
PUSHED_FIRST = 500
RECORDS_TIMEOUT_SECONDS = 600


def measure(nodes: int) -> dict[str, Any]:
    """Figures for reports of up to `nodes` nodes, of which more than 1,000 are named by a root. Raises Refused."""
    return {"records": _measure_records(nodes), "gas_per_node": _gas_per_node(nodes)}


def _measure_records(nodes: int) -> dict[str, float]:
    command = [sys.executable, "-m", "wellhead.bench.records", str(nodes)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=RECORDS_TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(f"{nodes:,} records are not kept within {RECORDS_TIMEOUT_SECONDS} s") from None
    if done.returncode:
        raise Refused(f"{nodes:,} records cannot be measured: {done.stderr.decode(errors='replace')[-300:]}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures


def _gas_per_node(nodes: int) -> dict[str, float]:
    """Gas of one report divided by its nodes, all slots used before: pushed, and `nodes` under a root alone."""
    with bench_stage(plain_usd=True) as stage:
        reporting = Reporting(stage)
        for start in range(1, PUSHED[-1] + 1, PUSHED_FIRST):
            reporting.push(1 + start // PUSHED_FIRST, range(start, start + PUSHED_FIRST))
        for number in range(3, len(PUSHED) + 2):
            reporting.push(number, range(0))
        second_lap = 1 + RING_ROUNDS
        gas = {
            count: reporting.push(second_lap + place, range(1, 1 + count))
            for place, count in enumerate(PUSHED)
        }
        gas[nodes] = reporting.push(second_lap + len(PUSHED), range(0))
    return {str(count): round(used / count, 3) for count, used in gas.items()}

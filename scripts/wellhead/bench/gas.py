"""The gas of every operation that has a target, over a plain ERC-20 dollar and over MockUSD.

Whole transactions in steady state on Anvil at its default hardfork; guards and pause checks are on, the
eligibility module only where the name says `listed`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from wellhead.bench.offering import measure_offering
from wellhead.bench.oracle import measure_oracle
from wellhead.bench.pool import measure_pool
from wellhead.bench.settlement import measure_settlement
from wellhead.bench.shares import measure_shares
from wellhead.bench.stage import bench_stage
from wellhead.errors import Misused

# DESIGN §8, on the plain dollar; of pools, what IComputePool was built to.
TARGETS = {
    "share_transfer": 39_000,
    "share_transfer_listed": 47_000,
    "share_claim": 51_000,
    "share_sync": 43_500,
    "settle_one": 45_000,
    "settle_marginal": 17_500,
    "settle_router_marginal": 15_500,
    "oracle_one": 63_000,
    "oracle_marginal": 6_500,
    "oracle_root": 58_000,
    "oracle_prove": 20_000,
    "offering_buy": 78_000,
    "pool_sync": 43_500,
    "pool_record": 130_000,
    "pool_distribute": 40_000,
    "pool_claim": 78_000,
}
# Measured to be seen when they change: in no report of a round, and not worth a bound.
WITHOUT_TARGET = ("oracle_push", "oracle_push_marginal", "oracle_scores")


class Gas(NamedTuple):
    """One operation: on the plain dollar, and on MockUSD."""

    gas: int
    gas_mock_usd: int


def measure() -> dict[str, Gas]:
    """Measure everything, each dollar on a chain of its own."""
    measured = []
    for plain in (True, False):
        with bench_stage(plain_usd=plain) as stage:
            measured.append(
                measure_shares(stage)
                | measure_settlement(stage)
                | measure_offering(stage)
                | measure_oracle(stage)
                | measure_pool(stage)
            )
    plain_gas, mock_gas = measured
    return {name: Gas(plain_gas[name], mock_gas[name]) for name in (*TARGETS, *WITHOUT_TARGET)}


def over_target(measured: dict[str, Gas]) -> list[str]:
    """The operations that cost more than they may."""
    return [name for name, gas in measured.items() if name in TARGETS and gas.gas > TARGETS[name]]


def read_snapshot(path: Path) -> dict[str, Gas]:
    """A committed snapshot. Raises Misused."""
    try:
        return {name: Gas(**gas) for name, gas in json.loads(path.read_text()).items()}
    except (OSError, ValueError, TypeError) as error:
        raise Misused(f"{path} is not a gas snapshot: {error}") from None


def differences(measured: dict[str, Gas], snapshot: dict[str, Gas]) -> list[str]:
    """What changed against `snapshot`, in words."""
    return [
        f"{name}: {_show(snapshot.get(name))} -> {_show(measured.get(name))}"
        for name in sorted(measured.keys() | snapshot.keys())
        if measured.get(name) != snapshot.get(name)
    ]


def _show(gas: Gas | None) -> str:
    return "none" if gas is None else f"{gas.gas} ({gas.gas_mock_usd} on MockUSD)"

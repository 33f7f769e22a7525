"""The demo's outcome: one object for machines, tables and a list of checks for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from rich.console import Console
from rich.text import Text

from wellhead.cli import render
from wellhead.demo.delivery import Measured
from wellhead.demo.income import Holding, Income
from wellhead.demo.listing import SPEC, Listed
from wellhead.demo.serving import Served
from wellhead.demo.stage import Check, Stage
from wellhead.units import format_amount, format_usd


class Outcome(NamedTuple):
    """Everything that the demo found out; the figures come from the chain and the processes."""

    data: Mapping[str, Any]
    succeeded: bool


def outcome(
    stage: Stage,
    listed: Listed,
    served: Served,
    measured: Measured,
    income: Income,
    holdings: list[Holding],
    seconds: float,
) -> Outcome:
    """Put together what the parts returned."""
    checks = stage.narrator.checks
    data = {
        "chain": {"client": stage.chain.client, "chain_id": stage.w3.eth.chain_id},
        "node": {"id": listed.node, "share": listed.share.address, "gpu_class": SPEC.gpu_class},
        "offering": {
            "raised_usd6": listed.raised_usd6,
            "buyers": [{"name": name, "units": units} for name, units in listed.bought.items()],
        },
        "inference": served._asdict(),
        "oracle": measured._asdict(),
        "income": income._asdict(),
        "holders": [holding._asdict() for holding in holdings],
        "checks": [check._asdict() for check in checks],
        "seconds": round(seconds, 1),
    }
    return Outcome(data, all(check.holds for check in checks))


def draw(console: Console, data: Mapping[str, Any]) -> None:
    """Tables for people."""
    console.print()
    console.print(
        render.table(
            ["holder", "shares", "claimed", "claimable"],
            [
                (
                    holder["name"],
                    format_amount(holder["shares"]),
                    format_usd(holder["claimed_usd6"]),
                    format_usd(holder["claimable_usd6"]),
                )
                for holder in data["holders"]
            ],
            title="Who earned what",
        )
    )
    income = data["income"]
    console.print(
        render.table(
            ["income", "amount"],
            [(name.removesuffix("_usd6"), format_usd(amount)) for name, amount in income.items()],
            title="The node's income",
        )
    )
    checks = render.table(
        ["", "check", "seen"], [_row(Check(**check)) for check in data["checks"]], title="Checks"
    )
    checks.columns[1].justify = checks.columns[2].justify = "left"
    console.print(checks)
    console.print(f"{len(data['checks'])} checks, {data['seconds']} seconds")


def _row(check: Check) -> tuple[Text, str, str]:
    return (Text("holds", "green") if check.holds else Text("BROKEN", "bold red"), check.name, check.detail)

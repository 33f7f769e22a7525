"""wellhead bench: what things cost."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.text import Text

from wellhead.bench import gas as gas_bench
from wellhead.cli import render
from wellhead.cli.options import JsonOption
from wellhead.errors import Refused

app = typer.Typer(help="Benchmarks: gas.", no_args_is_help=True)


@app.callback()
def bench() -> None:
    """Benchmarks are commands: gas is exact, everything else a ratio within one run."""


@app.command()
def gas(
    check: Annotated[
        Path | None,
        typer.Option("--check", help="Fail when the figures differ from this snapshot or miss a target."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the gas of every operation that has a target, on an Anvil of its own."""
    snapshot = gas_bench.read_snapshot(check) if check is not None else {}
    measured = gas_bench.measure()
    render.emit(
        as_json,
        {name: figures._asdict() for name, figures in measured.items()},
        lambda console: _draw(console, measured),
    )
    if check is None:
        return
    over = gas_bench.over_target(measured)
    if over:
        raise Refused(f"over target: {', '.join(over)}")
    changed = gas_bench.differences(measured, snapshot)
    if changed:
        raise Refused(
            f"gas differs from {check}: {'; '.join(changed)}. If that is meant, write the new figures there: "
            f"wellhead bench gas --json > {check}"
        )


def _draw(console: Console, measured: dict[str, gas_bench.Gas]) -> None:
    rows: list[tuple[str | Text, ...]] = []
    for name, figures in measured.items():
        target = gas_bench.TARGETS[name]
        met = figures.gas <= target
        verdict = Text("met", "green") if met else Text("missed", "bold red")
        rows.append((name, f"{figures.gas:,}", f"{target:,}", verdict, f"{figures.gas_mock_usd:,}"))
    console.print(render.table(["operation", "gas", "target", "", "on MockUSD"], rows))

"""wellhead bench: what things cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.text import Text

from wellhead.bench import gas as gas_bench
from wellhead.cli import render
from wellhead.cli.options import JsonOption
from wellhead.errors import Refused

if TYPE_CHECKING:
    from wellhead.bench.gateway import Measured as GatewayMeasured

app = typer.Typer(help="Benchmarks: gas, gateway, oracle.", no_args_is_help=True)


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


@app.command()
def gateway(
    calls: Annotated[int, typer.Option("--calls", min=80, max=200_000, help="Paid calls per side.")] = 4_000,
    postgres: Annotated[
        str | None,
        typer.Option(
            "--postgres", help="An empty database for two gateways over one ledger, as SQLAlchemy writes it."
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a paid call: upstream alone, a proxy that sells nothing, our gateway, x402's own middleware; on a chain
    of its own."""
    from wellhead.bench import gateway as gateway_bench

    measured = gateway_bench.measure(calls, postgres)
    render.emit(as_json, gateway_bench.as_json(measured), lambda console: _draw_sides(console, measured))


@app.command()
def oracle(
    nodes: Annotated[
        int, typer.Option("--nodes", min=1_001, max=4_000_000, help="Nodes of the largest round.")
    ] = 1_000_000,
    scraped: Annotated[
        int, typer.Option("--scraped", min=1, max=900, help="Nodes that are looked at.")
    ] = 200,
    as_json: JsonOption = False,
) -> None:
    """Measure rounds of many nodes: looked at, kept, proven and reported."""
    from wellhead.bench import oracle_scale

    measured = oracle_scale.measure(nodes, scraped)
    render.emit(as_json, measured, lambda console: _draw_oracle(console, measured))


def _draw_oracle(console: Console, measured: dict[str, Any]) -> None:
    for part in ("records", "scraping"):
        rows = [(name.replace("_", " "), f"{value:,}") for name, value in measured[part].items()]
        console.print(render.table([part, ""], rows))
    columns = [name.replace("_", " ") for name in measured["rounds"][0]]
    rounds = [[f"{value:g}" for value in one.values()] for one in measured["rounds"]]
    console.print(render.table(columns, rounds))
    rows = [(f"{int(count):,}", f"{gas:,}") for count, gas in measured["gas_per_node"].items()]
    console.print(render.table(["nodes in a report", "gas per node"], rows))


def _draw_sides(console: Console, measured: GatewayMeasured) -> None:
    rows = []
    for name in ("upstream", "bare_proxy", "gateway", "shared", "stock"):
        for customers, side in (getattr(measured, name) or {}).items():
            times = (f"{value:.2f}" for value in (side.p50_ms, side.p99_ms))
            figures = (f"{side.requests_per_second:,.0f}", *times, f"{side.cpu_us_per_request:,.0f}")
            rows.append((name.replace("_", " "), str(customers), *figures))
    columns = ["side", "customers", "requests/s", "p50 ms", "p99 ms", "CPU us/request"]
    console.print(render.table(columns, rows))
    stock = "times the stock's throughput"
    targets = [
        ("added at the median, ms", measured.added_p50_ms, "at most 1", measured.added_p50_ms <= 1),
        *(
            (f"{stock}, {customers} customers", times, "at least 10", times >= 10)
            for customers, times in measured.times_stock_throughput.items()
            if customers > 1
        ),
        ("a voucher verified, us", measured.verify_us, "at most 60", measured.verify_us <= 60),
    ]
    verdicts = [
        (name, str(value), target, Text("met", "green") if met else Text("missed", "bold red"))
        for name, value, target, met in targets
    ]
    console.print(render.table(["figure", "measured", "target", ""], verdicts))
    bare = ", ".join(
        f"{times} with {customers} customers"
        for customers, times in measured.bare_proxy_times_stock_throughput.items()
    )
    console.print(
        f"A bare proxy of the same server and client: {measured.bare_proxy_added_p50_ms} ms added; {stock}: {bare}."
    )


def _draw(console: Console, measured: dict[str, gas_bench.Gas]) -> None:
    rows: list[tuple[str | Text, ...]] = []
    for name, figures in measured.items():
        target = gas_bench.TARGETS.get(name)
        bound, verdict = "none", Text()
        if target is not None:
            bound = f"{target:,}"
            verdict = Text("met", "green") if figures.gas <= target else Text("missed", "bold red")
        rows.append((name, f"{figures.gas:,}", bound, verdict, f"{figures.gas_mock_usd:,}"))
    console.print(render.table(["operation", "gas", "target", "", "on MockUSD"], rows))

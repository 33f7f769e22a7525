"""wellhead clock: the time of a local chain, which passes when you say so."""

from __future__ import annotations

from typing import Annotated

import typer

from wellhead.chain import local
from wellhead.chain.networks import find_network
from wellhead.cli import render
from wellhead.cli.options import DEFAULT_NETWORK, JsonOption, NetworkOption
from wellhead.errors import Refused
from wellhead.units import format_time, parse_duration

app = typer.Typer(help="Chain time: show it, and on a local chain advance it.", no_args_is_help=True)


@app.command()
def show(network: NetworkOption = DEFAULT_NETWORK, as_json: JsonOption = False) -> None:
    """Show the time of the latest block."""
    now = local.chain_time(find_network(network).connect())
    render.emit(as_json, {"time": now}, lambda console: console.print(format_time(now)))


@app.command()
def advance(
    duration: Annotated[str, typer.Argument(help="How much time passes: 90s, 30m, 36h, 7d.")],
    network: NetworkOption = DEFAULT_NETWORK,
    as_json: JsonOption = False,
) -> None:
    """Let time pass on a local chain. Past the wall clock, stock x402 payments expire before they are signed."""
    seconds = parse_duration(duration)
    w3 = find_network(network).connect()
    if not local.is_local(w3):
        raise Refused(f"time on {network} passes by itself; only local chains can be advanced")
    now = local.advance(w3, seconds)
    render.emit(as_json, {"time": now}, lambda console: console.print(format_time(now)))

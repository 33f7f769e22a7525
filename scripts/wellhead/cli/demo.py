"""wellhead demo: the whole story, end to end, with a report."""

from __future__ import annotations

from pathlib import Path
from tempfile import mkdtemp
from typing import Annotated

import typer
from rich.console import Console

from wellhead.cli import render
from wellhead.cli.options import JsonOption
from wellhead.errors import Refused


def demo(
    chain: Annotated[str, typer.Option("--chain", help="anvil or ganache")] = "anvil",
    as_json: JsonOption = False,
) -> None:
    """List a node, sell its shares, serve a real model for real payments, measure it, stream the income."""
    from wellhead.demo.report import draw
    from wellhead.demo.story import play

    folder = Path(mkdtemp(prefix="wellhead-demo-"))
    outcome = play(chain, folder, None if as_json else Console())
    render.emit(as_json, outcome.data, lambda console: draw(console, outcome.data))
    if not outcome.succeeded:
        broken = [check["name"] for check in outcome.data["checks"] if not check["holds"]]
        raise Refused(f"checks do not hold: {', '.join(broken)}; logs are in {folder}")

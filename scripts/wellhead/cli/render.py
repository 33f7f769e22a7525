"""What a command prints: one JSON object for machines, or lines and tables for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

Human = Callable[[Console], None]


def emit(as_json: bool, data: Mapping[str, Any], human: Human) -> None:
    """Print `data` as JSON, or let `human` draw it."""
    if as_json:
        print(json.dumps(data, indent=2), flush=True)  # whoever reads our pipe may wait for it
    else:
        human(Console())


def table(columns: Sequence[str], rows: Sequence[Sequence[str]], title: str | None = None) -> Table:
    """A table whose columns after the first are right-aligned."""
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*row)
    return drawn


def facts(pairs: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    drawn = Table(show_header=False, box=None, pad_edge=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        drawn.add_row(name, value)
    return drawn

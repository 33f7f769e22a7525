"""What a command prints: one JSON object for machines, or lines and tables for people."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from wellhead.units import format_duration, format_time, format_usd

Human = Callable[[Console], None]


def emit(as_json: bool, data: Mapping[str, Any], human: Human) -> None:
    """Print `data` as JSON, or let `human` draw it."""
    if as_json:
        print(json.dumps(data, indent=2), flush=True)  # whoever reads our pipe may wait for it
    else:
        human(Console())


def plain(text: str) -> Text:
    """`text` as it is: what a chain or a peer says is no markup, and moves no cursor."""
    return Text("".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text))


def table(columns: Sequence[str], rows: Sequence[Sequence[str | Text]], title: str | None = None) -> Table:
    """A table whose columns after the first are right-aligned."""
    drawn = Table(title=title, title_justify="left", header_style="bold")
    for number, column in enumerate(columns):
        drawn.add_column(column, justify="left" if number == 0 else "right", overflow="fold")
    for row in rows:
        drawn.add_row(*(cell if isinstance(cell, Text) else plain(cell) for cell in row))
    return drawn


def facts(pairs: Sequence[tuple[str, str]]) -> Table:
    """Names and values, one pair a line."""
    drawn = Table(show_header=False, box=None, pad_edge=False)
    drawn.add_column(style="dim", no_wrap=True)
    drawn.add_column(overflow="fold")
    for name, value in pairs:
        drawn.add_row(plain(name), plain(value))
    return drawn


def fact(name: str, value: Any) -> tuple[str, str]:
    """A field of an output as people read it; the end of its name says its unit."""
    for unit, drawn in _UNITS.items():
        if name.endswith(unit) and isinstance(value, int):
            return name.removesuffix(unit if unit in _SAID_BY_VALUE else "").replace("_", " "), drawn(value)
    if isinstance(value, dict):
        value = ", ".join(f"{key.replace('_', ' ')} {part}" for key, part in value.items())
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    return name.replace("_", " "), str(value)


_UNITS: dict[str, Callable[[int], str]] = {
    "_usd6": format_usd,
    "_seconds": format_duration,
    "_at": format_time,
    "_time": format_time,
}
_SAID_BY_VALUE = ("_usd6", "_seconds")

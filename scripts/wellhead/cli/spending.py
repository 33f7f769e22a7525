"""How much customers' commands may sign away in a day: one limit for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from wellhead.cli.session import Session
from wellhead.units import parse_amount

if TYPE_CHECKING:
    from wellhead.customer.spending import SpendingLimit

DEFAULT_PER_DAY = "5"

PerDayOption = Annotated[
    str, typer.Option("--per-day", help="The most that may be signed away in a day (UTC), in dollars.")
]
SpentOption = Annotated[
    Path | None,
    typer.Option(
        "--spent",
        help="File that keeps what was spent today; default: one in the home folder, of a local chain its own.",
    ),
]


def open_limit(session: Session, spent: Path | None, per_day: str) -> SpendingLimit:
    """Raises Misused, or Refused when the file cannot be read."""
    from wellhead.customer.spending import SpendingLimit

    return SpendingLimit(spent or _spent_file(session), parse_amount(per_day, "--per-day"))


def _spent_file(session: Session) -> Path:
    """Test money is nobody's, and a local chain that starts anew is another one."""
    if session.local:
        return session.of_this_chain("spent", "customers.json")
    return Path.home() / ".wellhead" / "spent.json"

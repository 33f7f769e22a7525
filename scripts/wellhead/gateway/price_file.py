"""Prices as operators write them: TOML in dollars, one table per model.

[[models]]
id = "all-MiniLM-L6-v2"                # "*" stands for every other model
usd_per_call = "0.0001"
usd_per_million_input_tokens = "0.02"
usd_per_million_output_tokens = "0.06"
max_output_tokens = 2048
"""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from wellhead.errors import Misused
from wellhead.gateway.prices import ANY_MODEL, ModelPrice
from wellhead.units import parse_amount

_DOLLARS = {
    "usd_per_call": "usd6_per_call",
    "usd_per_million_input_tokens": "usd6_per_million_input_tokens",
    "usd_per_million_output_tokens": "usd6_per_million_output_tokens",
}


def read_prices(path: Path) -> tuple[ModelPrice, ...]:
    """The models in a price file, in its order. Raises Misused naming what is wrong."""
    try:
        document = tomllib.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise Misused(f"{path} is no price file: {error}") from None
    models = document.get("models")
    if not isinstance(models, list) or not models or set(document) != {"models"}:
        raise Misused(f"{path} must consist of [[models]] tables, one per model")
    return tuple(_price(table, f"{path}, model {number}") for number, table in enumerate(models, 1))


def price_list(flat: str | None, path: Path | None) -> tuple[ModelPrice, ...]:
    """One price for every call, or the models of a price file. Raises Misused unless exactly one is given."""
    if (flat is None) == (path is None):
        raise Misused("give either a price per call or a price file")
    if path is not None:
        return read_prices(path)
    price_usd6 = parse_amount(flat or "", "price")
    if price_usd6 == 0:
        raise Misused("a price of 0 sells nothing: give it in dollars, like 0.001")
    return (ModelPrice(id=ANY_MODEL, usd6_per_call=price_usd6),)


def _price(table: Any, where: str) -> ModelPrice:
    if not isinstance(table, dict):
        raise Misused(f"{where} is {table!r}, not a table")
    fields = {}
    for name, value in table.items():
        if name not in _DOLLARS:
            fields[name] = value
        elif isinstance(value, str):
            fields[_DOLLARS[name]] = parse_amount(value, f"{where}: {name}")
        else:
            raise Misused(f'{where}: {name} is {value!r}; dollars are written as text, like "0.02"')
    try:
        return ModelPrice(**fields)
    except ValidationError as error:
        problem = error.errors()[0]
        raise Misused(f"{where}: {'.'.join(map(str, problem['loc']))} {problem['msg']}") from None

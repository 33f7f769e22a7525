"""What live sources saw, on disk for as long as they remember it: a reporter that starts again knows it still."""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, delete, insert, select

from wellhead.database import make_tables, open_database, reading
from wellhead.oracle.sources.live import Key, Look

_METADATA = MetaData()
# One row for each slot, written once, as a fleet's looks end together.
_SLOTS = Table(
    "looks",
    _METADATA,
    Column("slot", Integer, primary_key=True),
    # By source, JSON, compressed: some 150 bytes for a GPU.
    Column("looks", LargeBinary, nullable=False),
)


class LookBook:
    """One reporter's. Blocking; every method raises SQLAlchemyError."""

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy writes it. The table is made where it is missing."""
        self._engine = open_database(url)
        make_tables(self._engine, _METADATA)

    def close(self) -> None:
        """Drop the connections."""
        self._engine.dispose()

    def keep(self, slot: int, looks: Mapping[str, Look], oldest: int) -> None:
        """Add what each source saw in `slot`, and drop what is from before slot `oldest`. If a clock that was set back
        comes to a slot again, the later looks stay."""
        with self._engine.begin() as connection:
            connection.execute(delete(_SLOTS).where((_SLOTS.c.slot < oldest) | (_SLOTS.c.slot == slot)))
            connection.execute(insert(_SLOTS).values(slot=slot, looks=_packed(looks)))

    def kept(self, oldest: int) -> dict[str, list[Look]]:
        """By source, from slot `oldest` on, in order."""
        query = select(_SLOTS).where(_SLOTS.c.slot >= oldest).order_by(_SLOTS.c.slot)
        found: dict[str, list[Look]] = {}
        plain_keys: dict[str, tuple[Any, tuple[Key, ...]]] = {}
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                for source, (took_ms, plain, values, failure, faults) in _unpacked(row.looks).items():
                    before, keys = plain_keys.get(source, (None, ()))
                    if plain != before:  # an exporter that exposes the same need not be read anew
                        keys = tuple((name, tuple(map(tuple, labels))) for name, labels in plain)
                        plain_keys[source] = plain, keys
                    look = Look(row.slot, took_ms, keys, tuple(map(Decimal, values)), failure, tuple(faults))
                    found.setdefault(source, []).append(look)
        return found


def _packed(looks: Mapping[str, Look]) -> bytes:
    plain = {
        source: (look.took_ms, look.keys, list(map(str, look.values)), look.failure, look.faults)
        for source, look in looks.items()
    }
    return zlib.compress(json.dumps(plain).encode(), 1)


def _unpacked(packed: bytes) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(zlib.decompress(packed))
    return found

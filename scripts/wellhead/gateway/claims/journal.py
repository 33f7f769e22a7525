"""What each batch in the outbox claims: written down with it, in the ledger's database beside the channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import (
    Column,
    Connection,
    Engine,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    delete,
    insert,
    select,
)

from wellhead.chain.outbox.journal import Beside, Entry, OutboxJournal, oldest_entry_id
from wellhead.database import Amount, make_tables, reading

_metadata = MetaData()

_rows = Table(
    "batch_rows",
    _metadata,
    Column("entry_id", Integer, primary_key=True, autoincrement=False),
    Column("channel_id", LargeBinary(32), primary_key=True),
    Column("total_claimed", Amount, nullable=False),
    Column("value", Amount, nullable=False),
)


class JournalRow(NamedTuple):
    """What a batch claims of one channel: in all, and how much of that is new."""

    total_claimed: int
    value: int


class Batch(NamedTuple):
    """An entry of the outbox, and what it claims by channel."""

    entry: Entry
    rows: dict[bytes, JournalRow]

    @property
    def value(self) -> int:
        """What it adds, in atomic units of the token."""
        return sum(row.value for row in self.rows.values())


class ClaimJournal:
    """The batches in one account's outbox."""

    def __init__(self, engine: Engine, outbox: OutboxJournal) -> None:
        """`engine` is the database that `outbox` is in. The table is made where it is missing."""
        self._engine, self._outbox = engine, outbox
        make_tables(engine, _metadata)

    @staticmethod
    def beside(rows: Mapping[bytes, JournalRow]) -> Beside:
        """Writes `rows` with the entry that claims them, and forgets those of entries that were forgotten."""

        def write(connection: Connection, entry_id: int) -> None:
            connection.execute(delete(_rows).where(_rows.c.entry_id < oldest_entry_id()))
            connection.execute(
                insert(_rows),
                [{"entry_id": entry_id, "channel_id": one, **row._asdict()} for one, row in rows.items()],
            )

        return write

    def batch(self, entry: Entry) -> Batch:
        """With what it claims."""
        query = select(_rows).where(_rows.c.entry_id == entry.entry_id)
        with reading(self._engine) as connection:
            found = connection.execute(query).all()
        return Batch(entry, {row.channel_id: JournalRow(row.total_claimed, row.value) for row in found})

    def is_any_open(self) -> bool:
        """Whether the chain has yet to decide about one."""
        return bool(self._outbox.open_entries())

    def last_entry_id(self) -> int:
        """The newest batch's, 0 if there is none."""
        return self._outbox.last_entry_id()

    def final_after(self, entry_id: int) -> list[Batch]:
        """Those that count and were opened after that one."""
        return [self.batch(entry) for entry in self._outbox.final_after(entry_id)]

"""Who of several gateways over one database settles: a row that its holder renews, and that runs out without it.

A holder that was held up and comes back too late is stopped where it would sign: the journal proves the lease in
the transaction in which it writes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import uuid4

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    MetaData,
    String,
    Table,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from wellhead.database import make_tables, reading

_metadata = MetaData()

_lease = Table(
    "settler_lease",
    _metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("authorizer", String(42), primary_key=True),
    Column("holder", String(32), nullable=False),
    Column("expires_at", Float, nullable=False),
    # When somebody asked for everything to be claimed; null if nobody waits for that.
    Column("asked_at", Float),
)


class LeaseLostError(RuntimeError):
    """Another gateway settles now: nothing was written."""


class SettlerLease:
    """The lease on what one authorizer may claim on one chain, as one settler sees it."""

    def __init__(self, engine: Engine, clock: Callable[[], float], chain_id: int, authorizer: str) -> None:
        """The table is made where it is missing."""
        self._engine, self._clock = engine, clock
        self._chain_id, self._authorizer = chain_id, authorizer
        self._this = (_lease.c.chain_id == chain_id) & (_lease.c.authorizer == authorizer)
        self._holder = uuid4().hex
        self._held_until = 0.0
        make_tables(engine, _metadata)

    def take(self, seconds: float) -> bool:
        """Whether this settler is the one for the next `seconds`."""
        now = self._clock()
        if self._held_until > now + seconds / 2:
            return True  # nobody can have taken it before then
        values = {"holder": self._holder, "expires_at": now + seconds}
        mine_or_free = (_lease.c.holder == self._holder) | (_lease.c.expires_at <= now)
        if not self._set(mine_or_free, **values) and not self._make(values):
            return False
        self._held_until = now + seconds
        return True

    def _make(self, values: dict[str, Any]) -> bool:
        row = {"chain_id": self._chain_id, "authorizer": self._authorizer, **values}
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_lease).values(row))
        except IntegrityError:  # it is there, and somebody else's
            return False
        return True

    def drop(self) -> None:
        """Let the next one settle at once; harmless if it is another's."""
        self._held_until = 0.0
        self._set(_lease.c.holder == self._holder, expires_at=0.0)

    def prove(self, connection: Connection) -> None:
        """Keep the lease as it is until this transaction is over. Raises LeaseLostError if it is not held."""
        query = select(_lease.c.holder, _lease.c.expires_at).where(self._this)
        row = connection.execute(query.with_for_update()).first()
        if row is None or row.holder != self._holder or row.expires_at <= self._clock():
            raise LeaseLostError("another gateway over this ledger settles now")

    # Asking the holder ------------------------------------------------------------------------------

    def ask_for_everything(self) -> None:
        """Have whoever settles claim everything soon."""
        self._set(asked_at=self._clock())

    def everything_is_asked(self) -> bool:
        """Whether somebody waits for that."""
        with reading(self._engine) as connection:
            return connection.execute(select(_lease.c.asked_at).where(self._this)).scalar() is not None

    def everything_was_tried(self) -> None:
        """Nobody waits any more."""
        self._set(asked_at=None)

    def _set(self, *conditions: Any, **values: Any) -> bool:
        """Whether the row was there and the conditions held."""
        with self._engine.begin() as connection:
            changed = connection.execute(update(_lease).where(self._this, *conditions).values(values))
        return changed.rowcount == 1

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
    create_engine,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError

from wellhead.gateway.ledger import _READING, _tune_sqlite

_metadata = MetaData()

_lease = Table(
    "settler_lease",
    _metadata,
    Column("chain_id", BigInteger, primary_key=True, autoincrement=False),
    Column("holder", String(32), nullable=False),
    Column("expires_at", Float, nullable=False),
    # When somebody asked for everything to be claimed; null if nobody waits for that.
    Column("asked_at", Float),
)


def open_database(url: str) -> Engine:
    """The ledger's database, with connections of the settler's own. `url` as SQLAlchemy writes it."""
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    return engine


def reading(engine: Engine) -> Connection:
    """A connection that only reads: on SQLite it waits for nobody who writes."""
    return engine.connect().execution_options(**{_READING: True})


class LeaseLostError(RuntimeError):
    """Another gateway settles now: nothing was written."""


class SettlerLease:
    """The lease of one chain, as one settler sees it."""

    def __init__(self, engine: Engine, clock: Callable[[], float], chain_id: int) -> None:
        """The table is made where it is missing."""
        self._engine, self._clock = engine, clock
        self._this = _lease.c.chain_id == chain_id
        self._chain_id = chain_id
        self._holder = uuid4().hex
        _metadata.create_all(engine)

    def take(self, seconds: float) -> bool:
        """Whether this settler is the one for the next `seconds`."""
        now = self._clock()
        values = {"holder": self._holder, "expires_at": now + seconds}
        mine_or_free = (_lease.c.holder == self._holder) | (_lease.c.expires_at <= now)
        with self._engine.begin() as connection:
            if (
                connection.execute(update(_lease).where(self._this, mine_or_free).values(values)).rowcount
                == 1
            ):
                return True
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_lease).values(chain_id=self._chain_id, **values))
        except IntegrityError:  # it is there, and somebody else's
            return False
        return True

    def drop(self) -> None:
        """Let the next one settle at once; harmless if it is another's."""
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

    def _set(self, *conditions: Any, **values: Any) -> None:
        with self._engine.begin() as connection:
            connection.execute(update(_lease).where(self._this, *conditions).values(**values))

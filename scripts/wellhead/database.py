"""How a database is opened, and how amounts are kept there: SQLite or PostgreSQL, through SQLAlchemy."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, Engine, MetaData, String, create_engine, event, inspect, text
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.types import TypeDecorator

from wellhead.errors import Misused
from wellhead.reference.channel import MAX_AMOUNT

BACKENDS = ("sqlite", "postgresql")
EXAMPLES = "like sqlite:///gateway.db or postgresql+psycopg://user@host/name"
LOCK_TIMEOUT_SECONDS = 10
# So many of one process may talk to PostgreSQL at once, and a few more that do so now and then.
CONNECTIONS, SPARE_CONNECTIONS = 16, 8
# An answer that took longer does not tell the time well enough.
PROMPT_SECONDS = 0.5
_DIGITS = len(str(MAX_AMOUNT))
_READING = "reading"
_MAKING_TABLES = 0x57454C4C  # what processes that start at once agree to lock


def digits(value: int) -> str:
    """As `Amount` has it."""
    return f"{value:0{_DIGITS}d}"


class Amount(TypeDecorator[int]):
    """An integer below 2^128, which no database has: decimal digits of one length, so that they sort as numbers do."""

    impl = String(_DIGITS)
    cache_ok = True

    def process_bind_param(self, value: int | None, _dialect: Any) -> str | None:
        return None if value is None else digits(value)

    def process_result_value(self, value: str | None, _dialect: Any) -> int | None:
        return None if value is None else int(value)


def parse_url(url: str) -> URL:
    """`url` as SQLAlchemy writes it, of a database of the known kinds. Raises Misused."""
    try:
        parsed = make_url(url)
        parsed.get_dialect().import_dbapi()
    except ImportError as error:
        raise Misused(
            f"the database {url.partition(':')[0]}://… needs the Python package {error.name}, which is not installed"
        ) from None
    except (SQLAlchemyError, ValueError, NotImplementedError):
        raise Misused(f"this is no database URL {EXAMPLES}") from None
    if parsed.get_backend_name() not in BACKENDS:
        raise Misused(f"tables cannot be in {parsed.get_backend_name()}, but in a database {EXAMPLES}")
    return parsed


def open_database(url: str) -> Engine:
    """Connections to the database at `url`. Raises Misused as `parse_url` does."""
    if parse_url(url).get_backend_name() == "postgresql":
        return _open_postgresql(url)
    engine = create_engine(url)
    if engine.dialect.name == "sqlite":
        _tune_sqlite(engine)
    return engine


def make_tables(engine: Engine, tables: MetaData) -> None:
    """Those of `tables` that are missing, and the columns that those lack which an earlier version has made: they may
    be null."""
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(text(f"SELECT pg_advisory_xact_lock({_MAKING_TABLES})"))
        tables.create_all(connection)
        for table in tables.sorted_tables:
            there = {column["name"] for column in inspect(connection).get_columns(table.name)}
            for column in table.columns:
                if column.name not in there:
                    kind = column.type.compile(connection.dialect)
                    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


class DatabaseClock:
    """Seconds since the epoch as a PostgreSQL has them: whoever shares it means the same moment, whatever its own
    machine's clock says. Compare it now and then; between, this machine's steady clock goes on."""

    def __init__(self, engine: Engine, steady: Callable[[], float] = time.monotonic) -> None:
        self._engine, self._steady = engine, steady
        self._ahead_seconds: float | None = None
        self.compare()

    def __call__(self) -> float:
        assert self._ahead_seconds is not None
        return self._steady() + self._ahead_seconds

    def compare(self) -> None:
        """Ask the database."""
        with self._engine.connect() as connection:
            connection.execute(text("SELECT 1"))  # what it takes to connect is not to be counted
            before = self._steady()
            told = connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one()
            after = self._steady()
        if self._ahead_seconds is None or after - before <= PROMPT_SECONDS:
            self._ahead_seconds = float(told) - (before + after) / 2


def clock_of(engine: Engine) -> Callable[[], float]:
    """The clock of all who use the database: of SQLite this machine's, as they are on it."""
    return DatabaseClock(engine) if engine.dialect.name == "postgresql" else time.time


def reading(engine: Engine) -> Connection:
    """A connection that only reads: on SQLite it waits for nobody who writes."""
    return engine.connect().execution_options(**{_READING: True})


def _open_postgresql(url: str) -> Engine:
    """A commit on disk before it counts, and nobody who holds up the others: not by a lock that it waits for, nor by
    one that it keeps when its machine is gone."""
    engine = create_engine(
        url,
        isolation_level="READ COMMITTED",  # what waited for a row reads it as it is then
        pool_size=CONNECTIONS,
        max_overflow=SPARE_CONNECTIONS,
        pool_pre_ping=True,  # a server that was started anew costs no call
    )

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        milliseconds = LOCK_TIMEOUT_SECONDS * 1000
        with connection.cursor() as cursor:
            cursor.execute("SET synchronous_commit = on")
            cursor.execute(f"SET lock_timeout = {milliseconds}")
            cursor.execute(f"SET idle_in_transaction_session_timeout = {milliseconds}")
        connection.commit()

    return engine


def _keep_a_log(cursor: sqlite3.Cursor) -> None:
    """Write-ahead. Of a database that several open for the first time SQLite waits for nobody to do it."""
    deadline = time.monotonic() + LOCK_TIMEOUT_SECONDS
    while True:
        try:
            cursor.execute("PRAGMA journal_mode=WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _tune_sqlite(engine: Engine) -> None:
    """Readers beside one writer, a commit on disk before it counts, and a writer that waits for its turn."""

    @event.listens_for(engine, "connect")
    def configure(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # transactions are begun below, not by the driver's guess
        cursor = connection.cursor()
        cursor.execute(f"PRAGMA busy_timeout={LOCK_TIMEOUT_SECONDS * 1000}")
        _keep_a_log(cursor)
        cursor.execute("PRAGMA synchronous=FULL")
        cursor.close()

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        # SQLite has no row locks: who will write takes the write lock first.
        reads = connection.get_execution_options().get(_READING, False)
        connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")

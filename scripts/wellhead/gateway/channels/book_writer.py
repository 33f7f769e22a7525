"""How a gateway that is alone on its ledger writes it: the books of many channels at once, in SQLite's own words.

Its connection and its statement are kept, as making them anew takes longer than the disk does.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import NamedTuple

from sqlalchemy import Engine, PoolProxiedConnection

from wellhead.database import LOCK_TIMEOUT_SECONDS, digits
from wellhead.gateway.channels import ledger_tables as tables
from wellhead.gateway.channels.book import ChannelAccount


class Change(NamedTuple):
    """A channel's books as they are stored, None if they are not, and as they shall be."""

    channel_id: bytes
    before: ChannelAccount | None
    after: ChannelAccount


class BookWriter:
    """Writes whole books, and looks at none: nobody else may change them. For one thread at a time."""

    def __init__(self, engine: Engine, clock: Callable[[], float]) -> None:
        self._engine, self._clock = engine, clock
        self._connection: PoolProxiedConnection | None = None
        self._wait_seconds = -1  # of the connection

    def has_turn(self) -> bool:
        """Begin the next `store` if that can be done without waiting for somebody who writes; whether it has begun."""
        try:
            self._begin(wait_seconds=0)
        except sqlite3.OperationalError:  # `store` will wait, or say what else is wrong
            return False
        return True

    def store(self, changes: Sequence[Change]) -> None:
        """Write the books of several channels; durable when this returns."""
        now = self._clock()
        try:
            if self._connection is None or not self._connection.in_transaction:
                self._begin(LOCK_TIMEOUT_SECONDS)
            assert self._connection is not None
            cursor = self._connection.cursor()
            charges = [change for change in changes if _is_charge(change)]
            if charges:
                cursor.executemany(tables.CHARGE, [_charged(change, now) for change in charges])
            if len(charges) < len(changes):
                others = [change for change in changes if not _is_charge(change)]
                cursor.executemany(tables.STORE, [_stored(change, now) for change in others])
            cursor.execute("COMMIT")
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Drop the connection; what was not committed is taken back."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.invalidate()  # nobody else shall have it: it does not wait for others

    def _begin(self, wait_seconds: int) -> None:
        if self._connection is None:
            self._connection, self._wait_seconds = self._engine.raw_connection(), -1
        cursor = self._connection.cursor()
        if wait_seconds != self._wait_seconds:
            cursor.execute(f"PRAGMA busy_timeout={1_000 * wait_seconds}")
            self._wait_seconds = wait_seconds
        cursor.execute("BEGIN IMMEDIATE")


def _is_charge(change: Change) -> bool:
    """Whether it is what calls change alone, and something is left to claim."""
    before, after = change.before, change.after
    return before is not None and after.unclaimed > 0 and before.figures == after.figures


def _charged(change: Change, now: float) -> tuple[object, ...]:
    """The values of `tables.CHARGE`."""
    assert change.before is not None
    after = change.after
    since = None if change.before.unclaimed else now
    return digits(after.charged), digits(after.signed_ceiling), after.signature, since, change.channel_id


def _stored(change: Change, now: float) -> tuple[object, ...]:
    """The values of `tables.STORE`."""
    after = change.after
    if change.before is None:
        since: dict[str, float | None] = {"unclaimed_since": now if after.unclaimed else None}
    else:
        since = unclaimed_since(change.before, after, now)
    return (
        change.channel_id,
        *after.config,
        *(digits(after.charged), digits(after.signed_ceiling), after.signature),
        *(digits(after.balance), digits(after.total_claimed), digits(after.refund_nonce)),
        after.withdraw_requested_at,
        *(since.get("unclaimed_since"), not since),
    )


def unclaimed_since(before: ChannelAccount, after: ChannelAccount, now: float) -> dict[str, float | None]:
    """What becomes of `unclaimed_since`; nothing while the same charge is still the oldest."""
    if after.unclaimed == 0:
        return {"unclaimed_since": None}
    if before.unclaimed == 0 or after.total_claimed > before.total_claimed:
        return {"unclaimed_since": now}
    return {}

"""Steps of many calls in one transaction of the ledger, in words that both databases know.

They are given to the driver itself: SQLAlchemy takes longer over a statement than driver and database together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from sqlalchemy import Connection

from wellhead.database import digits
from wellhead.gateway.channels import ledger_tables as tables
from wellhead.gateway.channels.book import NEVER, ChannelAccount
from wellhead.gateway.channels.steps import Batch, HeldElsewhereError, Outcome, Step
from wellhead.reference.channel import ChannelConfig

_CONFIG_END = 1 + len(ChannelConfig._fields)


class OvertakenError(Exception):
    """An admission was dropped, as it had expired by somebody's clock, while its call was ended: nothing may be
    committed. Begin again."""


class StepTransaction:
    """What a transaction that has begun does, up to its commit."""

    def __init__(self, connection: Connection, clock: Callable[[], float]) -> None:
        self._cursor: Any = connection.connection.cursor()
        self._is_postgresql = connection.dialect.name == "postgresql"
        self._clock = clock

    def carry_out(self, steps: Sequence[Step], *, wait: bool) -> list[Outcome]:
        """One outcome per step, of which nobody may be told before the commit. `wait` for channels that somebody else
        has at the moment; else their steps are left, as are those of unknown channels. Raises OvertakenError, and what
        the driver does."""
        rows = self._lock(sorted({step.channel_id for step in steps}), wait=wait)
        # Once they are locked: it is past the moment at which the last one to hold a channel looked.
        now = self._clock()
        batch = self._read(rows, now)
        outcomes = batch.apply(steps)
        self._write(batch, now)
        if wait:
            return outcomes
        return [
            outcome if step.channel_id in batch.before else HeldElsewhereError(step.channel_id.hex())
            for step, outcome in zip(steps, outcomes, strict=True)
        ]

    def _lock(self, channel_ids: Sequence[bytes], *, wait: bool) -> list[Any]:
        """The rows of these channels, which nobody else can change until the commit; in order, so that no two wait for
        each other. SQLite has the whole database locked."""
        among, values = self._among(channel_ids)
        query = tables.STANDING.format(among=among)
        if self._is_postgresql:
            query += " FOR UPDATE" if wait else " FOR UPDATE SKIP LOCKED"
        return list(self._run(query, values).fetchall())

    def _read(self, rows: Iterable[Any], now: float) -> Batch:
        standing = {row[0]: row for row in rows}
        if not standing:
            return Batch({}, {})
        live: dict[str, int] = {}
        reserved, refunding = dict.fromkeys(standing, 0), dict.fromkeys(standing, NEVER)
        among, values = self._among(list(standing))
        beside = self._run(tables.BESIDE.format(among=among), (*values, now, *values))
        for channel_id, admission_id, number in beside.fetchall():
            if admission_id is None:
                refunding[channel_id] = int(number)
            else:
                live[admission_id] = int(number)
                reserved[channel_id] += int(number)
        accounts = {
            channel_id: _account(row, reserved[channel_id], refunding[channel_id])
            for channel_id, row in standing.items()
        }
        return Batch(accounts, live)

    def _write(self, batch: Batch, now: float) -> None:
        if batch.ended:
            among, values = self._among(batch.ended)
            if self._run(tables.END.format(among=among), (*values, now)).rowcount != len(batch.ended):
                raise OvertakenError
        self._run_each(tables.CHARGE, [_charged(*change, now) for change in batch.changed()])
        self._run_each(
            tables.RESERVE,
            [
                (admission.admission_id, admission.channel_id, digits(admission.price), now + seconds)
                for admission, seconds in batch.admitted
            ],
        )

    def _among(self, values: Sequence[object]) -> tuple[str, tuple[object, ...]]:
        """A condition, and its values. PostgreSQL has one text for any number of them, and so one plan."""
        if self._is_postgresql:
            return "= ANY(?)", (list(values),)
        return f"IN ({', '.join('?' * len(values))})", tuple(values)

    def _run(self, query: str, values: Sequence[object]) -> Any:
        return self._cursor.execute(self._worded(query), values)

    def _run_each(self, query: str, rows: Sequence[Sequence[object]]) -> None:
        if len(rows) == 1:
            self._run(query, rows[0])
        elif rows:
            self._cursor.executemany(self._worded(query), rows)

    def _worded(self, query: str) -> str:
        return query.replace("?", "%s") if self._is_postgresql else query


def _account(row: Sequence[Any], reserved: int, refunding: int) -> ChannelAccount:
    """Of a row of `tables.STANDING`."""
    charged, signed_ceiling, signature, balance, total_claimed, refund_nonce, requested_at = row[_CONFIG_END:]
    return ChannelAccount(
        config=ChannelConfig(*row[1:_CONFIG_END]),
        charged=int(charged),
        reserved=reserved,
        signed_ceiling=int(signed_ceiling),
        signature=signature,
        refunding=refunding,
        balance=int(balance),
        total_claimed=int(total_claimed),
        refund_nonce=int(refund_nonce),
        withdraw_requested_at=requested_at,
    )


def _charged(
    channel_id: bytes, before: ChannelAccount, after: ChannelAccount, now: float
) -> tuple[object, ...]:
    """The values of `tables.CHARGE`."""
    since = now if after.unclaimed and not before.unclaimed else None
    return digits(after.charged), digits(after.signed_ceiling), after.signature, since, channel_id

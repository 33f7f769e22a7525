"""The work that members did and customers were charged for, by member and period of the pool.

It decides how the members share what the pool earned, not what anybody pays. So it is counted in memory, after the
charge, and written every second: a gateway that is killed forgets at most the last second of it. Down, as well when
nobody knows whether a commit went through: a member is never counted what nobody paid for.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import Counter
from collections.abc import Callable

from sqlalchemy import BigInteger, Column, Connection, MetaData, String, Table, func, insert, select, update

from wellhead.database import make_tables, open_database, reading
from wellhead.reference.pool_receipt import Receipt

FLUSH_SECONDS = 1.0
_log = logging.getLogger(__name__)

_metadata = MetaData()
_billed = Table(
    "billed_work",
    _metadata,
    Column("chain_id", BigInteger, primary_key=True),
    Column("pool", String(42), primary_key=True),
    Column("member", BigInteger, primary_key=True),
    Column("period", BigInteger, primary_key=True),
    Column("units", BigInteger, nullable=False),
)


class BilledWork:
    """The counters of one pool; several gateways over one database count together. Units are tokens."""

    def __init__(self, url: str, chain_id: int, pool: str, period_now: Callable[[], int]) -> None:
        """`url` as SQLAlchemy writes it. `period_now` is 0 before the pool's first period, which counts for nothing."""
        self._engine = open_database(url)
        make_tables(self._engine, _metadata)
        self._of_pool = (_billed.c.chain_id == chain_id) & (_billed.c.pool == pool)
        self._pool = {"chain_id": chain_id, "pool": pool}
        self._period_now = period_now
        self._counted: Counter[tuple[int, int]] = Counter()
        self._lock = threading.Lock()
        self._flushing = threading.Lock()

    def add(self, member: int, units: int) -> None:
        """A charged call of `units` was served by `member` just now."""
        period = self._period_now()
        if period and units:
            with self._lock:
                self._counted[member, period] += units

    async def run(self) -> None:
        """Write every second until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            try:
                await asyncio.to_thread(self.flush)
            except Exception as error:  # whatever ails the database: the count goes on
                _log.warning("billed work is not written, and kept for later: %s", type(error).__name__)

    def flush(self) -> None:
        """Write what was counted; durable when this returns. What was not written is kept, and the error raised."""
        with self._flushing:
            with self._lock:
                counted, self._counted = self._counted, Counter()
            if not counted:
                return
            committing = False
            try:
                with self._engine.begin() as connection:
                    # In one order, so that nobody locks crosswise.
                    for (member, period), units in sorted(counted.items()):
                        self._write(connection, member, period, units)
                    committing = True
            except BaseException:
                if not committing:
                    with self._lock:
                        self._counted.update(counted)
                raise

    def receipts(self, period: int) -> list[Receipt]:
        """What is to be signed for `period`, of every member with work in it: its counter before and after."""
        before = (
            select(_billed.c.member, func.sum(_billed.c.units))
            .where(self._of_pool, _billed.c.period < period)
            .group_by(_billed.c.member)
        )
        within = (
            select(_billed.c.member, _billed.c.units)
            .where(self._of_pool, _billed.c.period == period)
            .order_by(_billed.c.member)
        )
        with reading(self._engine) as connection:
            start = {member: int(units) for member, units in connection.execute(before)}
            rows = connection.execute(within).all()
        return [
            Receipt(member, period, start.get(member, 0), start.get(member, 0) + units)
            for member, units in rows
        ]

    def close(self) -> None:
        """Write what is left and drop the connections."""
        self.flush()
        self._engine.dispose()

    def _write(self, connection: Connection, member: int, period: int, units: int) -> None:
        row = self._of_pool & (_billed.c.member == member) & (_billed.c.period == period)
        added = connection.execute(update(_billed).where(row).values(units=_billed.c.units + units))
        if added.rowcount == 0:
            # Another gateway may insert it first: then this fails, and the next flush adds.
            connection.execute(
                insert(_billed).values(**self._pool, member=member, period=period, units=units)
            )

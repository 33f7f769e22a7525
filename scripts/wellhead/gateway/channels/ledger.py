"""Where the figures of channels are kept: SQLite beside the gateway, or PostgreSQL under several of them.

Every step reads the channel's row under a lock, applies the rule of `book`, and writes the row, all in one
transaction: no two calls are ever charged on the same ceiling, whichever worker they came to. A step is durable when
it returns. What is reserved dies with a worker: an admission counts until it expires, unless that renews it.
What is held for a refund outlives its worker, as the transaction does: the chain ends it, by moving the refund nonce.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any, NamedTuple, cast
from uuid import uuid4

from sqlalchemy import Connection, Row, delete, insert, literal, select, update
from sqlalchemy.exc import IntegrityError

from wellhead.database import Amount, DatabaseClock, clock_of, make_tables, open_database, reading
from wellhead.gateway.channels import ledger_tables as tables
from wellhead.gateway.channels.book import NEVER, NOTHING, ChannelAccount
from wellhead.gateway.channels.book_writer import BookWriter, unclaimed_since
from wellhead.gateway.channels.step_transaction import OvertakenError, StepTransaction
from wellhead.gateway.channels.steps import (
    Admission,
    Admit,
    Charge,
    Outcome,
    Release,
    Step,
    UnknownChannelError,
)
from wellhead.reference.channel import ChannelConfig, ChannelFigures

__all__ = ["Admission", "Claimable", "Hold", "Ledger", "OpenRefund", "UnknownChannelError"]


class Hold(NamedTuple):
    """A channel that is shut for a refund, and its books as they stay meanwhile."""

    hold_id: str
    channel_id: bytes
    account: ChannelAccount


class OpenRefund(NamedTuple):
    """What a channel is shut for: until the chain's refund nonce is above `nonce`."""

    channel_id: bytes
    nonce: int
    # None for all that is left.
    asked: int | None


class Claimable(NamedTuple):
    """A channel with something to claim, and how long it has waited."""

    channel_id: bytes
    account: ChannelAccount
    unclaimed_since: float


class Ledger:
    """The channels of one gateway, or of several over one database."""

    def __init__(self, url: str, clock: Callable[[], float] | None = None) -> None:
        """`url` as SQLAlchemy writes it. Tables are made where they are missing. `clock` is the database's own, unless
        given."""
        self._engine = open_database(url)
        self._clock = clock = clock or clock_of(self._engine)
        make_tables(self._engine, tables.metadata)
        # For one who is alone on the ledger.
        self.writer = BookWriter(self._engine, clock)

    @property
    def clock(self) -> Callable[[], float]:
        """Seconds, the same for everybody over this database."""
        return self._clock

    def close(self) -> None:
        """Drop the connections."""
        self.writer.close()
        self._engine.dispose()

    # Calls ------------------------------------------------------------------------------------------

    def admit(
        self,
        channel_id: bytes,
        ceiling: int,
        signature: bytes,
        price: int,
        seconds: float,
        *,
        concurrent: bool = False,
    ) -> Admission:
        """Reserve `price` for a call, for `seconds` unless renewed. The signature is the caller's to have checked.

        Raises UnknownChannelError, or AdmissionError as the channel's rules do; then nothing has changed.
        """
        step = Admit(channel_id, ceiling, signature, price, seconds, concurrent)
        return cast(Admission, self._carry_out(step))

    def renew(self, admission_ids: Collection[str], seconds: float) -> None:
        """These calls are under way still, and reserved for `seconds` from now, unless they have expired; what anybody
        left behind is dropped."""
        if isinstance(self._clock, DatabaseClock):
            self._clock.compare()
        now = self._clock()
        name, expires_at = tables.admissions.c.admission_id, tables.admissions.c.expires_at

        def free(condition: Any) -> Any:
            """Those that nobody is about to end: for who holds some of them may wait for nobody, as many are ended at
            once."""
            return name.in_(select(name).where(condition).with_for_update(skip_locked=True))

        under_way = free(name.in_(admission_ids) & (expires_at > now))
        with self._engine.begin() as connection:
            connection.execute(update(tables.admissions).where(under_way).values(expires_at=now + seconds))
            connection.execute(delete(tables.admissions).where(free(expires_at <= now)))

    def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        """The call was served and cost `cost`; the channel after it. Durable when this returns.

        Charging twice, or after the admission expired, raises UnknownChannelError and changes nothing.
        """
        return cast(ChannelAccount, self._carry_out(Charge(admitted, cost)))

    def release(self, admitted: Admission) -> None:
        """The call was not served. Harmless if it expired."""
        self._carry_out(Release(admitted))

    def carry_out(self, steps: Sequence[Step], *, wait: bool = True) -> list[Outcome]:
        """Steps of many calls, in the order in which they came, in one transaction: their outcomes, or the errors of
        those that are refused, as `admit`, `charge` and `release` have them. Durable when this returns.

        Unless it shall `wait` for channels that somebody else has at the moment, their steps are left with a
        HeldElsewhereError. An error of the database is raised, and nothing has changed.
        """
        for _ in range(len(steps) + 1):  # each time, an admission of theirs is gone for good
            with suppress(OvertakenError), self._engine.begin() as connection:
                return StepTransaction(connection, self._clock).carry_out(steps, wait=wait)
        raise AssertionError("more admissions were dropped than there were")

    def drop_admissions(self) -> None:
        """Of a gateway that is alone on its ledger, as it starts: what it had reserved when it stopped is free."""
        with self._engine.begin() as connection:
            connection.execute(delete(tables.admissions))

    # Refunds ----------------------------------------------------------------------------------------

    def hold(self, channel_id: bytes, ceiling: int, asked: int | None = None) -> Hold:
        """Shut the channel for a refund that will be signed, of `asked` or of all that is left: until the refund nonce
        moves, and past this process's end. Raises as `admit` does."""
        with self._locked(channel_id) as (connection, account):
            held = account.hold(ceiling)
            return self._hold(connection, channel_id, held, asked, again=account.is_refunding)

    def keep_hold(
        self, channel_id: bytes, held: ChannelAccount, asked: int | None = None, *, again: bool
    ) -> Hold:
        """Store that the channel is shut, as `held` has it. For one who is alone on the ledger."""
        with self._engine.begin() as connection:
            return self._hold(connection, channel_id, held, asked, again=again)

    def lift(self, hold: Hold) -> bool:
        """The refund was neither sent nor shown to anybody: the channel is open again, unless the hold was asked for
        again. Whether it is."""
        mine = delete(tables.refunds).where(tables.refunds.c.hold_id == hold.hold_id)
        with self._engine.begin() as connection:
            return connection.execute(mine).rowcount == 1

    def refunds(self) -> list[OpenRefund]:
        """What channels are shut for."""
        shut = tables.refunds.c.refund_nonce >= tables.channels.c.refund_nonce
        same = tables.refunds.c.channel_id == tables.channels.c.channel_id
        columns = (tables.refunds.c.channel_id, tables.refunds.c.refund_nonce, tables.refunds.c.asked)
        with reading(self._engine) as connection:
            return [OpenRefund(*row) for row in connection.execute(select(*columns).where(same, shut))]

    # The chain --------------------------------------------------------------------------------------

    def seen(
        self,
        channel_id: bytes,
        config: ChannelConfig,
        figures: ChannelFigures,
        before: ChannelFigures = NOTHING,
    ) -> ChannelAccount:
        """Take over the chain's figures of a channel, new or known, that were read after the books had `before`.

        The channel as it stands then: with newer figures, if somebody else told some since.
        """
        fresh = ChannelAccount(config)
        with suppress(IntegrityError), self._engine.begin() as connection:  # another worker may be first
            if connection.execute(_row(channel_id)).first() is None:
                connection.execute(insert(tables.channels), _values(channel_id, fresh))
        with self._locked(channel_id) as (connection, account):
            known = account.seen(figures, before)
            if known is not account:
                self._write(connection, channel_id, account, known)
        return known

    # Reading ----------------------------------------------------------------------------------------

    def account(self, channel_id: bytes) -> ChannelAccount:
        """The channel as it stands. Raises UnknownChannelError."""
        with reading(self._engine) as connection:
            return self._read(connection, channel_id, _row(channel_id))

    def claimable(self) -> list[Claimable]:
        """Every channel with something to claim, the longest waiting first."""
        waiting = select(tables.channels).where(tables.channels.c.unclaimed_since.is_not(None))
        with reading(self._engine) as connection:
            rows = connection.execute(waiting.order_by(tables.channels.c.unclaimed_since)).all()
        return [Claimable(row.channel_id, _account(row), row.unclaimed_since) for row in rows]

    # Inside -----------------------------------------------------------------------------------------

    def _carry_out(self, step: Step) -> Outcome:
        (outcome,) = self.carry_out([step])
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    @contextmanager
    def _locked(self, channel_id: bytes) -> Iterator[tuple[Connection, ChannelAccount]]:
        """The channel, which nobody else can change until the block is over; committed then, unless it raises."""
        with self._engine.begin() as connection:
            yield connection, self._read(connection, channel_id, _row(channel_id).with_for_update())

    def _read(self, connection: Connection, channel_id: bytes, query: Any) -> ChannelAccount:
        row = connection.execute(query).first()
        if row is None:
            raise UnknownChannelError(channel_id.hex())
        # Asked for once the row is locked: what the last one to hold it has left is seen then.
        live = select(tables.admissions.c.price, literal(NEVER, Amount)).where(
            tables.admissions.c.channel_id == channel_id, tables.admissions.c.expires_at > self._clock()
        )
        held = select(literal(0, Amount), tables.refunds.c.refund_nonce).where(
            tables.refunds.c.channel_id == channel_id
        )
        beside = connection.execute(live.union_all(held)).all()
        return _account(
            row, sum(price for price, _ in beside), max((nonce for _, nonce in beside), default=NEVER)
        )

    def _hold(
        self,
        connection: Connection,
        channel_id: bytes,
        held: ChannelAccount,
        asked: int | None,
        *,
        again: bool,
    ) -> Hold:
        hold = Hold(uuid4().hex, channel_id, held)
        # Who asks again does not know what became of the first refund: that hold nobody may lift.
        stored_id = uuid4().hex if again else hold.hold_id
        row = {
            "channel_id": channel_id,
            "hold_id": stored_id,
            "refund_nonce": held.refunding,
            "asked": asked,
        }
        connection.execute(delete(tables.refunds).where(tables.refunds.c.channel_id == channel_id))
        connection.execute(insert(tables.refunds).values(row))
        return hold

    def _write(
        self, connection: Connection, channel_id: bytes, before: ChannelAccount, after: ChannelAccount
    ) -> None:
        values = {name: getattr(after, name) for name in tables.BOOKS} | unclaimed_since(
            before, after, self._clock()
        )
        connection.execute(
            update(tables.channels).where(tables.channels.c.channel_id == channel_id).values(**values)
        )


def _row(channel_id: bytes) -> Any:
    return select(tables.channels).where(tables.channels.c.channel_id == channel_id)


def _values(channel_id: bytes, account: ChannelAccount) -> dict[str, Any]:
    """The whole row of a channel that is new."""
    books = {name: getattr(account, name) for name in tables.BOOKS}
    return {**account.config._asdict(), **books, "channel_id": channel_id}


def _account(row: Row[Any], reserved: int = 0, refunding: int = NEVER) -> ChannelAccount:
    return ChannelAccount(
        config=ChannelConfig(*(getattr(row, name) for name in ChannelConfig._fields)),
        reserved=reserved,
        refunding=refunding,
        **{name: getattr(row, name) for name in tables.BOOKS},
    )

"""What one account has signed, written down before it is sent.

An entry is one call. It is open from its first signature until the chain has decided about it. Each of its
transactions carries the same nonce, so at most one of them is ever mined.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Engine,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    delete,
    func,
    insert,
    select,
    update,
)

from wellhead.chain.outbox.fees import Fees
from wellhead.database import Amount, make_tables, reading
from wellhead.errors import Refused

OPEN, FINAL, REVERTED, DROPPED = "open", "final", "reverted", "dropped"
KEPT_SECONDS = 30 * 86_400

# Raises if this process may not write; called in the transaction that would.
Guard = Callable[[Connection], None]
# Writes what belongs to the entry of that id, in the transaction that writes the entry.
Beside = Callable[[Connection, int], None]

_metadata = MetaData()

_entries = Table(
    "outbox_entries",
    _metadata,
    Column("entry_id", Integer, primary_key=True, autoincrement=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("sender", String(42), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("receiver", String(42), nullable=False),
    Column("calldata", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    # What it is for, in its caller's words.
    Column("subject", Text, nullable=False),
    # The chain's time from which it is pushed harder; null if nothing presses.
    Column("urgent_at", BigInteger),
    Column("state", String(8), nullable=False),
    Column("opened_at", Float, nullable=False),
    # The block that decided; null while open, and if none ever did.
    Column("block", BigInteger),
    sqlite_autoincrement=True,  # an id that was forgotten is not given again
)

_transactions = Table(
    "outbox_transactions",
    _metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("entry_id", Integer, nullable=False, index=True),
    Column("raw", LargeBinary, nullable=False),
    Column("max_fee_wei", Amount, nullable=False),
    Column("priority_fee_wei", Amount, nullable=False),
    Column("signed_at", Float, nullable=False),
)


class Call(NamedTuple):
    """What is to be done: a call of the contract at `to` with so much gas."""

    to: str
    calldata: bytes
    gas: int
    subject: str
    urgent_at: int | None = None


class Signed(NamedTuple):
    """A signed transaction."""

    hash: bytes
    raw: bytes
    fees: Fees
    signed_at: float


class Entry(NamedTuple):
    """A call as it was written down; `transactions` are its competing ones, the oldest first."""

    entry_id: int
    nonce: int
    call: Call
    state: str
    transactions: list[Signed]

    @property
    def newest(self) -> Signed:
        """The transaction that is brought now."""
        return self.transactions[-1]


def _unguarded(_connection: Connection) -> None:
    """Nobody else has the key."""


def nothing_beside(_connection: Connection, _entry_id: int) -> None:
    """The entry is all there is to write."""


class OutboxJournal:
    """The entries of one account on one chain."""

    def __init__(
        self,
        engine: Engine,
        clock: Callable[[], float],
        chain_id: int,
        sender: str,
        guard: Guard = _unguarded,
    ) -> None:
        """Tables are made where they are missing. Whatever is signed is written under `guard`."""
        self._engine, self._clock, self._guard = engine, clock, guard
        self._chain_id, self._sender = chain_id, sender
        make_tables(engine, _metadata)

    # Writing ----------------------------------------------------------------------------------------

    def open(self, nonce: int, call: Call, signed: Signed, beside: Beside = nothing_beside) -> Entry:
        """Write down a call and its first transaction. Raises Refused if another is open, and what the guard raises.

        What was decided long ago is forgotten on this occasion.
        """
        with self._engine.begin() as connection:
            self._guard(connection)
            self._refuse_second(connection, call)
            self._prune(connection)
            written = connection.execute(
                insert(_entries).values(
                    chain_id=self._chain_id,
                    sender=self._sender,
                    nonce=nonce,
                    receiver=call.to,
                    calldata=call.calldata,
                    gas=call.gas,
                    subject=call.subject,
                    urgent_at=call.urgent_at,
                    state=OPEN,
                    opened_at=self._clock(),
                )
            )
            key = written.inserted_primary_key
            assert key is not None
            entry_id = int(key[0])
            connection.execute(insert(_transactions).values(_values(entry_id, signed)))
            beside(connection, entry_id)
        return Entry(entry_id, nonce, call, OPEN, [signed])

    def replace(self, entry: Entry, signed: Signed) -> Entry:
        """Write down another transaction of the entry's nonce; the entry with it. Raises what the guard raises."""
        with self._engine.begin() as connection:
            self._guard(connection)
            connection.execute(insert(_transactions).values(_values(entry.entry_id, signed)))
        return entry._replace(transactions=[*entry.transactions, signed])

    def close(self, entry: Entry, state: str, block: int | None = None) -> None:
        """The chain has decided about it, in `block` if in one."""
        self._set_state(entry, state, block)

    def reopen(self, entry: Entry) -> None:
        """The chain has taken its decision back."""
        self._set_state(entry, OPEN, None)

    def _set_state(self, entry: Entry, state: str, block: int | None) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                update(_entries).where(_entries.c.entry_id == entry.entry_id).values(state=state, block=block)
            )

    def _refuse_second(self, connection: Connection, call: Call) -> None:
        open_one = select(_entries.c.subject, _entries.c.nonce).where(self._ours(), _entries.c.state == OPEN)
        found = connection.execute(open_one).first()
        if found is not None:
            raise Refused(
                f"{call.subject} has to wait: {found.subject} is under way with nonce {found.nonce}, one goes at a time"
            )

    def _prune(self, connection: Connection) -> None:
        old = select(_entries.c.entry_id).where(
            _entries.c.state != OPEN, _entries.c.opened_at < self._clock() - KEPT_SECONDS
        )
        for table in (_transactions, _entries):
            connection.execute(delete(table).where(table.c.entry_id.in_(old)))

    # Reading ----------------------------------------------------------------------------------------

    def open_entries(self) -> list[Entry]:
        """Those that the chain has not decided about yet, the lowest nonce first. More than one only after a
        reorganisation."""
        return self._find(_entries.c.state == OPEN)

    def is_open(self, subject: str) -> bool:
        """Whether one for this subject is among them."""
        query = select(_entries.c.entry_id).where(
            self._ours(), _entries.c.state == OPEN, _entries.c.subject == subject
        )
        with reading(self._engine) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def final_since(self, block: int) -> list[Entry]:
        """Those that were mined after `block`, the lowest nonce first."""
        return self._find(_entries.c.state == FINAL, _entries.c.block > block)

    def final_after(self, entry_id: int) -> list[Entry]:
        """Those that count and were opened after that one."""
        return self._find(_entries.c.state == FINAL, _entries.c.entry_id > entry_id)

    def last_entry_id(self) -> int:
        """The newest entry's, 0 if there is none."""
        return self._greatest(_entries.c.entry_id)

    def newest_block(self) -> int:
        """The newest that decided about one of them, 0 if none ever did."""
        return self._greatest(_entries.c.block)

    def signed_at(self, nonce: int) -> list[Signed]:
        """Whatever was ever signed with this nonce, in entries of any state."""
        return [one for entry in self._find(_entries.c.nonce == nonce) for one in entry.transactions]

    def _ours(self) -> Any:
        return (_entries.c.chain_id == self._chain_id) & (_entries.c.sender == self._sender)

    def _greatest(self, column: Column[int]) -> int:
        with reading(self._engine) as connection:
            return connection.execute(select(func.max(column)).where(self._ours())).scalar() or 0

    def _find(self, *conditions: Any) -> list[Entry]:
        query = select(_entries).where(self._ours(), *conditions)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(_entries.c.nonce, _entries.c.entry_id)).all()
            return [self._read(connection, row) for row in found]

    @staticmethod
    def _read(connection: Connection, row: Any) -> Entry:
        sent = select(_transactions).where(_transactions.c.entry_id == row.entry_id)
        transactions = connection.execute(sent.order_by(_transactions.c.max_fee_wei)).all()
        return Entry(
            row.entry_id,
            row.nonce,
            Call(row.receiver, row.calldata, row.gas, row.subject, row.urgent_at),
            row.state,
            [
                Signed(one.hash, one.raw, Fees(one.max_fee_wei, one.priority_fee_wei), one.signed_at)
                for one in transactions
            ],
        )


def oldest_entry_id() -> Any:
    """Of all that are kept, as a query: what belongs to entries before it belongs to nobody any more."""
    return select(func.min(_entries.c.entry_id)).scalar_subquery()


def _values(entry_id: int, signed: Signed) -> dict[str, Any]:
    values = {"entry_id": entry_id, "hash": signed.hash, "raw": signed.raw, "signed_at": signed.signed_at}
    return {**values, **signed.fees._asdict()}

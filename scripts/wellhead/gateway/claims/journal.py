"""What the settler has signed, written down before it is sent: in the ledger's database, beside the channels.

A batch is open from its first signature until the chain has decided about it; at most one is. Each of its
transactions carries the same nonce, so at most one of them is ever mined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    delete,
    insert,
    select,
    update,
)

from wellhead.database import Amount, make_tables, reading
from wellhead.gateway.claims.fees import Fees
from wellhead.gateway.claims.lease import SettlerLease

OPEN, FINAL, REVERTED, DROPPED = "open", "final", "reverted", "dropped"
KEPT_SECONDS = 30 * 86_400

_metadata = MetaData()

_batches = Table(
    "claim_batches",
    _metadata,
    Column("batch_id", Integer, primary_key=True, autoincrement=True),
    Column("chain_id", BigInteger, nullable=False),
    Column("sender", String(42), nullable=False),
    Column("nonce", BigInteger, nullable=False),
    Column("calldata", LargeBinary, nullable=False),
    Column("gas", BigInteger, nullable=False),
    # The chain's time from which it is pushed harder; null if nothing presses.
    Column("urgent_at", BigInteger),
    Column("state", String(8), nullable=False),
    Column("opened_at", Float, nullable=False),
    # The block that decided; null while open, and if none ever did.
    Column("block", BigInteger),
)

_rows = Table(
    "claim_rows",
    _metadata,
    Column("batch_id", Integer, primary_key=True),
    Column("channel_id", LargeBinary(32), primary_key=True),
    Column("total_claimed", Amount, nullable=False),
    Column("value", Amount, nullable=False),
)

_transactions = Table(
    "claim_transactions",
    _metadata,
    Column("hash", LargeBinary(32), primary_key=True),
    Column("batch_id", Integer, nullable=False, index=True),
    Column("raw", LargeBinary, nullable=False),
    Column("max_fee_wei", Amount, nullable=False),
    Column("priority_fee_wei", Amount, nullable=False),
    Column("signed_at", Float, nullable=False),
)


class Signed(NamedTuple):
    """A signed transaction."""

    hash: bytes
    raw: bytes
    fees: Fees
    signed_at: float


class JournalRow(NamedTuple):
    """What a batch claims of one channel: in all, and how much of that is new."""

    total_claimed: int
    value: int


class Batch(NamedTuple):
    """A batch as it was written down; `transactions` are its competing ones, the oldest first."""

    batch_id: int
    nonce: int
    calldata: bytes
    gas: int
    urgent_at: int | None
    state: str
    rows: dict[bytes, JournalRow]
    transactions: list[Signed]

    @property
    def value(self) -> int:
        """What it adds, in atomic units of the token."""
        return sum(row.value for row in self.rows.values())


class ClaimJournal:
    """The batches of one account on one chain."""

    def __init__(
        self, engine: Engine, clock: Callable[[], float], chain_id: int, sender: str, lease: SettlerLease
    ) -> None:
        """Tables are made where they are missing. Whatever is signed is written under `lease`."""
        self._engine, self._clock, self._lease = engine, clock, lease
        self._chain_id, self._sender = chain_id, sender
        make_tables(engine, _metadata)

    # Writing ----------------------------------------------------------------------------------------

    def open(
        self,
        nonce: int,
        calldata: bytes,
        gas: int,
        urgent_at: int | None,
        rows: Mapping[bytes, JournalRow],
        signed: Signed,
    ) -> Batch:
        """Write down a batch and its first transaction. Raises LeaseLostError.

        What was decided long ago is forgotten on this occasion.
        """
        with self._engine.begin() as connection:
            self._lease.prove(connection)
            self._prune(connection)
            written = connection.execute(
                insert(_batches).values(
                    chain_id=self._chain_id,
                    sender=self._sender,
                    nonce=nonce,
                    calldata=calldata,
                    gas=gas,
                    urgent_at=urgent_at,
                    state=OPEN,
                    opened_at=self._clock(),
                )
            )
            key = written.inserted_primary_key
            assert key is not None
            batch_id = int(key[0])
            connection.execute(
                insert(_rows),
                [{"batch_id": batch_id, "channel_id": one, **row._asdict()} for one, row in rows.items()],
            )
            connection.execute(insert(_transactions).values(_values(batch_id, signed)))
        return Batch(batch_id, nonce, calldata, gas, urgent_at, OPEN, dict(rows), [signed])

    def replace(self, batch: Batch, signed: Signed) -> Batch:
        """Write down another transaction of the batch's nonce; the batch with it. Raises LeaseLostError."""
        with self._engine.begin() as connection:
            self._lease.prove(connection)
            connection.execute(insert(_transactions).values(_values(batch.batch_id, signed)))
        return batch._replace(transactions=[*batch.transactions, signed])

    def close(self, batch: Batch, state: str, block: int | None = None) -> None:
        """The chain has decided about it, in `block` if in one."""
        self._set_state(batch, state, block)

    def reopen(self, batch: Batch) -> None:
        """The chain has taken its decision back."""
        self._set_state(batch, OPEN, None)

    def _set_state(self, batch: Batch, state: str, block: int | None) -> None:
        with self._engine.begin() as connection:
            connection.execute(
                update(_batches).where(_batches.c.batch_id == batch.batch_id).values(state=state, block=block)
            )

    def _prune(self, connection: Connection) -> None:
        old = select(_batches.c.batch_id).where(
            _batches.c.state != OPEN, _batches.c.opened_at < self._clock() - KEPT_SECONDS
        )
        for table in (_rows, _transactions, _batches):
            connection.execute(delete(table).where(table.c.batch_id.in_(old)))

    # Reading ----------------------------------------------------------------------------------------

    def open_batch(self) -> Batch | None:
        """The one that the chain has not decided about yet."""
        return next(iter(self._find(_batches.c.state == OPEN)), None)

    def final_since(self, block: int) -> list[Batch]:
        """Those that were mined after `block`, the lowest nonce first."""
        return self._find(_batches.c.state == FINAL, _batches.c.block > block)

    def final_from_nonce(self, nonce: int) -> list[Batch]:
        """Those that were mined with this nonce or a later one, the lowest first."""
        return self._find(_batches.c.state == FINAL, _batches.c.nonce >= nonce)

    def opened_after(self, batch_id: int) -> list[Batch]:
        """Those opened after that one."""
        return self._find(_batches.c.batch_id > batch_id)

    def last_batch_id(self) -> int:
        """The newest batch's, 0 if there is none."""
        with reading(self._engine) as connection:
            query = select(_batches.c.batch_id).order_by(_batches.c.batch_id.desc()).limit(1)
            return connection.execute(query).scalar() or 0

    def signed_at(self, nonce: int) -> list[Signed]:
        """Whatever was ever signed with this nonce, in batches of any state."""
        return [one for batch in self._find(_batches.c.nonce == nonce) for one in batch.transactions]

    def _ours(self) -> Any:
        return (_batches.c.chain_id == self._chain_id) & (_batches.c.sender == self._sender)

    def _find(self, *conditions: Any) -> list[Batch]:
        query = select(_batches).where(self._ours(), *conditions)
        with reading(self._engine) as connection:
            found = connection.execute(query.order_by(_batches.c.nonce, _batches.c.batch_id)).all()
            return [self._read(connection, row) for row in found]

    @staticmethod
    def _read(connection: Connection, row: Any) -> Batch:
        claimed = connection.execute(select(_rows).where(_rows.c.batch_id == row.batch_id))
        sent = select(_transactions).where(_transactions.c.batch_id == row.batch_id)
        transactions = connection.execute(sent.order_by(_transactions.c.max_fee_wei)).all()
        return Batch(
            row.batch_id,
            row.nonce,
            row.calldata,
            row.gas,
            row.urgent_at,
            row.state,
            {one.channel_id: JournalRow(one.total_claimed, one.value) for one in claimed},
            [
                Signed(one.hash, one.raw, Fees(one.max_fee_wei, one.priority_fee_wei), one.signed_at)
                for one in transactions
            ],
        )


def _values(batch_id: int, signed: Signed) -> dict[str, Any]:
    values = {"batch_id": batch_id, "hash": signed.hash, "raw": signed.raw, "signed_at": signed.signed_at}
    return {**values, **signed.fees._asdict()}

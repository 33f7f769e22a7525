"""The ledger's tables, and how the books of many channels are written at once."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
)

from wellhead.database import Amount
from wellhead.reference.channel import ChannelConfig

metadata = MetaData()

channels = Table(
    "channels",
    metadata,
    Column("channel_id", LargeBinary(32), primary_key=True),
    Column("payer", String(42), nullable=False),
    Column("payer_authorizer", String(42), nullable=False),
    Column("receiver", String(42), nullable=False),
    Column("receiver_authorizer", String(42), nullable=False),
    Column("token", String(42), nullable=False),
    Column("withdraw_delay", Integer, nullable=False),
    Column("salt", LargeBinary(32), nullable=False),
    Column("charged", Amount, nullable=False),
    Column("signed_ceiling", Amount, nullable=False),
    Column("signature", LargeBinary(65), nullable=False),
    Column("balance", Amount, nullable=False),
    Column("total_claimed", Amount, nullable=False),
    Column("refund_nonce", Amount, nullable=False),
    Column("withdraw_requested_at", BigInteger, nullable=False),
    # When the oldest charge that is not claimed yet was made, by the ledger's clock; null if none is.
    Column("unclaimed_since", Float),
    sqlite_with_rowid=False,
)

admissions = Table(
    "admissions",
    metadata,
    Column("admission_id", String(32), primary_key=True),
    Column("channel_id", LargeBinary(32), nullable=False, index=True),
    Column("price", Amount, nullable=False),
    Column("expires_at", Float, nullable=False),
)

# Channels that are shut for a refund: for as long as the chain's refund nonce is not above this one.
refunds = Table(
    "refunds",
    metadata,
    Column("channel_id", LargeBinary(32), primary_key=True),
    Column("hold_id", String(32), nullable=False),
    Column("refund_nonce", Amount, nullable=False),
    # Null for all that is left.
    Column("asked", Amount),
)

BOOKS = (
    *("charged", "signed_ceiling", "signature"),
    *("balance", "total_claimed", "refund_nonce", "withdraw_requested_at"),
)

# In the databases' own words, since SQLAlchemy takes longer over a statement than the disk does; PostgreSQL's driver
# has %s for ?. `CHARGE` is for what calls change; its values are those of its columns, then when the charge was made if
# it is the oldest that is not claimed, else null, then the channel. `STORE`, SQLite's alone, has one row of `channels`
# with its columns in order, then whether `unclaimed_since` stays as it was.
CHARGE = (
    "UPDATE channels SET charged = ?, signed_ceiling = ?, signature = ?, "
    "unclaimed_since = coalesce(?, unclaimed_since) WHERE channel_id = ?"
)
STORE = (
    f"INSERT INTO channels ({', '.join(channels.columns.keys())}) "
    f"VALUES ({', '.join('?' for _ in channels.columns)}) ON CONFLICT (channel_id) DO UPDATE SET "
    + "".join(f"{name} = excluded.{name}, " for name in BOOKS)
    + "unclaimed_since = iif(?, channels.unclaimed_since, excluded.unclaimed_since)"
)
# What is `among` some values. `BESIDE` has the prices of admissions by name, and refund nonces without one.
STANDING = (
    f"SELECT {', '.join(('channel_id', *ChannelConfig._fields, *BOOKS))} FROM channels "
    "WHERE channel_id {among} ORDER BY channel_id"
)
BESIDE = (
    "SELECT channel_id, admission_id, price FROM admissions WHERE channel_id {among} AND expires_at > ? "
    "UNION ALL SELECT channel_id, NULL, refund_nonce FROM refunds WHERE channel_id {among}"
)
RESERVE = "INSERT INTO admissions (admission_id, channel_id, price, expires_at) VALUES (?, ?, ?, ?)"
END = "DELETE FROM admissions WHERE admission_id {among} AND expires_at > ?"

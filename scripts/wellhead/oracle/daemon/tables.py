"""How a reporter's books are laid out."""

from __future__ import annotations

from sqlalchemy import Column, Integer, LargeBinary, MetaData, String, Table, Text

METADATA = MetaData()

SEALED = Table(
    "sealed_rounds",
    METADATA,
    Column("config_digest", LargeBinary(32), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("since", Integer, nullable=False),
    # The reveal, as it is or will be said.
    Column("reveal", LargeBinary, nullable=False),
    # Energy below a watt-hour, by node, that this reporter counts with the next window.
    Column("remainders", Text, nullable=False),
)

LETTERS = Table(
    "letters",
    METADATA,
    Column("letter_id", Integer, primary_key=True, autoincrement=True),
    Column("config_digest", LargeBinary(32), nullable=False),
    Column("round", Integer, nullable=False, index=True),
    Column("kind", String(8), nullable=False),
    Column("reporter", String(42), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)

# What a reporter took for committed in time when it revealed.
FROZEN = Table(
    "frozen_rounds",
    METADATA,
    Column("config_digest", LargeBinary(32), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("commitments", Text, nullable=False),
)

EVIDENCE = Table(
    "evidence",
    METADATA,
    Column("round", Integer, primary_key=True),
    Column("node", Integer, primary_key=True),
    Column("hash", LargeBinary(32), nullable=False),
    # Questions and raw answers, compressed.
    Column("exhibits", LargeBinary, nullable=False),
)

AGREED = Table(
    "agreed_reports",
    METADATA,
    Column("config_digest", LargeBinary(32), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("since", Integer, nullable=False),
    Column("root", LargeBinary(23), nullable=False),
    Column("evidence_hash", LargeBinary(32), nullable=False),
    Column("entries", LargeBinary, nullable=False),
    Column("signatures", LargeBinary, nullable=False),
    Column("leader", String(42), nullable=False),
)

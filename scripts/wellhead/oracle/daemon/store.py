"""What a reporter has seen and said, written down before it is said: SQLite beside the daemon.

A round that was sealed is never sealed again: a reporter that starts anew says the same as before, or nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    Column,
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
)
from sqlalchemy.exc import IntegrityError

from wellhead.database import make_tables, open_database, reading
from wellhead.oracle.exchange.messages import Kind, Message
from wellhead.oracle.pushing import MAX_REPORTED
from wellhead.reference.record import ENTRY_BYTES

# Of those who said two things.
MAX_SHOWN = 100

_metadata = MetaData()

_sealed = Table(
    "sealed_rounds",
    _metadata,
    Column("config_digest", LargeBinary(32), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("since", Integer, nullable=False),
    # The reveal, as it is or will be said.
    Column("reveal", LargeBinary, nullable=False),
    # Energy below a watt-hour, by node, that this reporter counts with the next window.
    Column("remainders", Text, nullable=False),
)

_letters = Table(
    "letters",
    _metadata,
    Column("letter_id", Integer, primary_key=True, autoincrement=True),
    Column("config_digest", LargeBinary(32), nullable=False),
    Column("round", Integer, nullable=False, index=True),
    Column("kind", String(8), nullable=False),
    Column("reporter", String(42), nullable=False),
    Column("body", LargeBinary, nullable=False),
    Column("signature", LargeBinary(64), nullable=False),
)

# What a reporter took for committed in time when it revealed.
_frozen = Table(
    "frozen_rounds",
    _metadata,
    Column("config_digest", LargeBinary(32), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("commitments", Text, nullable=False),
)

_evidence = Table(
    "evidence",
    _metadata,
    Column("round", Integer, primary_key=True),
    Column("node", Integer, primary_key=True),
    Column("hash", LargeBinary(32), nullable=False),
    # Questions and raw answers, compressed.
    Column("exhibits", LargeBinary, nullable=False),
)

_agreed = Table(
    "agreed_reports",
    _metadata,
    Column("config_digest", LargeBinary(32), primary_key=True),
    Column("round", Integer, primary_key=True),
    Column("since", Integer, nullable=False),
    Column("root", LargeBinary(23), nullable=False),
    Column("evidence_hash", LargeBinary(32), nullable=False),
    Column("entries", LargeBinary, nullable=False),
    Column("signatures", LargeBinary, nullable=False),
    Column("leader", String(42), nullable=False),
)


class Sealed(NamedTuple):
    """What this reporter saw up to a round's end, since round `since`."""

    since: int
    reveal: bytes
    remainders: dict[int, int]


class Equivocation(NamedTuple):
    """A reporter that committed to two things in one round, and their hashes."""

    round: int
    reporter: str
    first: bytes
    second: bytes


class StoredReport(NamedTuple):
    """A report that had its quorum, going on from round `since`. `entries` are the packed records of all its nodes."""

    round: int
    since: int
    root: bytes
    evidence_hash: bytes
    entries: bytes
    signatures: bytes
    leader: str

    @property
    def pushed(self) -> bytes:
        """The entries that the report carries: all, unless there are too many for one."""
        return self.entries if len(self.entries) <= MAX_REPORTED * ENTRY_BYTES else b""


class ReporterStore:
    """One reporter's own books."""

    def __init__(self, url: str) -> None:
        """`url` as SQLAlchemy writes it. Tables are made where they are missing."""
        self._engine = open_database(url)
        make_tables(self._engine, _metadata)

    @property
    def engine(self) -> Any:
        """For what else is kept in the same database."""
        return self._engine

    def close(self) -> None:
        """Drop the connections."""
        self._engine.dispose()

    # Sealing ----------------------------------------------------------------------------------------

    def sealed(self, config_digest: bytes, round_number: int) -> Sealed | None:
        """What was sealed for that round, if it was."""
        this = (_sealed.c.config_digest == config_digest) & (_sealed.c.round == round_number)
        with reading(self._engine) as connection:
            row = connection.execute(select(_sealed).where(this)).first()
        return None if row is None else Sealed(row.since, row.reveal, _numbers(row.remainders))

    def seal(
        self,
        config_digest: bytes,
        round_number: int,
        sealed: Sealed,
        evidence: Mapping[int, tuple[bytes, bytes]],
    ) -> None:
        """Keep it with its evidence (by node: hash, exhibits), in one step. Raises SQLAlchemyError, also when the round
        was sealed before."""
        with self._engine.begin() as connection:
            connection.execute(
                insert(_sealed).values(
                    config_digest=config_digest,
                    round=round_number,
                    since=sealed.since,
                    reveal=sealed.reveal,
                    remainders=json.dumps(sealed.remainders),
                )
            )
            connection.execute(delete(_evidence).where(_evidence.c.round == round_number))
            if evidence:
                connection.execute(
                    insert(_evidence),
                    [
                        {
                            "round": round_number,
                            "node": node,
                            "hash": digest,
                            "exhibits": zlib.compress(exhibits),
                        }
                        for node, (digest, exhibits) in evidence.items()
                    ],
                )

    def remainders(self, since: int) -> dict[int, int]:
        """Microjoules below a watt-hour that were left over at the end of round `since`, by node."""
        query = select(_sealed.c.remainders).where(_sealed.c.round == since)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return {} if row is None else _numbers(row.remainders)

    def evidence(self, round_number: int, node: int) -> tuple[bytes, bytes] | None:
        """The hash of what was kept for a node in a round, and its exhibits."""
        this = (_evidence.c.round == round_number) & (_evidence.c.node == node)
        with reading(self._engine) as connection:
            row = connection.execute(select(_evidence).where(this)).first()
        return None if row is None else (row.hash, zlib.decompress(row.exhibits))

    def evidence_hashes(self, round_number: int) -> dict[int, bytes]:
        """Of every node in a round."""
        query = select(_evidence.c.node, _evidence.c.hash).where(_evidence.c.round == round_number)
        with reading(self._engine) as connection:
            return {row.node: row.hash for row in connection.execute(query)}

    # Letters ----------------------------------------------------------------------------------------

    def keep(self, message: Message) -> None:
        """See Letters."""
        values = {**message._asdict(), "kind": message.kind.value}
        with self._engine.begin() as connection:
            connection.execute(insert(_letters).values(values))

    def kept(self, config_digest: bytes, round_number: int) -> Iterable[Message]:
        """See Letters."""
        query = select(_letters).where(
            _letters.c.round == round_number, _letters.c.config_digest == config_digest
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_letters.c.letter_id)).all()
        return [
            Message(Kind(row.kind), row.config_digest, row.round, row.reporter, row.body, row.signature)
            for row in rows
        ]

    def freeze(self, config_digest: bytes, round_number: int, frozen: Mapping[str, bytes]) -> None:
        """See Letters. Raises SQLAlchemyError, also when the round was frozen before."""
        commitments = json.dumps({reporter: one.hex() for reporter, one in frozen.items()})
        with self._engine.begin() as connection:
            connection.execute(
                insert(_frozen).values(
                    config_digest=config_digest, round=round_number, commitments=commitments
                )
            )

    def frozen(self, config_digest: bytes, round_number: int) -> dict[str, bytes] | None:
        """See Letters."""
        this = (_frozen.c.config_digest == config_digest) & (_frozen.c.round == round_number)
        with reading(self._engine) as connection:
            row = connection.execute(select(_frozen.c.commitments).where(this)).first()
        if row is None:
            return None
        return {reporter: bytes.fromhex(one) for reporter, one in json.loads(row.commitments).items()}

    def equivocations(self) -> list[Equivocation]:
        """Who committed to two things, the newest round first; see `kept` for the letters that prove it."""
        said = (_letters.c.config_digest, _letters.c.round, _letters.c.reporter)
        first, second = func.min(_letters.c.body), func.max(_letters.c.body)
        query = (
            select(_letters.c.round, _letters.c.reporter, first.label("first"), second.label("second"))
            .where(_letters.c.kind == Kind.COMMIT.value)
            .group_by(*said)
            .having(first != second)
            .order_by(_letters.c.round.desc(), _letters.c.reporter)
            .limit(MAX_SHOWN)
        )
        with reading(self._engine) as connection:
            return [Equivocation(*row) for row in connection.execute(query).all()]

    # Reports ----------------------------------------------------------------------------------------

    def agree(self, config_digest: bytes, report: StoredReport) -> None:
        """Keep a report; harmless if one of that round is kept already."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(_agreed).values(config_digest=config_digest, **report._asdict()))
        except IntegrityError:
            return

    def agreed(self, config_digest: bytes, round_number: int) -> StoredReport | None:
        """The report of that round under that configuration, if there was one here."""
        return self._report(_agreed.c.config_digest == config_digest, _agreed.c.round == round_number)

    def agreed_with_root(self, round_number: int, root: bytes) -> StoredReport | None:
        """The report of that round with that root, if there was one here."""
        return self._report(_agreed.c.round == round_number, _agreed.c.root == root)

    def _report(self, *conditions: Any) -> StoredReport | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(_agreed).where(*conditions)).first()
        if row is None:
            return None
        return StoredReport(
            row.round, row.since, row.root, row.evidence_hash, row.entries, row.signatures, row.leader
        )

    def forget_before(self, round_number: int, reveals_before: int = 0) -> None:
        """Drop what belongs to earlier rounds: letters, evidence, what was sealed and agreed; others' reveals, that a
        liar can make large, sooner if told so."""
        with self._engine.begin() as connection:
            revealed = _letters.c.kind == Kind.REVEAL.value
            connection.execute(delete(_letters).where(revealed, _letters.c.round < reveals_before))
            for table in (_sealed, _letters, _frozen, _evidence, _agreed):
                connection.execute(delete(table).where(table.c.round < round_number))


def _numbers(text: str) -> dict[int, int]:
    return {int(node): value for node, value in json.loads(text).items()}

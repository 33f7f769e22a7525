"""What a reporter has seen and said, written down before it is said: SQLite beside the daemon.

A round that was sealed is never sealed again: a reporter that starts anew says the same as before, or nothing.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import (
    delete,
    func,
    insert,
    select,
)
from sqlalchemy.exc import IntegrityError

from wellhead.database import make_tables, open_database, reading
from wellhead.oracle.daemon.tables import AGREED, EVIDENCE, FROZEN, LETTERS, METADATA, SEALED
from wellhead.oracle.exchange.messages import Kind, Message
from wellhead.oracle.pushing import MAX_REPORTED
from wellhead.reference.record import ENTRY_BYTES

# Of those who said two things.
MAX_SHOWN = 100


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
        make_tables(self._engine, METADATA)

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
        this = (SEALED.c.config_digest == config_digest) & (SEALED.c.round == round_number)
        with reading(self._engine) as connection:
            row = connection.execute(select(SEALED).where(this)).first()
        return None if row is None else Sealed(row.since, row.reveal, _numbers(row.remainders))

    def last_sealed(self, since: int, before: int) -> tuple[int, Sealed] | None:
        """The newest round below `before` that was sealed as following `since`, and what was sealed; None if there is
        none."""
        these = (SEALED.c.since == since) & (SEALED.c.round < before)
        query = select(SEALED).where(these).order_by(SEALED.c.round.desc()).limit(1)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else (row.round, Sealed(row.since, row.reveal, _numbers(row.remainders)))

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
                insert(SEALED).values(
                    config_digest=config_digest,
                    round=round_number,
                    since=sealed.since,
                    reveal=sealed.reveal,
                    remainders=json.dumps(sealed.remainders),
                )
            )
            connection.execute(delete(EVIDENCE).where(EVIDENCE.c.round == round_number))
            if evidence:
                connection.execute(
                    insert(EVIDENCE),
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
        query = select(SEALED.c.remainders).where(SEALED.c.round == since)
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return {} if row is None else _numbers(row.remainders)

    def evidence(self, round_number: int, node: int) -> tuple[bytes, bytes] | None:
        """The hash of what was kept for a node in a round, and its exhibits."""
        this = (EVIDENCE.c.round == round_number) & (EVIDENCE.c.node == node)
        with reading(self._engine) as connection:
            row = connection.execute(select(EVIDENCE).where(this)).first()
        return None if row is None else (row.hash, zlib.decompress(row.exhibits))

    def evidence_hashes(self, round_number: int) -> dict[int, bytes]:
        """Of every node in a round."""
        query = select(EVIDENCE.c.node, EVIDENCE.c.hash).where(EVIDENCE.c.round == round_number)
        with reading(self._engine) as connection:
            return {row.node: row.hash for row in connection.execute(query)}

    def is_over(self, round_number: int) -> bool:
        """Whether nothing that is known of the round could still be copied: it was agreed here, or others followed."""
        agreed = select(AGREED.c.round).where(AGREED.c.round == round_number)
        later = select(SEALED.c.round).where(SEALED.c.round > round_number)
        with reading(self._engine) as connection:
            return any(connection.execute(query.limit(1)).first() is not None for query in (agreed, later))

    # Letters ----------------------------------------------------------------------------------------

    def keep(self, message: Message) -> None:
        """See Letters."""
        values = {**message._asdict(), "kind": message.kind.value}
        with self._engine.begin() as connection:
            connection.execute(insert(LETTERS).values(values))

    def kept(self, config_digest: bytes, round_number: int) -> Iterable[Message]:
        """See Letters."""
        query = select(LETTERS).where(
            LETTERS.c.round == round_number, LETTERS.c.config_digest == config_digest
        )
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(LETTERS.c.letter_id)).all()
        return [
            Message(Kind(row.kind), row.config_digest, row.round, row.reporter, row.body, row.signature)
            for row in rows
        ]

    def freeze(self, config_digest: bytes, round_number: int, frozen: Mapping[str, bytes]) -> None:
        """See Letters. Raises SQLAlchemyError, also when the round was frozen before."""
        commitments = json.dumps({reporter: one.hex() for reporter, one in frozen.items()})
        with self._engine.begin() as connection:
            connection.execute(
                insert(FROZEN).values(
                    config_digest=config_digest, round=round_number, commitments=commitments
                )
            )

    def frozen(self, config_digest: bytes, round_number: int) -> dict[str, bytes] | None:
        """See Letters."""
        this = (FROZEN.c.config_digest == config_digest) & (FROZEN.c.round == round_number)
        with reading(self._engine) as connection:
            row = connection.execute(select(FROZEN.c.commitments).where(this)).first()
        if row is None:
            return None
        return {reporter: bytes.fromhex(one) for reporter, one in json.loads(row.commitments).items()}

    def equivocations(self) -> list[Equivocation]:
        """Who committed to two things, the newest round first; see `kept` for the letters that prove it."""
        said = (LETTERS.c.config_digest, LETTERS.c.round, LETTERS.c.reporter)
        first, second = func.min(LETTERS.c.body), func.max(LETTERS.c.body)
        query = (
            select(LETTERS.c.round, LETTERS.c.reporter, first.label("first"), second.label("second"))
            .where(LETTERS.c.kind == Kind.COMMIT.value)
            .group_by(*said)
            .having(first != second)
            .order_by(LETTERS.c.round.desc(), LETTERS.c.reporter)
            .limit(MAX_SHOWN)
        )
        with reading(self._engine) as connection:
            return [Equivocation(*row) for row in connection.execute(query).all()]

    # Reports ----------------------------------------------------------------------------------------

    def agree(self, config_digest: bytes, report: StoredReport) -> None:
        """Keep a report; harmless if one of that round is kept already."""
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(AGREED).values(config_digest=config_digest, **report._asdict()))
        except IntegrityError:
            return

    def agreed(self, config_digest: bytes, round_number: int) -> StoredReport | None:
        """The report of that round under that configuration, if there was one here."""
        return self._report(AGREED.c.config_digest == config_digest, AGREED.c.round == round_number)

    def agreed_with_root(self, round_number: int, root: bytes) -> StoredReport | None:
        """The report of that round with that root, if there was one here."""
        return self._report(AGREED.c.round == round_number, AGREED.c.root == root)

    def _report(self, *conditions: Any) -> StoredReport | None:
        with reading(self._engine) as connection:
            row = connection.execute(select(AGREED).where(*conditions)).first()
        if row is None:
            return None
        return StoredReport(
            row.round, row.since, row.root, row.evidence_hash, row.entries, row.signatures, row.leader
        )

    def forget_unreported(self, round_number: int, unsettled: int) -> None:
        """Drop what was seen up to a round of which there will be no report: a later one's has it. Nothing of the last
        `unsettled` rounds that were sealed, whatever others say: they might be sealed a second time."""
        newest = select(func.max(SEALED.c.round)).scalar_subquery()
        with self._engine.begin() as connection:
            for table in (EVIDENCE, SEALED):
                this = (table.c.round == round_number) & (newest > round_number + unsettled)
                connection.execute(delete(table).where(this))

    def forget_before(self, round_number: int, reveals_before: int = 0) -> None:
        """Drop what belongs to earlier rounds: letters, evidence, what was sealed and agreed; others' reveals, that a
        liar can make large, sooner if told so."""
        with self._engine.begin() as connection:
            revealed = LETTERS.c.kind == Kind.REVEAL.value
            connection.execute(delete(LETTERS).where(revealed, LETTERS.c.round < reveals_before))
            for table in (SEALED, LETTERS, FROZEN, EVIDENCE, AGREED):
                connection.execute(delete(table).where(table.c.round < round_number))


def _numbers(text: str) -> dict[int, int]:
    return {int(node): value for node, value in json.loads(text).items()}

"""Each reporter's distance from what was reported, round by round, and the reveals from which anyone comes to the same.

A round's distances are kept under the report's evidence hash: that names, commitment by commitment, the reveals that
count. So what is kept here of a report that another one took the place of is never taken for the chain's.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, NamedTuple

from eth_utils.address import to_canonical_address, to_checksum_address
from sqlalchemy import Column, Integer, LargeBinary, MetaData, Table, Text, delete, insert, select
from sqlalchemy.exc import IntegrityError

from wellhead.database import make_tables, reading
from wellhead.oracle.daemon.tables import LETTERS, SEALED
from wellhead.oracle.exchange.messages import Kind
from wellhead.reference.quorum import evidence_hash

ADDRESS_BYTES, NAMED_BYTES = 20, 64
METADATA = MetaData()

TALLIES = Table(
    "tallies",
    METADATA,
    Column("round", Integer, primary_key=True),
    Column("evidence_hash", LargeBinary(32), primary_key=True),
    Column("config_digest", LargeBinary(32), nullable=False),
    # What the report names of each reporter: address, evidence hash, commitment.
    Column("named", LargeBinary, nullable=False),
    # Basis points by reporter.
    Column("deviations", Text, nullable=False),
)


class Counted(NamedTuple):
    """A report that is or may be the chain's: its configuration, and what it names by reporter (`Revealed.named`)."""

    config_digest: bytes
    named: Mapping[str, bytes]

    @property
    def evidence_hash(self) -> bytes:
        """What the report names in all."""
        return evidence_hash(self.named)


class Tallies:
    """Of the reporter `me`, in the database that has its letters."""

    def __init__(self, engine: Any, me: str) -> None:
        self._engine, self._me = engine, me
        make_tables(engine, METADATA)

    def keep(self, round_number: int, counted: Counted, deviations: Mapping[str, int]) -> None:
        """Keep a round's distances; harmless if they are kept already."""
        named = b"".join(to_canonical_address(one) + what for one, what in sorted(counted.named.items()))
        row = {
            "round": round_number,
            "evidence_hash": counted.evidence_hash,
            "config_digest": counted.config_digest,
            "named": named,
            "deviations": json.dumps(deviations),
        }
        try:
            with self._engine.begin() as connection:
                connection.execute(insert(TALLIES).values(row))
        except IntegrityError:
            return

    def of(self, round_number: int, named_hash: bytes) -> dict[str, int] | None:
        """The distances of the round under that evidence hash, basis points by reporter; None if they are not kept."""
        this = (TALLIES.c.round == round_number) & (TALLIES.c.evidence_hash == named_hash)
        with reading(self._engine) as connection:
            row = connection.execute(select(TALLIES.c.deviations).where(this)).first()
        return None if row is None else dict(json.loads(row.deviations))

    def counted(self, round_number: int) -> list[Counted]:
        """What may count in the round; more than one set where the first was not the chain's."""
        with reading(self._engine) as connection:
            rows = connection.execute(select(TALLIES).where(TALLIES.c.round == round_number)).all()
        return [Counted(row.config_digest, _by_reporter(row.named)) for row in rows]

    def reveal(self, round_number: int, commitment: bytes) -> bytes | None:
        """The body of the reveal that was committed to so, if it counted and is still kept."""
        for counted in self.counted(round_number):
            for reporter, named in counted.named.items():
                if named.endswith(commitment):
                    return self._body(counted.config_digest, round_number, reporter)
        return None

    def forget_before(self, round_number: int) -> None:
        """Drop earlier rounds'."""
        with self._engine.begin() as connection:
            connection.execute(delete(TALLIES).where(TALLIES.c.round < round_number))

    def _body(self, config_digest: bytes, round_number: int, reporter: str) -> bytes | None:
        if reporter == self._me:  # kept with what was sealed, and no letter
            query = select(SEALED.c.reveal).where(
                SEALED.c.config_digest == config_digest, SEALED.c.round == round_number
            )
        else:
            query = select(LETTERS.c.body).where(
                LETTERS.c.config_digest == config_digest,
                LETTERS.c.round == round_number,
                LETTERS.c.kind == Kind.REVEAL.value,
                LETTERS.c.reporter == reporter,
            )
        with reading(self._engine) as connection:
            row = connection.execute(query).first()
        return None if row is None else bytes(row[0])


def _by_reporter(named: bytes) -> dict[str, bytes]:
    step = ADDRESS_BYTES + NAMED_BYTES
    pieces = [named[start : start + step] for start in range(0, len(named), step)]
    return {to_checksum_address(one[:ADDRESS_BYTES]): one[ADDRESS_BYTES:] for one in pieces}

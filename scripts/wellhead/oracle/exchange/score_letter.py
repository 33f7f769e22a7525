"""A batch of scores, as its proposer puts it to the others: rounds from and to (3 bytes each), then entries."""

from __future__ import annotations

from typing import NamedTuple

from wellhead.oracle.exchange.messages import UnreadableMessageError
from wellhead.reference.quorum import MAX_SIGNERS
from wellhead.reference.scores import ENTRY_BYTES

_ROUND_BYTES = 3
# Reporters change now and then: a batch may name some that are gone.
MAX_ENTRIES = 2 * MAX_SIGNERS


class Batch(NamedTuple):
    """What `ReporterScores.post` takes, but for its signatures."""

    from_round: int
    to_round: int
    entries: bytes

    def __str__(self) -> str:
        return f"scores of rounds {self.from_round} to {self.to_round}"


def batch_body(batch: Batch) -> bytes:
    """As it travels."""
    rounds = (batch.from_round, batch.to_round)
    return b"".join(one.to_bytes(_ROUND_BYTES, "big") for one in rounds) + batch.entries


def batch_in(body: bytes) -> Batch:
    """The batch in a letter's body, whatever it says. Raises UnreadableMessageError."""
    entries = body[2 * _ROUND_BYTES :]
    if not entries or len(entries) % ENTRY_BYTES or len(entries) > MAX_ENTRIES * ENTRY_BYTES:
        raise UnreadableMessageError(
            f"{len(body)} bytes are no batch of scores: that is two rounds of {_ROUND_BYTES} bytes and 1 to "
            f"{MAX_ENTRIES} entries of {ENTRY_BYTES}"
        )
    first, last = body[:_ROUND_BYTES], body[_ROUND_BYTES : 2 * _ROUND_BYTES]
    return Batch(int.from_bytes(first, "big"), int.from_bytes(last, "big"), entries)

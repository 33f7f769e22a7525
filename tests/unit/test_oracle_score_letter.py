"""A batch of scores on its way: it arrives as it was sent, and what is none is not read."""

from __future__ import annotations

import pytest

from wellhead.chain.keys import local_account
from wellhead.oracle.exchange.messages import UnreadableMessageError
from wellhead.oracle.exchange.score_letter import MAX_ENTRIES, Batch, batch_body, batch_in
from wellhead.reference.scores import ENTRY_BYTES, Score, pack_scores

NAME = local_account("reporter-0").address
BATCH = Batch(25, 48, pack_scores({NAME: Score(24, 1_234)}))


def test_it_arrives_as_it_was_sent() -> None:
    assert batch_in(batch_body(BATCH)) == BATCH
    assert str(BATCH) == "scores of rounds 25 to 48"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\0\0\1",
        batch_body(BATCH)[:6],
        batch_body(BATCH)[:-1],
        bytes(6 + (MAX_ENTRIES + 1) * ENTRY_BYTES),
    ],
    ids=["nothing", "one round", "no entries", "a torn entry", "too many"],
)
def test_what_is_no_batch_is_not_read(body: bytes) -> None:
    with pytest.raises(UnreadableMessageError, match="are no batch of scores"):
        batch_in(body)

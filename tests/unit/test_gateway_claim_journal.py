"""The settler's journal and lease."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.chain.outbox.fees import Fees
from wellhead.chain.outbox.journal import FINAL, KEPT_SECONDS, Call, Entry, OutboxJournal, Signed
from wellhead.database import open_database
from wellhead.gateway.claims.journal import Batch, ClaimJournal, JournalRow
from wellhead.gateway.claims.lease import LeaseLostError, SettlerLease

CHAIN, SENDER, OTHER_SENDER = 31337, "0x" + "aa" * 20, "0x" + "bb" * 20
ROUTER = "0x" + "cc" * 20
ROWS = {b"\x01" * 32: JournalRow(2**127, 7), b"\x02" * 32: JournalRow(5, 5)}
CALL = Call(ROUTER, b"call", 50_000, "a batch of 2 channels")
SECONDS = 60.0


class Books:
    """What one settler writes to: its lease, its outbox's journal under that lease, and the claims beside it."""

    def __init__(self, desk: Desk, chain: int, sender: str) -> None:
        self.lease = SettlerLease(desk.engine, desk.clock, chain, sender)
        self.outbox = OutboxJournal(desk.engine, desk.clock, chain, sender, self.lease.prove)
        self.claims = ClaimJournal(desk.engine, self.outbox)

    def open(self, nonce: int, number: int, rows: dict[bytes, JournalRow] = ROWS) -> Entry:
        return self.outbox.open(nonce, CALL, signed(number), self.claims.beside(rows))


class Desk:
    """Several settlers over one database, under one clock."""

    def __init__(self, url: str) -> None:
        self.now = 1_000.0
        self.engine = open_database(url)

    def clock(self) -> float:
        return self.now

    def settler(self, chain: int = CHAIN, sender: str = SENDER) -> Books:
        return Books(self, chain, sender)


@pytest.fixture
def desk(ledger_url: str) -> Any:
    opened = Desk(ledger_url)
    yield opened
    opened.engine.dispose()


def signed(number: int) -> Signed:
    return Signed(number.to_bytes(32, "big"), b"raw" * number, Fees(100, 50), 0)


def test_what_a_batch_claims_is_read_by_the_next_settler(desk: Desk) -> None:
    settler = desk.settler()
    assert settler.lease.take(SECONDS)
    assert (settler.claims.last_entry_id(), settler.claims.is_any_open()) == (0, False)
    entry = settler.open(9, 1)
    later = desk.settler().claims
    assert later.is_any_open()
    assert later.last_entry_id() == entry.entry_id
    assert later.batch(entry) == Batch(entry, ROWS)
    assert later.batch(entry).value == 12
    assert later.final_after(0) == []
    settler.outbox.close(entry, FINAL, 40)
    assert later.final_after(0) == [Batch(entry._replace(state=FINAL), ROWS)]
    assert later.final_after(entry.entry_id) == []


def test_what_was_decided_long_ago_is_forgotten_with_its_claims(desk: Desk) -> None:
    settler = desk.settler()
    settler.lease.take(SECONDS)
    old = settler.open(1, 1)
    settler.outbox.close(old, FINAL, 40)
    desk.now += KEPT_SECONDS + 1
    settler.lease.take(SECONDS)
    kept = settler.open(2, 2, {b"\x03" * 32: JournalRow(1, 1)})
    assert settler.claims.batch(old).rows == {}
    assert settler.claims.batch(kept).rows == {b"\x03" * 32: JournalRow(1, 1)}


def test_no_batch_is_written_without_its_claims(desk: Desk) -> None:
    settler = desk.settler()
    settler.lease.take(SECONDS)
    with pytest.raises(Exception, match="total_claimed"):
        settler.open(1, 1, {b"\x01" * 32: JournalRow(None, 7)})  # type: ignore[arg-type]
    assert settler.outbox.open_entries() == []
    assert settler.outbox.signed_at(1) == []


# The lease --------------------------------------------------------------------------------------------------


def test_one_holds_the_lease_until_it_runs_out_or_is_dropped(desk: Desk) -> None:
    first, second = desk.settler().lease, desk.settler().lease
    assert (first.take(SECONDS), second.take(SECONDS)) == (True, False)
    desk.now += SECONDS - 1
    assert (first.take(SECONDS), second.take(SECONDS)) == (True, False)  # renewed
    desk.now += SECONDS
    assert (second.take(SECONDS), first.take(SECONDS)) == (True, False)
    first.drop()  # not its own
    assert not first.take(SECONDS)
    second.drop()
    assert first.take(SECONDS)
    for chain, sender in ((CHAIN, OTHER_SENDER), (1, SENDER)):
        assert desk.settler(chain, sender).lease.take(SECONDS)


@pytest.mark.parametrize("taken_over", [True, False])
def test_nothing_is_written_without_the_lease(desk: Desk, taken_over: bool) -> None:
    first, second = desk.settler(), desk.settler()
    with pytest.raises(LeaseLostError):
        first.open(1, 1)
    first.lease.take(SECONDS)
    entry = first.open(1, 1)
    desk.now += SECONDS
    if taken_over:
        second.lease.take(SECONDS)
    with pytest.raises(LeaseLostError):
        first.outbox.replace(entry, signed(2))
    first.outbox.close(entry, FINAL, 40)
    with pytest.raises(LeaseLostError):
        first.open(2, 3)
    assert first.claims.final_after(0) == [Batch(entry._replace(state=FINAL), ROWS)]
    assert first.claims.last_entry_id() == entry.entry_id


def test_the_holder_is_asked_for_everything(desk: Desk) -> None:
    first, second = desk.settler().lease, desk.settler().lease
    assert not first.everything_is_asked()
    first.take(SECONDS)
    second.ask_for_everything()
    assert first.everything_is_asked()
    first.take(SECONDS)
    assert first.everything_is_asked()
    first.everything_was_tried()
    assert not second.everything_is_asked()

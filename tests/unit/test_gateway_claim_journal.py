"""The settler's journal and lease, and what a transaction may pay."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.database import open_database
from wellhead.errors import Misused
from wellhead.gateway.claims.fees import Fees, first_fees, raised_fees
from wellhead.gateway.claims.journal import FINAL, KEPT_SECONDS, ClaimJournal, JournalRow, Signed
from wellhead.gateway.claims.lease import LeaseLostError, SettlerLease
from wellhead.gateway.claims.sender import SendingPolicy

CHAIN, SENDER, OTHER_SENDER = 31337, "0x" + "aa" * 20, "0x" + "bb" * 20
ROWS = {b"\x01" * 32: JournalRow(2**127, 7), b"\x02" * 32: JournalRow(5, 5)}
SECONDS = 60.0


class Desk:
    """Several settlers over one database, under one clock."""

    def __init__(self, url: str) -> None:
        self.now = 1_000.0
        self.engine = open_database(url)

    def clock(self) -> float:
        return self.now

    def settler(self, chain: int = CHAIN, sender: str = SENDER) -> tuple[SettlerLease, ClaimJournal]:
        lease = SettlerLease(self.engine, self.clock, chain, sender)
        return lease, ClaimJournal(self.engine, self.clock, chain, sender, lease)


@pytest.fixture
def desk(ledger_url: str) -> Any:
    opened = Desk(ledger_url)
    yield opened
    opened.engine.dispose()


def signed(number: int, fee: int = 100, at: float = 0) -> Signed:
    return Signed(number.to_bytes(32, "big"), b"raw" * number, Fees(fee, fee // 2), at)


def test_what_is_written_is_read_by_the_next_one(desk: Desk) -> None:
    lease, journal = desk.settler()
    assert lease.take(SECONDS)
    assert journal.open_batch() is None
    first = journal.open(9, b"call", 50_000, 77, ROWS, signed(1))
    assert first.value == 12
    second = journal.replace(first, signed(2, fee=113))
    _, later = desk.settler()
    assert later.open_batch() == second
    assert later.signed_at(9) == second.transactions
    assert later.signed_at(8) == []
    assert later.opened_after(0) == [second]
    assert later.last_batch_id() == second.batch_id


def test_a_batch_is_closed_and_taken_back(desk: Desk) -> None:
    lease, journal = desk.settler()
    lease.take(SECONDS)
    batch = journal.open(9, b"call", 50_000, None, ROWS, signed(1))
    journal.close(batch, FINAL, 40)
    assert journal.open_batch() is None
    assert journal.final_since(40) == []
    assert journal.final_since(39) == [batch._replace(state=FINAL)]
    journal.reopen(batch)
    assert journal.open_batch() == batch
    assert journal.final_since(39) == []


def test_what_counted_is_found_by_its_nonce(desk: Desk) -> None:
    lease, journal = desk.settler()
    lease.take(SECONDS)
    for number, nonce in enumerate((7, 9, 8, 9)):
        journal.close(journal.open(nonce, b"call", 50_000, None, ROWS, signed(number)), FINAL, number)
    journal.open(9, b"call", 50_000, None, ROWS, signed(4))
    assert [batch.nonce for batch in journal.final_from_nonce(8)] == [8, 9, 9]
    assert [one.hash for one in journal.signed_at(9)] == [signed(number).hash for number in (1, 3, 4)]


def test_other_accounts_and_chains_have_journals_of_their_own(desk: Desk) -> None:
    lease, journal = desk.settler()
    lease.take(SECONDS)
    journal.open(9, b"call", 50_000, None, ROWS, signed(1))
    for chain, sender in ((CHAIN, OTHER_SENDER), (1, SENDER)):
        _, other = desk.settler(chain, sender)
        assert other.open_batch() is None
        assert other.signed_at(9) == []


def test_what_was_decided_long_ago_is_forgotten(desk: Desk) -> None:
    lease, journal = desk.settler()
    lease.take(SECONDS)
    journal.close(journal.open(1, b"call", 50_000, None, ROWS, signed(1)), FINAL, 40)
    desk.now += KEPT_SECONDS + 1
    lease.take(SECONDS)
    kept = journal.open(2, b"call", 50_000, None, ROWS, signed(2))
    assert journal.opened_after(0) == [kept]
    assert journal.signed_at(1) == []


# The lease --------------------------------------------------------------------------------------------------


def test_one_holds_the_lease_until_it_runs_out_or_is_dropped(desk: Desk) -> None:
    (first, _), (second, _) = desk.settler(), desk.settler()
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
        elsewhere, _ = desk.settler(chain, sender)
        assert elsewhere.take(SECONDS)


@pytest.mark.parametrize("taken_over", [True, False])
def test_nothing_is_written_without_the_lease(desk: Desk, taken_over: bool) -> None:
    (first, journal), (second, _) = desk.settler(), desk.settler()
    with pytest.raises(LeaseLostError):
        journal.open(1, b"call", 50_000, None, ROWS, signed(1))
    first.take(SECONDS)
    batch = journal.open(1, b"call", 50_000, None, ROWS, signed(1))
    desk.now += SECONDS
    if taken_over:
        second.take(SECONDS)
    with pytest.raises(LeaseLostError):
        journal.replace(batch, signed(2))
    with pytest.raises(LeaseLostError):
        journal.open(2, b"call", 50_000, None, ROWS, signed(3))
    assert journal.opened_after(0) == [batch]


def test_the_holder_is_asked_for_everything(desk: Desk) -> None:
    (first, _), (second, _) = desk.settler(), desk.settler()
    assert not first.everything_is_asked()
    first.take(SECONDS)
    second.ask_for_everything()
    assert first.everything_is_asked()
    first.take(SECONDS)
    assert first.everything_is_asked()
    first.everything_was_tried()
    assert not second.everything_is_asked()


# Fees -------------------------------------------------------------------------------------------------------


def test_a_first_fee_leaves_room_for_the_base_fee_to_double() -> None:
    assert first_fees(100, 7, 1_000) == Fees(207, 7)
    assert first_fees(100, 7, 150) == Fees(150, 7)
    assert first_fees(100, 700, 150) == Fees(150, 150)


@pytest.mark.parametrize("fees", [Fees(0, 0), Fees(1, 0), Fees(8, 8), Fees(207, 7), Fees(10**12, 10**9 + 1)])
def test_a_raised_fee_is_an_eighth_more_in_both_fields(fees: Fees) -> None:
    raised = raised_fees(fees, Fees(0, 0), 10**13)
    assert raised is not None
    for before, after in zip(fees, raised, strict=True):
        assert after > before
        assert 0 <= 8 * after - 9 * before < 16
    assert raised.priority_fee_wei <= raised.max_fee_wei


def test_a_raised_fee_follows_the_market_and_ends_at_the_highest_allowed() -> None:
    assert raised_fees(Fees(80, 8), Fees(200, 20), 1_000) == Fees(200, 20)
    assert raised_fees(Fees(80, 8), Fees(200, 20), 150) == Fees(150, 20)
    assert raised_fees(Fees(80, 8), Fees(200, 200), 90) == Fees(90, 90)
    assert raised_fees(Fees(80, 8), Fees(200, 20), 89) is None
    assert raised_fees(Fees(80, 8), Fees(0, 0), 89) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"confirmations": 0},
        {"watched_blocks": -1},
        {"patience_seconds": 0},
        {"poll_seconds": 0},
        {"max_fee_wei": 0},
    ],
)
def test_a_sending_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misused):
        SendingPolicy(**wrong)

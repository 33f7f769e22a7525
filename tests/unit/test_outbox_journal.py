"""What the outbox writes down before it sends: on either database, for whoever comes next."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Connection, text

from wellhead.chain.outbox.fees import Fees
from wellhead.chain.outbox.journal import (
    DROPPED,
    FINAL,
    KEPT_SECONDS,
    REVERTED,
    Call,
    Entry,
    OutboxJournal,
    Signed,
)
from wellhead.database import open_database
from wellhead.errors import Refused

CHAIN, SENDER, OTHER_SENDER = 31337, "0x" + "aa" * 20, "0x" + "bb" * 20
CALL = Call("0x" + "cc" * 20, b"call", 50_000, "round 17", urgent_at=77)


class GuardedError(Exception):
    """Another process writes now."""


class Desk:
    """Processes over one database, under one clock."""

    def __init__(self, url: str) -> None:
        self.now = 1_000.0
        self.engine = open_database(url)
        self.forbidden = False

    def clock(self) -> float:
        return self.now

    def guard(self, connection: Connection) -> None:
        assert connection.in_transaction()
        if self.forbidden:
            raise GuardedError

    def journal(self, chain: int = CHAIN, sender: str = SENDER) -> OutboxJournal:
        return OutboxJournal(self.engine, self.clock, chain, sender, self.guard)


@pytest.fixture
def desk(ledger_url: str) -> Iterator[Desk]:
    opened = Desk(ledger_url)
    yield opened
    opened.engine.dispose()


@pytest.fixture
def journal(desk: Desk) -> OutboxJournal:
    return desk.journal()


def signed(number: int, fee: int = 100, at: float = 0) -> Signed:
    return Signed(number.to_bytes(32, "big"), b"raw" * number, Fees(fee, fee // 2), at)


def decided(journal: OutboxJournal, nonce: int, number: int, state: str, block: int | None) -> Entry:
    entry = journal.open(nonce, CALL, signed(number))
    journal.close(entry, state, block)
    return entry._replace(state=state)


def test_what_is_written_is_read_by_the_next_one(desk: Desk, journal: OutboxJournal) -> None:
    assert journal.open_entries() == []
    first = journal.open(9, CALL, signed(1))
    second = journal.replace(first, signed(2, fee=113, at=3.5))
    later = desk.journal()
    assert later.open_entries() == [second]
    assert second.newest == signed(2, fee=113, at=3.5)
    assert later.signed_at(9) == second.transactions == [signed(1), second.newest]
    assert later.signed_at(8) == []
    assert later.last_entry_id() == second.entry_id


def test_a_call_without_a_hurry_is_read_as_such(journal: OutboxJournal) -> None:
    calm = CALL._replace(urgent_at=None)
    assert journal.open(9, calm, signed(1)).call == calm
    assert journal.open_entries()[0].call == calm


def test_one_at_a_time(desk: Desk, journal: OutboxJournal) -> None:
    entry = journal.open(9, CALL, signed(1))
    with pytest.raises(Refused, match="round 18 has to wait: round 17 is under way with nonce 9"):
        desk.journal().open(10, CALL._replace(subject="round 18"), signed(2))
    assert journal.open_entries() == [entry]
    journal.close(entry, DROPPED)
    assert journal.open(9, CALL, signed(2)).nonce == 9


def test_it_tells_by_subject_what_is_open(journal: OutboxJournal) -> None:
    entry = journal.open(9, CALL, signed(1))
    assert (journal.is_open("round 17"), journal.is_open("round 1")) == (True, False)
    journal.close(entry, FINAL, 40)
    assert not journal.is_open("round 17")


def test_an_entry_is_closed_and_taken_back(journal: OutboxJournal) -> None:
    entry = journal.open(9, CALL, signed(1))
    journal.close(entry, FINAL, 40)
    assert journal.open_entries() == []
    assert journal.final_since(40) == []
    assert journal.final_since(39) == journal.final_after(0) == [entry._replace(state=FINAL)]
    assert journal.final_after(entry.entry_id) == []
    journal.reopen(entry)
    assert journal.open_entries() == [entry]
    assert journal.final_since(39) == journal.final_after(0) == []


def test_after_a_reorganisation_several_are_open_the_lowest_nonce_first(journal: OutboxJournal) -> None:
    entries = [decided(journal, nonce, nonce, FINAL, 40) for nonce in (7, 8)]
    last = journal.open(9, CALL, signed(9))
    for entry in reversed(entries):
        journal.reopen(entry)
    assert [entry.nonce for entry in journal.open_entries()] == [7, 8, last.nonce]


def test_only_what_succeeded_is_final(journal: OutboxJournal) -> None:
    final = decided(journal, 7, 1, FINAL, 40)
    decided(journal, 8, 2, REVERTED, 41)
    decided(journal, 9, 3, DROPPED, None)
    assert journal.final_after(0) == journal.final_since(0) == [final]
    assert journal.newest_block() == 41
    again = journal.open(9, CALL, signed(4))
    assert journal.signed_at(9) == [signed(3), *again.transactions]


def test_other_accounts_and_chains_have_journals_of_their_own(desk: Desk, journal: OutboxJournal) -> None:
    decided(journal, 8, 1, FINAL, 40)
    journal.open(9, CALL, signed(2))
    for chain, sender in ((CHAIN, OTHER_SENDER), (1, SENDER)):
        other = desk.journal(chain, sender)
        assert other.open_entries() == other.final_after(0) == other.final_since(0) == []
        assert other.signed_at(9) == []
        assert (other.is_open("round 17"), other.last_entry_id(), other.newest_block()) == (False, 0, 0)
        other.open(9, CALL, signed(chain + len(sender) + (sender == OTHER_SENDER)))


def test_what_was_decided_long_ago_is_forgotten_and_its_id_with_it(
    desk: Desk, journal: OutboxJournal
) -> None:
    old = decided(journal, 1, 1, FINAL, 40)
    desk.now += KEPT_SECONDS
    entry = decided(journal, 2, 2, FINAL, 41)
    assert [one.entry_id for one in journal.final_after(0)] == [old.entry_id, entry.entry_id]
    desk.now += KEPT_SECONDS + 1
    kept = journal.open(3, CALL, signed(3))
    assert (journal.final_after(0), journal.signed_at(1), journal.signed_at(2)) == ([], [], [])
    assert kept.entry_id > entry.entry_id
    desk.now += 2 * KEPT_SECONDS
    desk.journal(CHAIN, OTHER_SENDER).open(1, CALL, signed(4))
    assert journal.open_entries() == [kept]  # what is open is never old


def test_nothing_signed_is_written_against_the_guard(desk: Desk, journal: OutboxJournal) -> None:
    desk.forbidden = True
    with pytest.raises(GuardedError):
        journal.open(1, CALL, signed(1))
    assert journal.signed_at(1) == []
    desk.forbidden = False
    entry = journal.open(1, CALL, signed(1))
    desk.forbidden = True
    with pytest.raises(GuardedError):
        journal.replace(entry, signed(2))
    assert journal.open_entries() == [entry]


def test_what_is_written_beside_an_entry_is_there_with_it_or_not_at_all(
    desk: Desk, journal: OutboxJournal
) -> None:
    with desk.engine.begin() as connection:
        connection.execute(text("CREATE TABLE beside (entry_id INTEGER)"))

    def write(connection: Connection, entry_id: int) -> None:
        connection.execute(text("INSERT INTO beside VALUES (:entry)"), {"entry": entry_id})

    def write_and_fail(connection: Connection, entry_id: int) -> None:
        write(connection, entry_id)
        raise OSError("no space left")

    def written() -> list[int]:
        with desk.engine.connect() as connection:
            return list(connection.execute(text("SELECT entry_id FROM beside")).scalars())

    with pytest.raises(OSError, match="no space left"):
        journal.open(1, CALL, signed(1), write_and_fail)
    assert (written(), journal.open_entries()) == ([], [])
    entry = journal.open(1, CALL, signed(1), write)
    assert written() == [entry.entry_id]

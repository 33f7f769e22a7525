"""A reporter's books: what was sealed stays sealed, what was heard is heard again, and remainders follow the chain."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.exc import IntegrityError

from wellhead.chain.keys import local_account
from wellhead.oracle.daemon.store import Equivocation, ReporterStore, Sealed, StoredReport
from wellhead.oracle.exchange.messages import Kind, Message

DIGEST, OTHER_DIGEST = b"\x11" * 32, b"\x12" * 32
REPORTER = local_account("reporter-0")
SEALED = Sealed(3, b"reveal", {7: 42})
REPORT = StoredReport(4, 3, b"\x01" * 23, b"\x02" * 32, b"\x03" * 36, b"\x04" * 192, REPORTER.address)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ReporterStore]:
    store = ReporterStore(f"sqlite:///{tmp_path / 'reporter.db'}")
    yield store
    store.close()


def test_what_is_sealed_is_sealed_once(store: ReporterStore, tmp_path: Path) -> None:
    assert store.sealed(DIGEST, 4) is None
    store.seal(DIGEST, 4, SEALED, {7: (b"\x05" * 32, b"answers")})
    with pytest.raises(IntegrityError):
        store.seal(DIGEST, 4, Sealed(3, b"something else", {}), {})
    again = ReporterStore(f"sqlite:///{tmp_path / 'reporter.db'}")
    assert again.sealed(DIGEST, 4) == SEALED
    assert again.sealed(OTHER_DIGEST, 4) is None
    assert again.evidence(4, 7) == (b"\x05" * 32, b"answers")
    assert again.evidence(4, 8) is None
    again.close()


def test_remainders_are_those_of_the_round_that_is_followed(store: ReporterStore) -> None:
    store.seal(DIGEST, 4, SEALED, {})
    store.seal(DIGEST, 5, Sealed(3, b"", {7: 43}), {})
    assert store.remainders(4) == {7: 42}
    assert store.remainders(5) == {7: 43}
    assert store.remainders(6) == {}


def test_what_was_sealed_last_on_the_way_to_a_report(store: ReporterStore) -> None:
    for since, round_number in ((3, 4), (4, 5), (4, 6), (6, 7)):
        store.seal(DIGEST, round_number, Sealed(since, bytes([round_number]), {7: round_number}), {})
    assert store.last_sealed(4, 7) == (6, Sealed(4, b"\x06", {7: 6}))
    assert store.last_sealed(4, 6) == (5, Sealed(4, b"\x05", {7: 5}))
    assert store.last_sealed(4, 5) is None


def test_letters_come_back_in_order_each_under_its_configuration(store: ReporterStore) -> None:
    bodies = [b"\x01" * 32, b"\x02" * 32]
    letters = [Message.sign(REPORTER, Kind.COMMIT, DIGEST, 4, body) for body in bodies]
    for letter in letters:
        store.keep(letter)
    assert list(store.kept(DIGEST, 4)) == letters
    assert list(store.kept(DIGEST, 5)) == []
    assert list(store.kept(OTHER_DIGEST, 4)) == []


def test_what_was_in_time_stays_so(store: ReporterStore) -> None:
    assert store.frozen(DIGEST, 4) is None
    store.freeze(DIGEST, 4, {REPORTER.address: b"\x01" * 32})
    with pytest.raises(IntegrityError):
        store.freeze(DIGEST, 4, {})
    assert store.frozen(DIGEST, 4) == {REPORTER.address: b"\x01" * 32}
    assert store.frozen(OTHER_DIGEST, 4) is None


def test_who_said_two_things_is_shown_with_both(store: ReporterStore) -> None:
    other = local_account("reporter-1")
    for account, body in ((REPORTER, b"\x01"), (REPORTER, b"\x02"), (other, b"\x03")):
        store.keep(Message.sign(account, Kind.COMMIT, DIGEST, 4, body * 32))
    store.keep(Message.sign(other, Kind.COMMIT, DIGEST, 5, b"\x04" * 32))
    store.keep(Message.sign(other, Kind.REVEAL, DIGEST, 5, b"anything"))
    assert store.equivocations() == [Equivocation(4, REPORTER.address, b"\x01" * 32, b"\x02" * 32)]


def test_a_report_is_kept_once_and_found_by_its_root(store: ReporterStore) -> None:
    store.agree(DIGEST, REPORT)
    store.agree(DIGEST, REPORT._replace(root=b"\x09" * 23))
    assert store.agreed(DIGEST, 4) == REPORT
    assert store.agreed_with_root(4, REPORT.root) == REPORT
    assert store.agreed_with_root(4, b"\x09" * 23) is None
    assert store.agreed(OTHER_DIGEST, 4) is None


def test_what_is_old_is_forgotten(store: ReporterStore) -> None:
    for round_number in (4, 5):
        store.seal(DIGEST, round_number, SEALED, {7: (b"\x05" * 32, b"answers")})
        store.keep(Message.sign(REPORTER, Kind.COMMIT, DIGEST, round_number, b"\x01" * 32))
        store.agree(DIGEST, REPORT._replace(round=round_number))
        store.freeze(DIGEST, round_number, {})
    store.forget_before(5)
    assert store.sealed(DIGEST, 4) is None
    assert store.evidence(4, 7) is None
    assert list(store.kept(DIGEST, 4)) == []
    assert store.agreed(DIGEST, 4) is None
    assert store.frozen(DIGEST, 4) is None
    assert store.sealed(DIGEST, 5) == SEALED
    assert store.agreed(DIGEST, 5) is not None

"""The ledger in memory: durable before it counts, and nothing charged that the disk refused."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Sequence
from contextlib import closing
from itertools import chain, repeat
from pathlib import Path
from types import SimpleNamespace

import pytest
from msgspec.structs import replace
from sqlalchemy.exc import OperationalError

from wellhead.gateway.channels import sole_ledger
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.book_writer import BookWriter, Change
from wellhead.gateway.channels.ledger import Ledger, UnknownChannelError
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.reference.channel import ChannelConfig, ChannelFigures

CHANNEL, OTHER = b"\x01" * 32, b"\x02" * 32
CONFIG = ChannelConfig(*["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"] * 5, 900, bytes(32))
PRICE = 100


class FailingWriter(BookWriter):
    """Writes to a disk that is full, as long as the test says so; `landed` writes even then, and fails after it."""

    full = False
    landed = False

    def store(self, changes: Sequence[Change]) -> None:
        if not self.full or self.landed:
            super().store(changes)
        if self.full:
            raise OperationalError("COMMIT", {}, Exception("disk is full"))


class FailingLedger(Ledger):
    """A ledger on such a disk."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.writer: FailingWriter = FailingWriter(self._engine, self._clock)


@pytest.fixture
def disk(tmp_path: Path) -> FailingLedger:
    return FailingLedger(f"sqlite:///{tmp_path / 'ledger.db'}")


@pytest.fixture(params=["at once", "in a thread"])
def ledger(
    disk: FailingLedger, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> SoleLedger:
    if request.param == "in a thread":
        monkeypatch.setattr(sole_ledger, "QUICK_SECONDS", 0)  # as after a slow commit
    opened = SoleLedger(disk)
    for channel in (CHANNEL, OTHER):
        opened.seen(channel, CONFIG, ChannelFigures(10_000, 0, 0, 0))
    return opened


def serve(ledger: SoleLedger, cost: int, channel: bytes = CHANNEL) -> None:
    ceiling = ledger.account(channel).charged + PRICE
    charged = ledger.charge(ledger.admit(channel, ceiling, b"signed", PRICE), cost)
    ledger.commit()
    charged.written.result(10)


def on_disk(tmp_path: Path, channel: bytes = CHANNEL) -> int:
    reopened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    charged = reopened.account(channel).charged
    reopened.close()
    return charged


def test_a_charge_is_on_disk_when_it_counts(ledger: SoleLedger, tmp_path: Path) -> None:
    serve(ledger, 40)
    serve(ledger, 30)
    assert on_disk(tmp_path) == ledger.account(CHANNEL).charged == 70
    ledger.close()


@pytest.mark.parametrize("landed", [False, True])
def test_what_the_disk_refused_is_not_charged(
    ledger: SoleLedger, disk: FailingLedger, tmp_path: Path, landed: bool
) -> None:
    serve(ledger, 40)
    disk.writer.full, disk.writer.landed = True, landed
    with pytest.raises(OperationalError):
        serve(ledger, 30)
    account = ledger.account(CHANNEL)
    assert (account.charged, account.reserved) == (40, 0)
    disk.writer.full = False
    serve(ledger, 5, OTHER)  # anything that is written brings the rest along
    assert (on_disk(tmp_path), on_disk(tmp_path, OTHER)) == (40, 5)
    ledger.close()


def test_what_is_stored_is_what_is_in_memory(ledger: SoleLedger, tmp_path: Path) -> None:
    serve(ledger, 40)
    ledger.seen(
        CHANNEL,
        CONFIG,
        ChannelFigures(balance=9_000, total_claimed=30, refund_nonce=2, withdraw_requested_at=5),
        ledger.account(CHANNEL).figures,
    )
    reopened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert reopened.account(CHANNEL) == ledger.account(CHANNEL)
    reopened.close()
    ledger.close()


def test_a_channel_waits_since_its_oldest_unclaimed_charge(tmp_path: Path) -> None:
    now = [1_000.0]
    ledger = SoleLedger(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}", lambda: now[0]))
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10_000, 0, 0, 0))

    def since() -> list[float]:
        return [one.unclaimed_since for one in ledger.claimable()]

    assert since() == []
    for now[0] in (2_000.0, 3_000.0):
        serve(ledger, 40)
    assert since() == [2_000.0]
    now[0] = 4_000.0
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10_000, 50, 0, 0), ledger.account(CHANNEL).figures)
    assert since() == [4_000.0]
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10_000, 80, 0, 0), ledger.account(CHANNEL).figures)
    assert since() == []
    ledger.close()


def test_a_hold_that_the_disk_refused_shuts_nothing(
    ledger: SoleLedger, disk: FailingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("COMMIT", {}, Exception("disk is full"))

    with monkeypatch.context() as patch:
        patch.setattr(disk, "keep_hold", refuse)
        with pytest.raises(OperationalError):
            ledger.hold(CHANNEL, 0)
    serve(ledger, 40)
    hold = ledger.hold(CHANNEL, 40)
    assert ledger.account(CHANNEL).is_refunding
    assert ledger.lift(hold)
    serve(ledger, 40)
    ledger.close()


def test_older_figures_do_not_replace_newer_ones(ledger: SoleLedger, tmp_path: Path) -> None:
    before = ledger.account(CHANNEL).figures
    newer = ledger.seen(CHANNEL, CONFIG, before._replace(withdraw_requested_at=5), before)
    assert ledger.seen(CHANNEL, CONFIG, before._replace(balance=1), before) == newer
    reopened = Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")
    assert reopened.account(CHANNEL) == ledger.account(CHANNEL) == newer
    reopened.close()
    ledger.close()


def test_channels_are_stored_together_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    ledger = Ledger(f"sqlite:///{path}")
    before = ChannelAccount(CONFIG, balance=10_000)
    ledger.writer.store([Change(channel, None, before) for channel in (CHANNEL, OTHER)])
    changes = [Change(channel, before, replace(before, charged=40)) for channel in (CHANNEL, OTHER)]
    with closing(sqlite3.connect(path)) as database:
        refuse = f"WHEN NEW.channel_id = x'{OTHER.hex()}' BEGIN SELECT RAISE(ABORT, 'refused'); END"
        database.execute(f"CREATE TRIGGER refusing BEFORE UPDATE ON channels {refuse}")
        with pytest.raises(sqlite3.IntegrityError, match="refused"):
            ledger.writer.store(changes)
        assert ledger.account(CHANNEL).charged == ledger.account(OTHER).charged == 0
        database.execute("DROP TRIGGER refusing")
    ledger.writer.store(changes)
    assert ledger.account(CHANNEL).charged == ledger.account(OTHER).charged == 40
    ledger.close()


def test_closing_writes_what_the_disk_refused(
    ledger: SoleLedger, disk: FailingLedger, tmp_path: Path
) -> None:
    disk.writer.full = disk.writer.landed = True
    with pytest.raises(OperationalError):
        serve(ledger, 30)
    disk.writer.full = False
    ledger.close()
    assert on_disk(tmp_path) == 0


def written_in(disk: FailingLedger, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The threads that write from now on."""
    threads: list[int] = []
    store = disk.writer.store

    def storing(changes: Sequence[Change]) -> None:
        threads.append(threading.get_ident())
        store(changes)

    monkeypatch.setattr(disk.writer, "store", storing)
    return threads


def test_after_a_slow_commit_the_loop_is_spared_the_next(
    disk: FailingLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = SoleLedger(disk)
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10_000, 0, 0, 0))
    threads = written_in(disk, monkeypatch)
    clock = SimpleNamespace(perf_counter=chain([0], repeat(1)).__next__)
    monkeypatch.setattr(sole_ledger, "time", clock)
    monkeypatch.setattr(ledger, "_took_seconds", 0)
    for _ in range(3):
        serve(ledger, 40)
        with ledger._writing:  # whoever has written is done with it
            pass
    here = threading.get_ident()
    assert [thread == here for thread in threads] == [True, False, True]
    ledger.close()


def test_nobody_waits_in_the_loop_for_another_who_writes(ledger: SoleLedger, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        charged = ledger.charge(ledger.admit(CHANNEL, PRICE, b"signed", PRICE), 40)
        ledger.commit()
        assert not charged.written.done()
        other.execute("COMMIT")
    charged.written.result(10)
    assert on_disk(tmp_path) == 40
    ledger.close()


def test_a_call_ends_once(ledger: SoleLedger) -> None:
    admitted = ledger.admit(CHANNEL, PRICE, b"signed", PRICE)
    ledger.charge(admitted, 40)
    ledger.release(admitted)
    with pytest.raises(UnknownChannelError):
        ledger.charge(admitted, 40)
    account = ledger.account(CHANNEL)
    assert (account.charged, account.reserved) == (40, 0)
    ledger.close()

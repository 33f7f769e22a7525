"""Whose work was charged for, as it is kept: by member and period, across restarts and gateways."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.exc import SQLAlchemyError

from wellhead.gateway.chain_clock import ChainClock
from wellhead.gateway.pool import billed_work
from wellhead.gateway.pool.billed_work import BilledWork
from wellhead.reference.pool_receipt import Receipt

POOL, OTHER_POOL = "0x" + "aa" * 20, "0x" + "bb" * 20


class Periods:
    """The period under way, as the test has it."""

    def __init__(self) -> None:
        self.now = 1

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def periods() -> Periods:
    return Periods()


def test_a_receipt_counts_from_where_the_last_period_ended(ledger_url: str, periods: Periods) -> None:
    work = BilledWork(ledger_url, 1, POOL, periods)
    for period, units in ((1, 100), (1, 11), (2, 7), (4, 1)):
        periods.now = period
        work.add(5, units)
    periods.now = 2
    work.add(3, 40)
    work.flush()
    assert work.receipts(1) == [Receipt(5, 1, 0, 111)]
    assert work.receipts(2) == [Receipt(3, 2, 0, 40), Receipt(5, 2, 111, 118)]
    assert work.receipts(3) == []
    assert work.receipts(4) == [Receipt(5, 4, 118, 119)]


def test_what_was_written_is_there_after_a_restart_and_added_to(ledger_url: str, periods: Periods) -> None:
    for _ in range(3):
        work = BilledWork(ledger_url, 1, POOL, periods)
        work.add(5, 10)
        work.close()
    assert BilledWork(ledger_url, 1, POOL, periods).receipts(1) == [Receipt(5, 1, 0, 30)]


def test_several_gateways_count_together_and_pools_apart(ledger_url: str, periods: Periods) -> None:
    one, two = (BilledWork(ledger_url, 1, POOL, periods) for _ in range(2))
    strangers = [BilledWork(ledger_url, 1, OTHER_POOL, periods), BilledWork(ledger_url, 2, POOL, periods)]
    for work in (one, two, *strangers):
        work.add(5, 10)
        work.flush()
    assert one.receipts(1) == two.receipts(1) == [Receipt(5, 1, 0, 20)]
    assert [work.receipts(1) for work in strangers] == [[Receipt(5, 1, 0, 10)]] * 2


def test_work_before_the_first_period_counts_for_nothing(ledger_url: str, periods: Periods) -> None:
    periods.now = 0
    work = BilledWork(ledger_url, 1, POOL, periods)
    work.add(5, 10)
    work.flush()
    assert work.receipts(0) == work.receipts(1) == []


def test_what_cannot_be_written_is_kept(
    tmp_path: Path, periods: Periods, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = BilledWork(f"sqlite:///{tmp_path / 'l.db'}", 1, POOL, periods)
    work.add(5, 10)

    def refuse(*_: object) -> None:
        raise SQLAlchemyError("the disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(billed_work, "update", refuse)
        with pytest.raises(SQLAlchemyError):
            work.flush()
    work.add(5, 1)
    work.flush()
    assert work.receipts(1) == [Receipt(5, 1, 0, 11)]


def test_a_commit_that_perhaps_went_through_is_not_counted_again(tmp_path: Path, periods: Periods) -> None:
    work = BilledWork(f"sqlite:///{tmp_path / 'l.db'}", 1, POOL, periods)
    work.add(5, 10)

    @event.listens_for(work._engine, "commit", once=True)
    def lose_the_answer(connection: Connection) -> None:
        connection.exec_driver_sql("COMMIT")
        raise SQLAlchemyError("the connection was lost")

    with pytest.raises(SQLAlchemyError):
        work.flush()
    work.add(5, 1)
    work.flush()
    assert work.receipts(1) == [Receipt(5, 1, 0, 11)]


def test_it_is_written_by_itself_and_a_failure_is_tried_again(
    tmp_path: Path, periods: Periods, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(billed_work, "FLUSH_SECONDS", 0.001)
    work, reader = (BilledWork(f"sqlite:///{tmp_path / 'l.db'}", 1, POOL, periods) for _ in range(2))
    failures = iter([SQLAlchemyError("locked")])

    def flush(original: Callable[[], None] = work.flush) -> None:
        if failure := next(failures, None):
            raise failure
        original()

    monkeypatch.setattr(work, "flush", flush)
    work.add(5, 10)

    async def written() -> list[Receipt]:
        writing = asyncio.create_task(work.run())
        while not (receipts := reader.receipts(1)):
            await asyncio.sleep(0)
        writing.cancel()
        return receipts

    assert asyncio.run(asyncio.wait_for(written(), 20)) == [Receipt(5, 1, 0, 10)]


def test_the_chains_clock_goes_on_between_blocks() -> None:
    ticks = iter([100.0, 107.9, 200.0, 200.5])
    clock = ChainClock(lambda: next(ticks))
    assert clock.now() == 0
    clock.saw(1_000)
    clock.saw(1_000)  # no new block: no new look at this machine's clock
    assert clock.now() == 1_007
    clock.saw(1_012)
    assert clock.now() == 1_012

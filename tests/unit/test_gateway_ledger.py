"""The ledger on either database: nothing is charged twice, nothing that was charged is lost."""

from __future__ import annotations

import random
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, text

from moved_clock import MovedClock
from wellhead.database import make_tables, open_database
from wellhead.gateway.channels.book import NOTHING, AdmissionError
from wellhead.gateway.channels.ledger import Ledger, OpenRefund, UnknownChannelError
from wellhead.reference.channel import MAX_AMOUNT, ChannelConfig, ChannelFigures

CHANNEL, OTHER = b"\x01" * 32, b"\x02" * 32
CONFIG = ChannelConfig(*["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"] * 5, 900, bytes(32))
SIGNATURE = b"\x03" * 65
PRICE = 100
SECONDS = 60.0


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def ledger(ledger_url: str, clock: MovedClock) -> Iterator[Ledger]:
    opened = Ledger(ledger_url, clock)
    fund(opened)
    yield opened
    opened.close()


def fund(ledger: Ledger, channel: bytes = CHANNEL, balance: int = 10_000, claimed: int = 0) -> None:
    try:
        before = ledger.account(channel).figures
    except UnknownChannelError:
        before = NOTHING
    ledger.seen(channel, CONFIG, ChannelFigures(balance, claimed, 0, 0), before)


def serve(ledger: Ledger, cost: int = PRICE, channel: bytes = CHANNEL) -> None:
    """One call at PRICE that costs `cost`."""
    ceiling = ledger.account(channel).charged + PRICE
    ledger.charge(ledger.admit(channel, ceiling, SIGNATURE, PRICE, SECONDS), cost)


def test_a_call_is_admitted_and_charged(ledger: Ledger) -> None:
    admitted = ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    assert ledger.account(CHANNEL).reserved == PRICE
    charged = ledger.charge(admitted, 40)
    assert ledger.account(CHANNEL) == charged
    assert (charged.charged, charged.reserved, charged.signed_ceiling) == (40, 0, PRICE)
    assert charged.signature == SIGNATURE
    assert charged.config == CONFIG


def test_a_released_call_leaves_nothing(ledger: Ledger) -> None:
    admitted = ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    ledger.release(admitted)
    ledger.release(admitted)
    account = ledger.account(CHANNEL)
    assert (account.charged, account.reserved) == (0, 0)


def test_a_call_is_charged_once(ledger: Ledger) -> None:
    admitted = ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    ledger.charge(admitted, 40)
    for again in (lambda: ledger.charge(admitted, 40), lambda: ledger.charge(admitted, 0)):
        with pytest.raises(UnknownChannelError):
            again()
    assert ledger.account(CHANNEL).charged == 40


def test_a_refusal_changes_nothing(ledger: Ledger) -> None:
    before = ledger.account(CHANNEL)
    with pytest.raises(AdmissionError):
        ledger.admit(CHANNEL, PRICE + 1, SIGNATURE, PRICE, SECONDS)
    assert ledger.account(CHANNEL) == before
    admitted = ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    with pytest.raises(AdmissionError):
        ledger.charge(admitted, PRICE + 1)
    account = ledger.account(CHANNEL)
    assert (account.charged, account.reserved) == (0, PRICE)


def test_what_a_dead_worker_reserved_expires(ledger: Ledger, clock: MovedClock) -> None:
    forgotten = ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    clock.now += SECONDS
    assert ledger.account(CHANNEL).reserved == 0
    with pytest.raises(UnknownChannelError):
        ledger.charge(forgotten, PRICE)
    serve(ledger)
    assert ledger.account(CHANNEL).charged == PRICE


def test_calls_under_way_are_kept_by_name_and_nobody_elses(
    ledger: Ledger, ledger_url: str, clock: MovedClock
) -> None:
    other = Ledger(ledger_url, clock)
    streaming = ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    stalled = other.admit(CHANNEL, 2 * PRICE, SIGNATURE, PRICE, SECONDS, concurrent=True)
    for _ in range(3):
        clock.now += SECONDS - 1
        ledger.renew({streaming.admission_id}, SECONDS)
    assert ledger.account(CHANNEL).reserved == PRICE
    assert ledger.charge(streaming, PRICE).charged == PRICE
    other.renew({stalled.admission_id}, SECONDS)  # came back too late: what it had is gone
    assert ledger.account(CHANNEL).reserved == 0
    other.close()


def test_a_gateway_that_is_alone_starts_with_nothing_reserved(ledger: Ledger) -> None:
    ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    ledger.drop_admissions()
    assert ledger.account(CHANNEL).reserved == 0


def test_figures_that_others_overtook_change_nothing(ledger: Ledger) -> None:
    before = ledger.account(CHANNEL).figures
    newer = ledger.seen(CHANNEL, CONFIG, before._replace(withdraw_requested_at=5), before)
    assert ledger.seen(CHANNEL, CONFIG, before._replace(balance=1), before) == newer
    assert ledger.account(CHANNEL) == newer
    assert newer.withdraw_requested_at == 5


def test_a_channel_held_for_a_refund_opens_when_the_chains_nonce_moves(
    ledger: Ledger, ledger_url: str, clock: MovedClock
) -> None:
    """Neither time nor another worker ends it before; and if the chain goes back, the refund may come once more."""
    ledger.hold(CHANNEL, 0)
    clock.now += 10**6
    ledger.renew((), SECONDS)
    ledger.drop_admissions()
    other = Ledger(ledger_url, clock)
    for worker in (ledger, other):
        with pytest.raises(AdmissionError, match="refund"):
            worker.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    before = ledger.account(CHANNEL).figures
    refunded = before._replace(balance=PRICE, refund_nonce=1)
    other.seen(CHANNEL, CONFIG, refunded, before)
    ledger.release(ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS))
    other.seen(CHANNEL, CONFIG, before, refunded)
    with pytest.raises(AdmissionError, match="refund"):
        ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    other.close()


def test_a_chain_that_went_back_by_two_refunds_may_bring_both_again(ledger: Ledger) -> None:
    figures = [ledger.account(CHANNEL).figures._replace(refund_nonce=nonce) for nonce in range(3)]
    for before, after in pairwise(figures):
        ledger.hold(CHANNEL, 0)
        ledger.seen(CHANNEL, CONFIG, after, before)
    assert not ledger.account(CHANNEL).is_refunding
    assert ledger.seen(CHANNEL, CONFIG, figures[0], figures[2]).is_refunding
    ledger.hold(CHANNEL, 0)
    assert ledger.seen(CHANNEL, CONFIG, figures[1], figures[0]).is_refunding
    assert not ledger.seen(CHANNEL, CONFIG, figures[2], figures[1]).is_refunding


def test_what_channels_are_shut_for_is_known_to_every_worker(
    ledger: Ledger, ledger_url: str, clock: MovedClock
) -> None:
    fund(ledger, OTHER)
    ledger.hold(CHANNEL, 0, 40)
    ledger.hold(OTHER, 0)
    other = Ledger(ledger_url, clock)
    assert set(other.refunds()) == {OpenRefund(CHANNEL, 0, 40), OpenRefund(OTHER, 0, None)}
    before = ledger.account(CHANNEL).figures
    ledger.seen(CHANNEL, CONFIG, before._replace(refund_nonce=1), before)
    assert other.refunds() == [OpenRefund(OTHER, 0, None)]
    other.close()


def test_a_ledger_of_before_refunds_had_sums_is_taken_over(
    ledger: Ledger, ledger_url: str, clock: MovedClock
) -> None:
    ledger.hold(CHANNEL, 0, 40)
    engine = open_database(ledger_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE refunds DROP COLUMN asked"))
    engine.dispose()
    newer = Ledger(ledger_url, clock)
    assert newer.refunds() == [OpenRefund(CHANNEL, 0, None)]
    newer.hold(CHANNEL, 0, 50)
    assert newer.refunds() == [OpenRefund(CHANNEL, 0, 50)]
    newer.close()


def test_only_a_hold_that_nobody_asked_for_again_is_lifted(ledger: Ledger) -> None:
    assert ledger.lift(ledger.hold(CHANNEL, 0))
    first, second = ledger.hold(CHANNEL, 0), ledger.hold(CHANNEL, 0)
    assert (ledger.lift(first), ledger.lift(second)) == (False, False)
    assert ledger.account(CHANNEL).is_refunding


def test_no_hold_while_a_call_is_under_way_or_on_another_sum(ledger: Ledger) -> None:
    with pytest.raises(AdmissionError, match="signed over"):
        ledger.hold(CHANNEL, 1)
    ledger.admit(CHANNEL, PRICE, SIGNATURE, PRICE, SECONDS)
    with pytest.raises(AdmissionError, match="under way"):
        ledger.hold(CHANNEL, 0)
    assert not ledger.account(CHANNEL).is_refunding


def test_an_unknown_channel_is_named(ledger: Ledger) -> None:
    with pytest.raises(UnknownChannelError, match=OTHER.hex()):
        ledger.admit(OTHER, PRICE, SIGNATURE, PRICE, SECONDS)
    with pytest.raises(UnknownChannelError):
        ledger.account(OTHER)


def test_amounts_have_128_bits(ledger: Ledger) -> None:
    fund(ledger, OTHER, balance=MAX_AMOUNT)
    admitted = ledger.admit(OTHER, MAX_AMOUNT, SIGNATURE, MAX_AMOUNT, SECONDS)
    assert ledger.charge(admitted, MAX_AMOUNT).unclaimed == MAX_AMOUNT
    assert ledger.account(OTHER).charged == MAX_AMOUNT


def test_the_longest_waiting_is_claimed_first(ledger: Ledger, clock: MovedClock) -> None:
    assert ledger.claimable() == []
    fund(ledger, OTHER)
    serve(ledger, channel=OTHER)
    clock.now += 10
    serve(ledger)
    serve(ledger, channel=OTHER)
    assert [(found.channel_id, found.unclaimed_since) for found in ledger.claimable()] == [
        (OTHER, 1_000.0),
        (CHANNEL, 1_010.0),
    ]
    fund(ledger, OTHER, claimed=2 * PRICE)
    assert [found.channel_id for found in ledger.claimable()] == [CHANNEL]


def test_what_is_charged_after_a_claim_waits_from_then(ledger: Ledger, clock: MovedClock) -> None:
    serve(ledger)
    serve(ledger)
    clock.now += 10
    fund(ledger, claimed=PRICE)
    (waiting,) = ledger.claimable()
    assert (waiting.account.unclaimed, waiting.unclaimed_since) == (PRICE, 1_010.0)


def test_a_call_that_cost_nothing_leaves_nothing_to_claim(ledger: Ledger) -> None:
    serve(ledger, cost=0)
    assert ledger.claimable() == []


def test_workers_never_charge_on_the_same_ceiling(ledger_url: str) -> None:
    """Four ledgers on one database, each taking whatever ceiling it finds free, as their customers would."""
    first = Ledger(ledger_url)
    fund(first, balance=10**9)
    served: list[int] = []
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        source, own = random.Random(seed), Ledger(ledger_url)
        try:
            for _ in range(15):
                account = own.account(CHANNEL)
                try:
                    admitted = own.admit(CHANNEL, account.charged + PRICE, SIGNATURE, PRICE, SECONDS)
                except AdmissionError:
                    continue
                cost = source.randrange(PRICE + 1)
                own.charge(admitted, cost)
                served.append(cost)
        except BaseException as error:
            failures.append(error)
        finally:
            own.close()

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert len(served) > 5
    account = first.account(CHANNEL)
    first.close()
    assert account.charged == sum(served) <= account.signed_ceiling
    assert account.reserved == 0


def at_once(work: Callable[[Engine], object], url: str) -> None:
    """Four workers with open connections do it together; raises what one of them raises."""
    together = threading.Barrier(4)

    def begin(_: int) -> None:
        engine = open_database(url)
        engine.connect().close()
        together.wait(20)
        work(engine)
        engine.dispose()

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(begin, range(4)))


def test_workers_that_start_at_once_make_tables_once(ledger_url: str) -> None:
    for number in range(5):
        tables = MetaData()
        Table(f"table_{number}", tables, Column("id", Integer, primary_key=True))

        def make(engine: Engine, tables: MetaData = tables) -> None:
            make_tables(engine, tables)

        at_once(make, ledger_url)


def test_workers_that_open_a_new_database_at_once_wait_for_each_other(tmp_path: Path) -> None:
    for number in range(80):
        url = f"sqlite:///{tmp_path}/{number}.db"
        together = threading.Barrier(8)

        def opened(_: int, url: str = url, together: threading.Barrier = together) -> None:
            engine = open_database(url)
            together.wait(20)
            engine.connect().close()
            engine.dispose()

        with ThreadPoolExecutor(8) as threads:
            list(threads.map(opened, range(8)))


def test_workers_that_meet_a_channel_at_once_know_it_once(ledger_url: str) -> None:
    first = Ledger(ledger_url)
    for number in range(5):
        channel = number.to_bytes(32, "big")

        def meet(engine: Engine, channel: bytes = channel) -> None:
            ledger = Ledger(str(engine.url))
            fund(ledger, channel)
            ledger.close()

        at_once(meet, ledger_url)
        serve(first, channel=channel)
    first.close()

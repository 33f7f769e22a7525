"""Two gateways over one PostgreSQL: a channel is used through both at once, and one of them settles."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from gateway_stage import PRICE_USD6, REQUEST, OpenStage, Stage, channel_client, purse, until
from loopback import serving
from sqlalchemy.exc import OperationalError
from x402.http.utils import decode_payment_response_header

from wellhead.chain import keys
from wellhead.customer.clients import paying_client
from wellhead.database import DatabaseClock, open_database
from wellhead.gateway.assembly import Gateway, open_settler
from wellhead.gateway.channels import books
from wellhead.gateway.channels.book import AdmissionError, ChannelAccount
from wellhead.gateway.channels.books import SharedBooks
from wellhead.gateway.channels.ledger import Ledger
from wellhead.reference.channel import ChannelConfig, ChannelFigures

CALLS = 60
CHANNEL, PRICE = b"\x01" * 32, 100
CONFIG = ChannelConfig(*["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"] * 5, 900, bytes(32))


class Pair(NamedTuple):
    """Two gateways that sell the same; each pays the gas of deposits with a key of its own."""

    stage: Stage
    other: Gateway
    urls: tuple[str, str]

    @property
    def settling(self) -> list[bool]:
        return [gateway._settler.status().settles for gateway in (self.stage.gateway, self.other)]

    def account(self) -> ChannelAccount:
        """The one channel there is."""
        (found,) = asyncio.run(self.other.books.claimable())
        return found.account


@pytest.fixture
def pair(open_stage: OpenStage, postgres_url: str) -> Iterator[Pair]:
    with open_stage(ledger_url=postgres_url) as stage:
        other = Gateway(stage.config, keys.local_account("treasury"), keys.local_account("authorizer"))
        with serving(other.app) as url:
            yield Pair(stage, other, (stage.url, url))


def test_one_channel_through_both_gateways_at_once(pair: Pair) -> None:
    """More calls at once than either has threads for, through several deposits."""

    async def story() -> list[httpx.Response]:
        own = purse(pair.stage, usd6_per_deposit=20 * PRICE_USD6)
        async with paying_client(own) as http:
            calls = [http.post(f"{pair.urls[n % 2]}/v1/embeddings", json=REQUEST) for n in range(CALLS)]
            return list(await asyncio.gather(*calls))

    answers = asyncio.run(story())
    receipts = [
        int((decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"]).extra or {})["chargedAmount"])
        for answer in answers
        if answer.status_code == 200
    ]
    account = pair.account()
    assert account.charged == sum(receipts) == len(pair.stage.upstream.answered) * PRICE_USD6
    assert account.reserved == 0
    assert account.charged <= account.signed_ceiling
    assert len(receipts) == CALLS


def test_a_stock_client_may_go_from_one_gateway_to_the_other(pair: Pair) -> None:
    async def story() -> list[dict[str, Any]]:
        http, _ = channel_client(pair.stage)
        async with http:
            answers = [await http.post(f"{pair.urls[n % 2]}/v1/embeddings", json=REQUEST) for n in range(6)]
        return [
            decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"]).extra or {}
            for answer in answers
        ]

    states = [receipt["channelState"]["chargedCumulativeAmount"] for receipt in asyncio.run(story())]
    assert states == [str(number * PRICE_USD6) for number in range(1, 7)]


def test_a_refusal_tells_what_the_other_gateway_has_charged_meanwhile(
    pair: Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between this one's reading and its admitting: x402's client corrects its books by that."""
    admit, came_between = pair.other.books.admit, False

    async def late_admit(*arguments: Any, **options: Any) -> Any:
        nonlocal came_between
        if not came_between:
            came_between = True
            async with paying_client(purse(pair.stage)) as own:
                assert (await own.post(f"{pair.urls[0]}/v1/embeddings", json=REQUEST)).status_code == 200
        return await admit(*arguments, **options)

    monkeypatch.setattr(pair.other.books, "admit", late_admit)

    async def story() -> list[int]:
        http, _ = channel_client(pair.stage)
        async with http:
            return [(await http.post(f"{url}/v1/embeddings", json=REQUEST)).status_code for url in pair.urls]

    assert asyncio.run(story()) == [200, 200]
    assert pair.account().charged == 3 * PRICE_USD6


def test_one_of_them_settles_for_both(pair: Pair) -> None:
    async def story() -> None:
        async with paying_client(purse(pair.stage)) as http:
            for url in pair.urls * 2:
                assert (await http.post(f"{url}/v1/embeddings", json=REQUEST)).status_code == 200

    asyncio.run(story())
    until(lambda: any(pair.settling))
    assert sorted(pair.settling) == [False, True]
    config = pair.stage.config
    ledger = Ledger(config.ledger_url)
    beside = open_settler(
        *(pair.stage.w3, config.settle_router, keys.local_account("authorizer"), ledger, config.ledger_url)
    )
    before = pair.stage.w3.eth.get_transaction_count(keys.local_account("authorizer").address)
    settled = beside.settle_now(20)  # asks the one that settles
    assert (settled.claimed_usd6, settled.channels) == (4 * PRICE_USD6, 1)
    assert pair.stage.earned_usd6 == 4 * PRICE_USD6
    assert pair.stage.w3.eth.get_transaction_count(keys.local_account("authorizer").address) == before + 1
    beside.stop()
    ledger.close()


def test_a_gateway_that_dies_leaves_the_settling_to_the_other(pair: Pair) -> None:
    until(lambda: any(pair.settling))
    first, second = (pair.stage.gateway, pair.other)
    holder, heir = (first, second) if pair.settling[0] else (second, first)
    holder._settler.stop()
    until(lambda: heir._settler.status().settles)


@pytest.mark.parametrize("ahead_seconds", [3_600, -3_600])
def test_gateways_whose_clocks_differ_mean_the_same_moment(
    postgres_url: str, ahead_seconds: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, signature, now = Ledger(postgres_url), b"\x03" * 65, time.time()
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10**9, 0, 0, 0))
    monkeypatch.setattr(time, "time", lambda: now + ahead_seconds)
    other = Ledger(postgres_url)
    assert abs(other.clock() - ledger.clock()) < 1
    served = ledger.admit(CHANNEL, PRICE, signature, PRICE, 30)
    other.renew((), 30)
    assert other.account(CHANNEL).reserved == PRICE
    assert ledger.charge(served, PRICE).charged == PRICE
    ledger.admit(CHANNEL, 2 * PRICE, signature, PRICE, 0)  # by one that died
    other.renew((), 30)
    assert other.account(CHANNEL).reserved == 0
    other.close()
    ledger.close()


def test_a_clock_whose_database_answers_late_goes_on_as_it_was(postgres_url: str) -> None:
    # Asked and answered, then read; thrice.
    moments = iter([0.0, 0.2, 10.0, 20.0, 30.0, 30.0, 30.0, 30.2, 30.0])
    engine = open_database(postgres_url)
    clock = DatabaseClock(engine, lambda: next(moments))
    first = clock()
    clock.compare()
    assert clock() == first + 20
    clock.compare()
    assert clock() < first + 1  # for all that is known, no time has passed
    engine.dispose()


def test_a_call_is_reserved_as_long_as_it_lasts_and_no_longer(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one whose end the database did not take: nobody renews that."""
    monkeypatch.setattr(books, "RENEW_SECONDS", 0.05)
    monkeypatch.setattr(books, "RESERVED_SECONDS", 0.5)
    ledger = Ledger(postgres_url)
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10**9, 0, 0, 0))
    shared = SharedBooks(Ledger(postgres_url))

    def refuse(*_: object, **__: object) -> None:
        raise OperationalError("the database is away", None, Exception())

    async def story() -> None:
        streaming = await shared.admit(CHANNEL, 2 * PRICE, bytes(65), PRICE, concurrent=True)
        lost = await shared.admit(CHANNEL, 2 * PRICE, bytes(65), PRICE, concurrent=True)
        with monkeypatch.context() as away:
            away.setattr(shared._ledger, "carry_out", refuse)
            with pytest.raises(OperationalError):
                await shared.release(lost)
        await asyncio.to_thread(until, lambda: ledger.account(CHANNEL).reserved == PRICE)
        await asyncio.sleep(1)  # twice as long as it would last by itself
        assert (await shared.charge(streaming, PRICE)).charged == PRICE
        await shared.close()

    asyncio.run(story())
    ledger.close()


def test_many_steps_at_once_on_one_channel_wait_their_turn(postgres_url: str) -> None:
    """More than there are threads and connections, of two workers; none is lost, none gives up."""
    workers = [SharedBooks(Ledger(postgres_url)) for _ in range(2)]
    ledger = Ledger(postgres_url)
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10**9, 0, 0, 0))

    async def call(number: int) -> None:
        worker = workers[number % 2]
        admitted = await worker.admit(CHANNEL, 200 * PRICE, bytes(65), PRICE, concurrent=True)
        if number % 5:
            await worker.charge(admitted, PRICE)
        else:
            await worker.release(admitted)

    async def story() -> None:
        await asyncio.gather(*(call(number) for number in range(200)))
        with pytest.raises(AdmissionError):
            await workers[0].admit(CHANNEL, 0, bytes(65), 41 * PRICE, concurrent=True)
        for worker in workers:
            await worker.close()

    asyncio.run(story())
    account = ledger.account(CHANNEL)
    assert (account.charged, account.reserved) == (160 * PRICE, 0)
    ledger.close()


def test_whose_customer_has_gone_is_charged_what_was_served_and_reserves_nothing(postgres_url: str) -> None:
    ledger = Ledger(postgres_url)
    ledger.seen(CHANNEL, CONFIG, ChannelFigures(10**9, 0, 0, 0))
    shared = SharedBooks(Ledger(postgres_url))

    async def story() -> None:
        served = await shared.admit(CHANNEL, PRICE, bytes(65), PRICE, concurrent=True)
        gone: list[asyncio.Task[Any]] = [
            asyncio.create_task(shared.charge(served, PRICE)),
            asyncio.create_task(shared.admit(CHANNEL, 2 * PRICE, bytes(65), PRICE, concurrent=True)),
        ]
        await asyncio.sleep(0)  # they have begun
        for task in gone:
            task.cancel()
        await asyncio.wait(gone)
        await shared.close()

    asyncio.run(story())
    account = ledger.account(CHANNEL)
    assert (account.charged, account.reserved, account.signed_ceiling) == (PRICE, 0, 2 * PRICE)
    ledger.close()


def test_a_channel_that_another_gateway_has_holds_up_no_other(postgres_url: str) -> None:
    ledger, other = Ledger(postgres_url), b"\x02" * 32
    for channel_id in (CHANNEL, other):
        ledger.seen(channel_id, CONFIG, ChannelFigures(10**9, 0, 0, 0))
    shared = SharedBooks(Ledger(postgres_url))

    async def story() -> None:
        with ledger._locked(CHANNEL):
            held = asyncio.create_task(shared.admit(CHANNEL, PRICE, bytes(65), PRICE, concurrent=True))
            for number in range(1, 4):
                served = await shared.admit(other, number * PRICE, bytes(65), PRICE, concurrent=False)
                await shared.charge(served, PRICE)
            assert not held.done()
        await shared.charge(await held, PRICE)
        await shared.close()

    asyncio.run(story())
    assert [ledger.account(channel_id).charged for channel_id in (CHANNEL, other)] == [PRICE, 3 * PRICE]
    ledger.close()

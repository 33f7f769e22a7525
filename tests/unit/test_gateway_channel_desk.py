"""Deposits and refunds at the desk, over either kind of books: sent once, and nothing sold that may be given back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest
from eth_account import Account
from eth_typing import Hash32
from x402.mechanisms.evm.batch_settlement.errors import (
    ERR_CHANNEL_BUSY,
    ERR_CUMULATIVE_EXCEEDS_BALANCE,
    ERR_REFUND_AMOUNT_INVALID,
    ERR_REFUND_NO_BALANCE,
    ERR_REFUND_SIMULATION_FAILED,
    ERR_REFUND_TRANSACTION_FAILED,
)
from x402.mechanisms.evm.constants import ERR_SETTLEMENT_PENDING
from x402.schemas import PaymentPayload, PaymentRequirements, SettleResponse, VerifyResponse

from wellhead.deploy.canonical import SETTLEMENT
from wellhead.gateway.channels import refunds
from wellhead.gateway.channels.book import NOTHING, ChannelAccount
from wellhead.gateway.channels.books import Books, SharedBooks, SoleBooks
from wellhead.gateway.channels.chain import ChannelChain
from wellhead.gateway.channels.desk import ChannelDesk
from wellhead.gateway.channels.ledger import Ledger, UnknownChannelError
from wellhead.gateway.channels.payment import ChannelPayment, Kind
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.gateway.channels.watch import ChannelWatch
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.facilitator import CHAIN_UNAVAILABLE, Facilitator
from wellhead.gateway.prices import ANY_MODEL, ModelPrice
from wellhead.gateway.sale import PaymentRefusedError
from wellhead.gateway.terms import Terms, TokenDomain
from wellhead.reference import channel
from wellhead.reference.channel import ChannelConfig, ChannelFigures

PAYER, AUTHORIZER = Account.create(), Account.create()
ASSET, PAY_TO = Account.create().address, Account.create().address
MIN_DEPOSIT_USD6, BALANCE_USD6, PRICE_USD6 = 10_000, 1_000_000, 1_000
DOMAIN = channel.settlement_domain(31337, SETTLEMENT.address)
GATEWAY = GatewayConfig.model_validate(
    {
        "upstreams": ["http://127.0.0.1:1"],
        "models": [ModelPrice(id=ANY_MODEL, usd6_per_call=PRICE_USD6)],
        "rpc_url": "http://127.0.0.1:1",
        "chain_id": 31337,
        "asset": ASSET,
        "pay_to": PAY_TO,
        "settle_router": PAY_TO,
        "min_deposit_usd6": MIN_DEPOSIT_USD6,
    }
)
CONFIG = ChannelConfig(
    PAYER.address, PAYER.address, PAY_TO, AUTHORIZER.address, ASSET, GATEWAY.withdraw_delay_seconds, bytes(32)
)
CHANNEL = channel.channel_id(DOMAIN, CONFIG)


async def nothing_is_sent() -> bool:
    return False


class Chain:
    """Stands for the chain, x402's facilitator on it and the watch that tells the books; `outcome` is the next one."""

    def __init__(self, books: Books, figures: ChannelFigures = NOTHING) -> None:
        self.books, self.figures = books, figures
        self.sent: list[PaymentRequirements] = []
        self.outcome = ""
        self.mined = asyncio.Event()
        self.mined.set()
        self.asked_for_sending: Callable[[], Awaitable[bool]] = nothing_is_sent

    # The watch's part.

    def is_blind(self) -> bool:
        return False

    def knows(self, _: bytes) -> bool:
        return self.figures != NOTHING

    async def read(self, channel_id: bytes, config: ChannelConfig) -> ChannelAccount:
        try:
            account = await self.books.account(channel_id)
        except UnknownChannelError:
            account = ChannelAccount(config)
        if self.figures == NOTHING:
            return account
        return await self.books.seen(channel_id, config, self.figures, account.figures)

    # The facilitator's part.

    async def is_sending(self) -> bool:
        return await self.asked_for_sending()

    async def verify(self, _: PaymentPayload, __: PaymentRequirements) -> VerifyResponse:
        return VerifyResponse(is_valid=True)

    async def settle(self, payload: PaymentPayload, terms: PaymentRequirements) -> SettleResponse:
        if payload.payload["type"] == "settle":
            return self.answer()
        self.sent.append(terms)
        await self.mined.wait()
        outcome = self.outcome
        nonce = str(self.figures.refund_nonce)
        if payload.payload.get("refundNonce", nonce) != nonce:
            outcome = ERR_REFUND_SIMULATION_FAILED
        if outcome:
            transaction = "" if outcome == ERR_REFUND_SIMULATION_FAILED else "0x01"
            return SettleResponse(
                success=False, error_reason=outcome, transaction=transaction, network=GATEWAY.network
            )
        if payload.payload["type"] == "deposit":
            added = int(payload.payload["deposit"]["amount"])
            self.figures = self.figures._replace(balance=self.figures.balance + added)
        else:
            self.refund(int(payload.payload["amount"]))
        return self.answer()

    def refund(self, amount: int) -> None:
        balance, claimed, nonce, _ = self.figures
        self.figures = ChannelFigures(balance - amount, claimed, nonce + 1, 0)

    def answer(self) -> SettleResponse:
        return SettleResponse(success=True, transaction="0x01", network=GATEWAY.network)


class Shop:
    """A desk over a chain; `reopen` is what a new process would have."""

    def __init__(self, url: str, figures: ChannelFigures = NOTHING) -> None:
        ledger = Ledger(url)
        self.books: Books = SoleBooks(SoleLedger(ledger)) if url.startswith("sqlite") else SharedBooks(ledger)
        self.chain = Chain(self.books, figures)
        self.chain_side = ChannelChain(
            SETTLEMENT.address,
            cast(Facilitator, self.chain),
            AUTHORIZER,
            cast(ChannelWatch, self.chain),
        )
        terms = Terms(GATEWAY, TokenDomain("USD", "1"), AUTHORIZER.address)
        self.desk = ChannelDesk(terms, self.books, self.chain_side)

    async def buy(self, ceiling: int = PRICE_USD6) -> int:
        """A call that costs all of its ceiling; what it was charged."""
        sale = await self.desk.open(payment(Kind.VOUCHER, ceiling), ceiling)
        return (await sale.charge(ceiling)).charged_usd6

    async def refused(self, step: Awaitable[object]) -> str:
        with pytest.raises(PaymentRefusedError) as error:
            await step
        return error.value.code


@asynccontextmanager
async def shop(url: str, figures: ChannelFigures = NOTHING) -> AsyncIterator[Shop]:
    opened = Shop(url, figures)
    if figures != NOTHING:
        await opened.chain.read(CHANNEL, CONFIG)
    yield opened
    await opened.books.close()


def payment(kind: Kind, ceiling: int, amount: int | None = None) -> ChannelPayment:
    """Signed by the payer; a deposit or a refund of `amount`."""
    digest = Hash32(channel.voucher_digest(DOMAIN, CHANNEL, ceiling))
    wire = {
        "payer": CONFIG.payer,
        "payerAuthorizer": CONFIG.payer_authorizer,
        "receiver": CONFIG.receiver,
        "receiverAuthorizer": CONFIG.receiver_authorizer,
        "token": CONFIG.token,
        "withdrawDelay": CONFIG.withdraw_delay,
        "salt": "0x" + CONFIG.salt.hex(),
    }
    payload: dict[str, Any] = {"type": kind.value, "channelConfig": wire}
    if kind is Kind.DEPOSIT:
        payload["deposit"] = {"amount": str(amount)}
    return ChannelPayment(
        kind=kind,
        network=GATEWAY.network,
        accepted_amount=ceiling,
        config=CONFIG,
        claimed_channel_id=CHANNEL,
        max_claimable_amount=ceiling,
        signature=bytes(PAYER.unsafe_sign_hash(digest).signature),
        deposit_amount=(amount or 0) if kind is Kind.DEPOSIT else 0,
        refund_amount=amount if kind is Kind.REFUND else None,
        concurrent=True,
        payload=payload,
    )


FUNDED = ChannelFigures(BALANCE_USD6, 0, 0, 0)
Story = Callable[[Shop], Awaitable[None]]


def played(url: str, story: Story, figures: ChannelFigures = FUNDED) -> None:
    async def play() -> None:
        async with shop(url, figures) as opened, asyncio.timeout(20):
            await story(opened)

    asyncio.run(play())


# Refunds --------------------------------------------------------------------------------------------

UNKNOWN = [ERR_SETTLEMENT_PENDING, ERR_REFUND_TRANSACTION_FAILED, CHAIN_UNAVAILABLE]


@pytest.mark.parametrize("outcome", UNKNOWN)
def test_while_a_refund_may_still_come_nothing_is_sold(ledger_url: str, outcome: str) -> None:
    """What was signed can be sent by whoever has seen it: only a nonce that moved ends it, and no restart does."""

    async def until_mined(shop: Shop) -> None:
        shop.chain.outcome = outcome
        assert await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0))) == outcome
        assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY

    async def after_a_restart(shop: Shop) -> None:
        assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY
        shop.chain.refund(BALANCE_USD6 - 5 * PRICE_USD6)
        await shop.chain.read(CHANNEL, CONFIG)
        assert await shop.refused(shop.buy(6 * PRICE_USD6)) == ERR_CUMULATIVE_EXCEEDS_BALANCE
        assert await shop.buy(5 * PRICE_USD6) == 5 * PRICE_USD6

    played(ledger_url, until_mined)
    played(ledger_url, after_a_restart)


def test_a_refund_and_its_balance_reach_the_books_in_one_step(ledger_url: str) -> None:
    """Whoever tries all the time gets in after the refund, and then by what it left."""

    async def story(shop: Shop) -> None:
        shop.chain.mined.clear()
        refunding = asyncio.create_task(shop.desk.refund(payment(Kind.REFUND, 0)))
        while not shop.chain.sent:
            await asyncio.sleep(0)
        refusals: list[str] = []

        async def buy() -> None:
            while ERR_CUMULATIVE_EXCEEDS_BALANCE not in refusals:
                refusals.append(await shop.refused(shop.buy()))
                await asyncio.sleep(0)

        buying = asyncio.create_task(buy())
        while len(refusals) < 3:
            await asyncio.sleep(0)
        shop.chain.mined.set()
        await asyncio.gather(refunding, buying)
        assert set(refusals) == {ERR_CHANNEL_BUSY, ERR_CUMULATIVE_EXCEEDS_BALANCE}
        assert (await shop.books.account(CHANNEL)).charged == 0

    played(ledger_url, story)


def test_a_refund_that_was_not_sent_leaves_the_channel_open(ledger_url: str) -> None:
    async def story(shop: Shop) -> None:
        shop.chain.outcome = ERR_REFUND_SIMULATION_FAILED
        assert await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0))) == ERR_REFUND_SIMULATION_FAILED
        assert await shop.buy() == PRICE_USD6

    played(ledger_url, story)


def test_a_refund_asked_for_again_may_fail_and_then_succeed(ledger_url: str) -> None:
    async def story(shop: Shop) -> None:
        for shop.chain.outcome in (ERR_SETTLEMENT_PENDING, ERR_REFUND_SIMULATION_FAILED):
            await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0)))
            assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY
        shop.chain.outcome = ""
        await shop.desk.refund(payment(Kind.REFUND, 0, BALANCE_USD6 // 2))
        assert await shop.buy() == PRICE_USD6

    played(ledger_url, story)


def test_a_refund_that_came_unnoticed_is_found_when_it_is_asked_for_again(ledger_url: str) -> None:
    async def story(shop: Shop) -> None:
        shop.chain.outcome = ERR_SETTLEMENT_PENDING
        await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0)))
        shop.chain.refund(0)
        assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY
        shop.chain.outcome = ""
        await shop.desk.refund(payment(Kind.REFUND, 0, BALANCE_USD6 // 2))
        assert (await shop.books.account(CHANNEL)).refund_nonce == 2

    played(ledger_url, story)


# Seen through -------------------------------------------------------------------------------------------------------

HALF_USD6 = BALANCE_USD6 // 2
Seconds = Callable[[int], Awaitable[None]]


@asynccontextmanager
async def looking_after(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Seconds]:
    """With somebody who sees refunds through; yields what lets some looks pass."""
    looks = asyncio.Semaphore(0)
    done = asyncio.Semaphore(0)
    begun = False

    async def pause(_seconds: float) -> None:
        nonlocal begun
        if begun:
            done.release()
        begun = True
        await looks.acquire()

    async def passed(count: int) -> None:
        for _ in range(count):
            looks.release()
            await done.acquire()

    monkeypatch.setattr(refunds, "sleep", pause)
    task = asyncio.create_task(shop.desk.refunds.run())
    try:
        yield passed
    finally:
        task.cancel()


async def sells_what_is_left(shop: Shop, left: int) -> None:
    assert await shop.refused(shop.buy(left + 1)) == ERR_CUMULATIVE_EXCEEDS_BALANCE
    assert await shop.buy(left) == left
    assert (await shop.books.account(CHANNEL)).charged == left


@pytest.mark.parametrize("outcome", UNKNOWN)
def test_a_refund_that_got_lost_is_sent_again_once_the_chain_is_back(
    ledger_url: str, outcome: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(shop: Shop) -> None:
        async with looking_after(shop, monkeypatch) as looks:
            shop.chain.outcome = outcome
            assert await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0, HALF_USD6))) == outcome
            await looks(3)
            assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY
            shop.chain.outcome = ""
            await looks(2)
            assert shop.chain.figures == ChannelFigures(HALF_USD6, 0, 1, 0)
            sent = len(shop.chain.sent)
            await looks(3)
            assert len(shop.chain.sent) == sent
            await sells_what_is_left(shop, HALF_USD6)

    played(ledger_url, story)


def test_a_refund_that_was_under_way_when_the_gateway_died_is_seen_through_by_the_next(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def until_killed(shop: Shop) -> None:
        await shop.buy()
        shop.chain.outcome = ERR_SETTLEMENT_PENDING
        await shop.refused(shop.desk.refund(payment(Kind.REFUND, PRICE_USD6, HALF_USD6)))

    async def after_a_restart(shop: Shop) -> None:
        async with looking_after(shop, monkeypatch) as looks:
            await looks(2)
            assert shop.chain.figures == ChannelFigures(HALF_USD6, 0, 1, 0)
            sale = await shop.desk.open(payment(Kind.VOUCHER, 2 * PRICE_USD6), PRICE_USD6)
            assert (await sale.charge(PRICE_USD6)).charged_usd6 == PRICE_USD6

    played(ledger_url, until_killed)
    played(ledger_url, after_a_restart)


def test_a_refund_that_a_reorganisation_undid_is_made_again(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunds, "LONGEST_PAUSE_SECONDS", 0.0)

    async def story(shop: Shop) -> None:
        async with looking_after(shop, monkeypatch) as looks:
            await shop.desk.refund(payment(Kind.REFUND, 0, HALF_USD6))
            await looks(2)
            shop.chain.figures = FUNDED
            await shop.chain.read(CHANNEL, CONFIG)
            assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY
            await looks(2)
            assert shop.chain.figures == ChannelFigures(HALF_USD6, 0, 1, 0)
            await sells_what_is_left(shop, HALF_USD6)

    played(ledger_url, story)


def test_a_refund_that_may_be_under_way_is_not_sent_again(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def it_is() -> bool:
        return True

    async def story(shop: Shop) -> None:
        async with looking_after(shop, monkeypatch) as looks:
            shop.chain.outcome, shop.chain.asked_for_sending = ERR_SETTLEMENT_PENDING, it_is
            await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0, HALF_USD6)))
            shop.chain.outcome = ""
            await looks(3)
            assert await shop.refused(shop.buy()) == ERR_CHANNEL_BUSY
            shop.chain.refund(HALF_USD6)  # mined, and no watch has noticed
            await looks(1)
            assert len(shop.chain.sent) == 1
            await sells_what_is_left(shop, HALF_USD6)

    played(ledger_url, story)


def test_a_refund_that_another_gateway_saw_through_is_not_made_twice(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def story(shop: Shop) -> None:
        async def meanwhile() -> bool:
            shop.chain.refund(HALF_USD6)
            await shop.chain.read(CHANNEL, CONFIG)
            return False

        async with looking_after(shop, monkeypatch) as looks:
            shop.chain.outcome, shop.chain.asked_for_sending = ERR_SETTLEMENT_PENDING, meanwhile
            await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0, HALF_USD6)))
            shop.chain.outcome = ""
            await looks(3)
            assert len(shop.chain.sent) == 1
            await sells_what_is_left(shop, HALF_USD6)

    played(ledger_url, story)


@pytest.mark.parametrize(
    ("left", "asked", "refusal"),
    [
        (BALANCE_USD6, 1, ERR_REFUND_AMOUNT_INVALID),
        (BALANCE_USD6, MIN_DEPOSIT_USD6 - 1, ERR_REFUND_AMOUNT_INVALID),
        (MIN_DEPOSIT_USD6 - 1, MIN_DEPOSIT_USD6 - 2, ERR_REFUND_AMOUNT_INVALID),
        (BALANCE_USD6, 0, ERR_REFUND_AMOUNT_INVALID),
        (BALANCE_USD6, BALANCE_USD6 + 1, ERR_REFUND_NO_BALANCE),
        (BALANCE_USD6, MIN_DEPOSIT_USD6, None),
        (MIN_DEPOSIT_USD6 - 1, MIN_DEPOSIT_USD6 - 1, None),
        (1, None, None),
    ],
)
def test_a_part_is_worth_its_transaction_and_all_that_is_left_is_given_back(
    ledger_url: str, left: int, asked: int | None, refusal: str | None
) -> None:
    async def story(shop: Shop) -> None:
        if refusal is None:
            await shop.desk.refund(payment(Kind.REFUND, 0, asked))
            assert shop.chain.figures.balance == left - (left if asked is None else asked)
        else:
            assert await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0, asked))) == refusal
            assert shop.chain.sent == []
            assert not (await shop.books.account(CHANNEL)).is_refunding

    played(ledger_url, story, FUNDED._replace(balance=left))


def test_a_refund_goes_by_our_terms_whatever_the_customer_says_it_accepted(ledger_url: str) -> None:
    async def story(shop: Shop) -> None:
        asked = payment(Kind.REFUND, 0, MIN_DEPOSIT_USD6)
        await shop.desk.refund(asked)
        await shop.desk.refund(asked._replace(accepted_amount=10**9))
        assert {(terms.asset, terms.pay_to) for terms in shop.chain.sent} == {(ASSET, PAY_TO)}

    played(ledger_url, story)


# Deposits -------------------------------------------------------------------------------------------


def test_one_signed_deposit_sent_many_times_at_once_is_one_transaction(ledger_url: str) -> None:
    async def story(shop: Shop) -> None:
        deposit = payment(Kind.DEPOSIT, PRICE_USD6, MIN_DEPOSIT_USD6)
        shop.chain.mined.clear()
        calls = [asyncio.create_task(shop.desk.open(deposit, PRICE_USD6)) for _ in range(30)]
        while sum(call.done() for call in calls) < 29:
            await asyncio.sleep(0)
        shop.chain.mined.set()
        answers = await asyncio.gather(*calls, return_exceptions=True)
        codes = [answer.code for answer in answers if isinstance(answer, PaymentRefusedError)]
        assert codes == [ERR_CHANNEL_BUSY] * 29
        assert len(shop.chain.sent) == 1

    played(ledger_url, story, NOTHING)


def test_a_deposit_goes_on_alone_when_its_customer_hangs_up(ledger_url: str) -> None:
    async def story(shop: Shop) -> None:
        deposit = payment(Kind.DEPOSIT, PRICE_USD6, MIN_DEPOSIT_USD6)
        shop.chain.mined.clear()
        gone = asyncio.create_task(shop.desk.open(deposit, PRICE_USD6))
        while not shop.chain.sent:
            await asyncio.sleep(0)
        gone.cancel()
        await asyncio.wait([gone])
        assert await shop.refused(shop.desk.open(deposit, PRICE_USD6)) == ERR_CHANNEL_BUSY
        shop.chain.mined.set()
        while shop.chain.figures == NOTHING:
            await asyncio.sleep(0)
        while await shop.refused(shop.desk.refund(payment(Kind.REFUND, 0, 1))) == ERR_CHANNEL_BUSY:
            await asyncio.sleep(0)
        assert await shop.buy() == PRICE_USD6
        assert len(shop.chain.sent) == 1

    played(ledger_url, story, NOTHING)

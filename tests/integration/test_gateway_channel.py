"""Paying by channel: x402's own client against our gateway, on a real chain."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import httpx
import openai
import pytest
from gateway_stage import (
    CUSTOMER_USD6,
    PRICE_USD6,
    REQUEST,
    OpenStage,
    Stage,
    channel_client,
    pay,
    purse,
    until,
)
from standin_upstream import MODEL, VECTOR
from x402.http.utils import decode_payment_required_header, decode_payment_response_header
from x402.mechanisms.evm.batch_settlement.client.refund import RefundOptions

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.transact import Sender
from wellhead.customer import exchange
from wellhead.customer.clients import paying_client
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.gateway import facilitator
from wellhead.gateway.channels import refunds
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.facilitator import Facilitator
from wellhead.gateway.signer import RenewedSigner
from wellhead.reference.channel import ChannelFigures

DEPOSIT_USD6 = 100 * PRICE_USD6


def figures(stage: Stage, receipt: dict[str, Any]) -> ChannelFigures:
    """The channel of a receipt, on the chain."""
    return BatchSettlement(stage.w3, SETTLEMENT.address).figures(_channel(receipt))


def books(stage: Stage, receipt: dict[str, Any]) -> ChannelAccount:
    """The channel of a receipt, in the gateway's books."""
    return asyncio.run(stage.gateway.books.account(_channel(receipt)))


def _channel(receipt: dict[str, Any]) -> bytes:
    return bytes.fromhex(receipt["channelState"]["channelId"][2:])


async def call(http: httpx.AsyncClient, stage: Stage) -> dict[str, Any]:
    """One paid call; its receipt."""
    answer = await http.post(f"{stage.url}/v1/embeddings", json=REQUEST)
    assert answer.status_code == 200, answer.text
    assert answer.json()["data"][0]["embedding"] == list(VECTOR)
    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert receipt.success
    return {"transaction": receipt.transaction, "amount": receipt.amount, **(receipt.extra or {})}


def calls(stage: Stage, count: int) -> list[dict[str, Any]]:
    """Calls one after the other by one client; their receipts."""

    async def story() -> list[dict[str, Any]]:
        http, _ = channel_client(stage)
        async with http:
            return [await call(http, stage) for _ in range(count)]

    return asyncio.run(story())


def test_one_deposit_pays_for_many_calls(stage: Stage) -> None:
    blocks = stage.w3.eth.block_number
    first, *rest = calls(stage, 6)
    assert stage.w3.eth.block_number == blocks + 1
    assert stage.w3.eth.get_transaction_receipt(first["transaction"])["status"] == 1
    assert [(receipt["transaction"], receipt["amount"]) for receipt in rest] == [("", "")] * 5
    assert {receipt["chargedAmount"] for receipt in (first, *rest)} == {str(PRICE_USD6)}
    assert rest[-1]["channelState"]["chargedCumulativeAmount"] == str(6 * PRICE_USD6)
    account = books(stage, first)
    assert (account.charged, account.reserved, account.balance) == (6 * PRICE_USD6, 0, DEPOSIT_USD6)
    assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6 - DEPOSIT_USD6
    assert figures(stage, first).balance == DEPOSIT_USD6


def test_openais_client_pays_through_a_channel(stage: Stage) -> None:
    async def embed() -> openai.types.CreateEmbeddingResponse:
        http, _ = channel_client(stage)
        async with http:
            client = openai.AsyncOpenAI(base_url=f"{stage.url}/v1", api_key="unused", http_client=http)  # type: ignore[arg-type]
            await client.embeddings.create(model=MODEL, input="one")
            return await client.embeddings.create(model=MODEL, input=["one", "two"])

    assert [item.embedding for item in asyncio.run(embed()).data] == [pytest.approx(VECTOR)] * 2


def test_a_client_that_lost_its_memory_resyncs(stage: Stage) -> None:
    calls(stage, 3)
    (resumed,) = calls(stage, 1)
    assert resumed["channelState"]["chargedCumulativeAmount"] == str(4 * PRICE_USD6)
    assert resumed["transaction"] == ""


def test_a_channel_that_runs_out_is_topped_up(open_stage: OpenStage) -> None:
    with open_stage(min_deposit_usd6=1) as stage:
        receipts = calls(stage, 101)
    assert [bool(receipt["transaction"]) for receipt in receipts] == [True] + 99 * [False] + [True]
    assert receipts[-1]["channelState"]["balance"] == str(2 * DEPOSIT_USD6)


def test_a_call_that_fails_costs_nothing_but_keeps_the_deposit(stage: Stage) -> None:
    async def story() -> tuple[httpx.Response, dict[str, Any]]:
        http, _ = channel_client(stage)
        async with http:
            stage.upstream.status = 500
            failed = await http.post(f"{stage.url}/v1/embeddings", json=REQUEST)
            stage.upstream.status = 200
            return failed, await call(http, stage)

    failed, served = asyncio.run(story())
    assert failed.status_code == 500
    receipt = decode_payment_response_header(failed.headers["PAYMENT-RESPONSE"])
    assert receipt.extra is not None
    assert receipt.extra["chargedAmount"] == "0"
    assert served["transaction"] == ""
    assert served["channelState"]["chargedCumulativeAmount"] == str(PRICE_USD6)


def test_the_stock_refund_gives_back_what_is_left(stage: Stage) -> None:
    async def spend() -> Any:
        http, scheme = channel_client(stage)
        async with http:
            receipts = [await call(http, stage) for _ in range(2)]
        return scheme, receipts[0]

    scheme, receipt = asyncio.run(spend())
    refunded = scheme.refund(f"{stage.url}/v1/embeddings")
    assert refunded.success
    assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6 - 2 * PRICE_USD6
    left = figures(stage, receipt)
    assert (left.balance, left.total_claimed) == (2 * PRICE_USD6, 2 * PRICE_USD6)
    assert stage.earned_usd6 == 2 * PRICE_USD6
    account = books(stage, receipt)
    assert (account.charged, account.unclaimed, account.balance) == (2 * PRICE_USD6, 0, 2 * PRICE_USD6)
    assert account.refund_nonce == 1


def test_a_refund_of_a_part_leaves_a_channel_that_pays(stage: Stage) -> None:
    async def spend() -> Any:
        http, scheme = channel_client(stage)
        async with http:
            await call(http, stage)
            url = f"{stage.url}/v1/embeddings"
            await asyncio.to_thread(scheme.refund, url, RefundOptions(amount=str(50 * PRICE_USD6)))
            return await call(http, stage)

    receipt = asyncio.run(spend())
    assert receipt["transaction"] == ""
    assert receipt["channelState"]["balance"] == str(50 * PRICE_USD6)
    assert receipt["channelState"]["chargedCumulativeAmount"] == str(2 * PRICE_USD6)


def test_a_refund_that_is_not_mined_in_time_shuts_the_channel_until_it_is(
    open_stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(exchange, "BUSY_SECONDS", 0)
    with open_stage(settle_timeout_seconds=1) as stage:

        async def story() -> None:
            http, scheme = channel_client(stage)
            async with http:
                receipt = await call(http, stage)
                url = f"{stage.url}/v1/embeddings"
                asked = RefundOptions(amount=str(50 * PRICE_USD6))
                stage.rpc("evm_setAutomine", False)
                with pytest.raises(Exception, match="settlement_pending"):
                    await asyncio.to_thread(scheme.refund, url, asked)
                own = paying_client(purse(stage))
                async with own:
                    refused = await own.post(url, json=REQUEST)
                assert (refused.status_code, len(stage.upstream.requests)) == (402, 1)
                assert "channel_busy" in refused.json()["error"]["code"]
                assert refused.headers["retry-after"] == "1"
                stage.rpc("evm_setAutomine", True)
                stage.rpc("evm_mine")
                await asyncio.to_thread(until, lambda: figures(stage, receipt).refund_nonce == 1)
            async with asyncio.timeout(20):
                while (await stage.gateway.books.account(_channel(receipt))).is_refunding:
                    await asyncio.sleep(0.05)
            http, _ = channel_client(stage)
            async with http:
                again = await call(http, stage)
            assert again["channelState"]["balance"] == str(50 * PRICE_USD6)

        asyncio.run(story())


def test_a_refund_whose_chain_dies_on_the_way_is_seen_through_when_it_is_back(
    open_stage: OpenStage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refunds, "FIRST_PAUSE_SECONDS", 0.05)
    with open_stage() as stage:

        async def spend() -> Any:
            http, scheme = channel_client(stage)
            async with http:
                return scheme, (await call(http, stage))

        scheme, receipt = asyncio.run(spend())
        asked = RefundOptions(amount=str(50 * PRICE_USD6))
        with monkeypatch.context() as dying:

            def die(*_: object, **__: object) -> str:
                raise ConnectionError("the chain has gone")

            dying.setattr(RenewedSigner, "write_contract", die)
            with pytest.raises(Exception, match="refund_transaction_failed"):
                scheme.refund(f"{stage.url}/v1/embeddings", asked)
            assert books(stage, receipt).is_refunding
        until(lambda: not books(stage, receipt).is_refunding)
        assert figures(stage, receipt) == ChannelFigures(50 * PRICE_USD6, PRICE_USD6, 1, 0)
        assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6 - 50 * PRICE_USD6
        assert calls(stage, 1)[0]["channelState"]["balance"] == str(50 * PRICE_USD6)


def test_what_was_charged_is_claimed_by_itself(open_stage: OpenStage) -> None:
    with open_stage(claim_value_usd6=5 * PRICE_USD6) as stage:
        receipts = calls(stage, 8)
        until(lambda: stage.earned_usd6 > 0)
        calls(stage, 8)
        until(lambda: stage.earned_usd6 == 16 * PRICE_USD6)
        assert figures(stage, receipts[0]).total_claimed == 16 * PRICE_USD6

        def status() -> dict[str, Any]:
            return dict(httpx.get(f"{stage.url}/status", timeout=20).json())

        until(lambda: status()["unclaimed_usd6"] == 0)
        assert status()["claim_problem"] == ""


def test_a_payer_that_withdraws_is_claimed_from_and_served_no_more(stage: Stage) -> None:
    first, *_ = calls(stage, 3)
    settlement = BatchSettlement(stage.w3, SETTLEMENT.address)
    config = books(stage, first).config
    Sender(stage.w3, stage.customer).send(
        settlement.initiate_withdraw(config, DEPOSIT_USD6 - 10 * PRICE_USD6)
    )
    until(lambda: books(stage, first).withdraw_requested_at > 0)

    async def again() -> httpx.Response:
        http, _ = channel_client(stage)
        async with http:
            return await http.post(f"{stage.url}/v1/embeddings", json=REQUEST)

    refused = asyncio.run(again())
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "channel_withdrawal_pending")
    until(lambda: stage.earned_usd6 == 3 * PRICE_USD6)


def test_a_chain_that_went_back_takes_the_channel_with_it(stage: Stage) -> None:
    """The deposit is undone after calls were served on it: no more calls, and the books say how much is open."""
    taken = stage.rpc("evm_snapshot")
    first, *_ = calls(stage, 2)
    assert stage.rpc("evm_revert", taken)
    stage.rpc("evm_mine")
    until(lambda: books(stage, first).balance == 0)
    assert books(stage, first).charged == 2 * PRICE_USD6


def test_get_shows_the_terms(stage: Stage) -> None:
    answer = httpx.get(f"{stage.url}/v1/embeddings", timeout=20)
    assert answer.status_code == 402
    terms = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    assert [offer.scheme for offer in terms.accepts] == ["batch-settlement", "exact"]


def test_verifying_waits_for_no_settlement(open_stage: OpenStage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(facilitator, "THREADS", 1)
    settle, verify = Facilitator._settle, Facilitator._verify
    settling, verified = threading.Semaphore(0), threading.Semaphore(0)

    def slow_settle(*arguments: Any) -> Any:
        settling.release()
        assert verified.acquire(timeout=10), "nobody else was verified meanwhile"
        return settle(*arguments)

    def seen_verify(*arguments: Any) -> Any:
        # The first settlement began after its own payment was verified: what is counted is the other's.
        if settling.acquire(blocking=False):
            verified.release(2)
        return verify(*arguments)

    monkeypatch.setattr(Facilitator, "_settle", slow_settle)
    monkeypatch.setattr(Facilitator, "_verify", seen_verify)

    async def story(stage: Stage) -> list[int]:
        first = asyncio.create_task(pay(stage))
        while not settling._value:
            await asyncio.sleep(0.01)
        return [answer.status_code for answer in await asyncio.gather(first, pay(stage))]

    with open_stage() as stage:
        assert asyncio.run(story(stage)) == [200, 200]

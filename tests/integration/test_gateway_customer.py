"""The paying side: bounded, never twice, every step in view."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import httpx
import openai
import pytest
from fastapi import FastAPI, Request, Response
from fastapi.responses import StreamingResponse
from gateway_stage import CUSTOMER_USD6, PRICE_USD6, OpenStage, Stage, post, purse, until
from loopback import serving
from standin_upstream import MODEL, VECTOR
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_signature_header,
    encode_payment_required_header,
)

from wellhead.chain import keys, local
from wellhead.customer.clients import (
    async_openai_client,
    open_purse,
    openai_client,
    paying_client,
    paying_client_sync,
)
from wellhead.customer.infer import Customer
from wellhead.customer.once import PaidButUnanswered
from wellhead.customer.purse import Purse
from wellhead.errors import Refused
from wellhead.gateway.prices import ANY_MODEL, ModelPrice

PATIENCE_SECONDS = 1.0


def customer_of(stage: Stage, max_usd6: int = PRICE_USD6, url: str | None = None) -> Customer:
    return Customer(url or stage.url, purse(stage, max_usd6))


def embed_sync(stage: Stage, url: str | None = None, max_usd6: int = PRICE_USD6) -> Any:
    """One call by a stock OpenAI client, which tries three times whatever it may try again."""
    with openai_client(url or stage.url, purse(stage, max_usd6)) as client:
        assert client.max_retries == 2
        return client.with_options(timeout=PATIENCE_SECONDS).embeddings.create(model=MODEL, input="x")


def embed_async(stage: Stage, url: str | None = None, max_usd6: int = PRICE_USD6) -> Any:
    """The same by the asynchronous client."""

    async def embed() -> Any:
        async with async_openai_client(url or stage.url, purse(stage, max_usd6)) as client:
            assert client.max_retries == 2
            return await client.with_options(timeout=PATIENCE_SECONDS).embeddings.create(
                model=MODEL, input="x"
            )

    return asyncio.run(embed())


def charged(stage: Stage) -> int:
    """All that the gateway has in its books."""
    return sum(channel.account.charged for channel in asyncio.run(stage.gateway.books.claimable()))


both_clients = pytest.mark.parametrize("embed", [embed_sync, embed_async], ids=["sync", "async"])


class BreakingGateway:
    """Asks for a real payment, then breaks in a way of the test's choosing. Counts the payments sent."""

    def __init__(self, stage: Stage) -> None:
        self.payments: set[str] = set()
        self.terms = post(stage).headers["PAYMENT-REQUIRED"]
        self.broken = Response(status_code=500)
        self.app = FastAPI()
        self.app.add_api_route("/v1/embeddings", self._answer, methods=["POST"])

    def _answer(self, request: Request) -> Response:
        payment = request.headers.get("PAYMENT-SIGNATURE")
        if payment is None:
            return Response("{}", status_code=402, headers={"PAYMENT-REQUIRED": self.terms})
        self.payments.add(payment)
        return self.broken


def cut_short() -> Response:
    """A body that ends before its announced length."""

    def body() -> Iterator[bytes]:
        yield b'{"data": ['

    return StreamingResponse(body(), headers={"content-length": "1000"}, media_type="application/json")


@both_clients
def test_a_call_that_times_out_is_paid_once(open_stage: OpenStage, embed: Any) -> None:
    with open_stage() as stage:
        release = stage.upstream.hold()
        with pytest.raises(PaidButUnanswered, match="before paying again"):
            embed(stage)
        release.set()
        until(lambda: charged(stage) == PRICE_USD6)  # the call that nobody waits for any more ends too
    assert stage.usd.payments() == 1
    assert len(stage.upstream.requests) == 1


@both_clients
@pytest.mark.parametrize("status", [402, 408, 409, 429, 500, 502, 503])
def test_a_paid_call_that_is_refused_is_not_paid_for_again(stage: Stage, embed: Any, status: int) -> None:
    gateway = BreakingGateway(stage)
    gateway.broken = Response("{}", status_code=status, headers={"x-should-retry": "true"})
    with serving(gateway.app) as url, pytest.raises(openai.APIStatusError) as refused:
        embed(stage, url)
    assert refused.value.status_code == status
    assert len(gateway.payments) == 1


@both_clients
def test_a_paid_answer_that_breaks_off_is_not_paid_for_again(stage: Stage, embed: Any) -> None:
    gateway = BreakingGateway(stage)
    gateway.broken = cut_short()
    with serving(gateway.app) as url, pytest.raises(PaidButUnanswered):
        embed(stage, url)
    assert len(gateway.payments) == 1


@both_clients
def test_an_unpaid_call_may_be_tried_again(stage: Stage, embed: Any) -> None:
    """Before a payment OpenAI's loop does what it is for."""
    calls: list[int] = []
    app = FastAPI()

    @app.post("/v1/embeddings")
    def busy(request: Request) -> Response:
        calls.append(1)
        assert "PAYMENT-SIGNATURE" not in request.headers
        return Response(status_code=503, headers={"retry-after-ms": "1"})

    with serving(app) as url, pytest.raises(openai.InternalServerError):
        embed(stage, url)
    assert len(calls) == 3


@both_clients
def test_an_offer_above_the_cap_is_not_signed(stage: Stage, embed: Any) -> None:
    gateway = BreakingGateway(stage)
    with serving(gateway.app) as url, pytest.raises(Refused, match="bounds"):
        embed(stage, url, PRICE_USD6 - 1)
    assert gateway.payments == set()


def test_an_offer_in_another_token_is_not_signed(stage: Stage) -> None:
    other = keys.local_account("treasury").address
    poor = open_purse(stage.customer, stage.config.rpc_url, other, PRICE_USD6)
    with (
        Customer(stage.url, poor) as customer,
        pytest.raises(Refused, match="nothing was signed"),
    ):
        customer.infer(MODEL, ["x"])
    assert stage.usd.payments() == 0


def test_terms_on_another_chain_are_not_signed(stage: Stage) -> None:
    gateway = BreakingGateway(stage)
    elsewhere = stage.config.model_copy(update={"chain_id": 1})
    gateway.terms = terms_of(elsewhere.network, stage)
    with (
        serving(gateway.app) as url,
        customer_of(stage, url=url) as customer,
        pytest.raises(Refused, match="nothing was signed"),
    ):
        customer.infer(MODEL, ["x"])
    assert gateway.payments == set()


def terms_of(network: str, stage: Stage) -> str:
    terms = decode_payment_required_header(post(stage).headers["PAYMENT-REQUIRED"])
    terms.accepts = [terms.accepts[0].model_copy(update={"network": network})]
    return encode_payment_required_header(terms)


def test_infer_shows_every_step(stage: Stage) -> None:
    with customer_of(stage) as customer:
        call = customer.infer(MODEL, ["one", "two"])
        again = customer.infer(MODEL, ["three"])
    assert (call.terms.ceiling_usd6, call.terms.pay_to) == (PRICE_USD6, stage.pay_to)
    assert (call.terms.asset, call.terms.network) == (stage.config.asset, "eip155:31337")
    assert (call.payment.payer, call.payment.ceiling_usd6) == (stage.customer.address, PRICE_USD6)
    assert call.payment.deposit_usd6 == call.receipt.channel_balance_usd6 == 100 * PRICE_USD6
    assert (call.answer.embeddings, call.answer.dimensions, call.answer.prompt_tokens) == (2, 3, 6)
    assert call.answer.body["data"][1]["embedding"] == list(VECTOR)
    assert stage.w3.eth.get_transaction_receipt(call.receipt.transaction)["status"] == 1  # type: ignore[arg-type]
    assert (again.payment.ceiling_usd6, again.payment.deposit_usd6) == (2 * PRICE_USD6, 0)
    assert (again.receipt.charged_in_all_usd6, again.receipt.transaction) == (2 * PRICE_USD6, "")


def test_infer_goes_on_where_another_left_off(stage: Stage) -> None:
    """A purse that knows nothing of the channel is told, with its own signature for proof."""
    for calls in (1, 2, 3):
        with customer_of(stage) as customer:
            call = customer.infer(MODEL, ["x"])
        assert call.receipt.charged_in_all_usd6 == calls * PRICE_USD6
    assert stage.usd.payments() == 1


def test_what_is_left_is_given_back(stage: Stage) -> None:
    with customer_of(stage) as customer:
        customer.infer(MODEL, ["x"])
        assert customer.refund() == 99 * PRICE_USD6
        assert customer.infer(MODEL, ["x"]).payment.deposit_usd6 > 0
    with customer_of(stage) as forgetful:
        assert forgetful.refund() > 0
        with pytest.raises(Refused, match="neither charged nor given back"):
            forgetful.refund()
    assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6 - 2 * PRICE_USD6


def test_quote_pays_nothing(stage: Stage) -> None:
    with customer_of(stage) as customer:
        assert customer.quote(MODEL, ["x"]).ceiling_usd6 == PRICE_USD6
    assert stage.upstream.requests == []
    assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6


def test_infer_says_in_words_what_the_gateway_refused(stage: Stage) -> None:
    stage.usd.do("blacklist", stage.customer.address)
    with customer_of(stage) as customer, pytest.raises(Refused, match="blacklisted"):
        customer.infer(MODEL, ["x"])
    with customer_of(stage) as customer, pytest.raises(Refused, match="input"):
        customer.infer(MODEL, [])


def test_infer_notices_a_server_that_is_no_gateway(stage: Stage) -> None:
    with (
        customer_of(stage, url=str(stage.config.upstreams[0])) as customer,
        pytest.raises(Refused, match="asks for no payment"),
    ):
        customer.infer(MODEL, ["x"])


def test_infer_notices_a_gateway_that_is_not_there(stage: Stage) -> None:
    with (
        customer_of(stage, url=f"http://127.0.0.1:{local.free_port()}") as customer,
        pytest.raises(Refused, match="no gateway answers"),
    ):
        customer.infer(MODEL, ["x"])


@pytest.mark.parametrize(
    ("body", "complaint"),
    [('{"data": [{"embedding": [1.0]}]}', "without a receipt"), ("not JSON", "without a receipt")],
)
def test_infer_insists_on_a_receipt(stage: Stage, body: str, complaint: str) -> None:
    gateway = BreakingGateway(stage)
    gateway.broken = Response(body)
    with (
        serving(gateway.app) as url,
        customer_of(stage, url=url) as customer,
        pytest.raises(PaidButUnanswered, match=complaint),
    ):
        customer.infer(MODEL, ["x"])


@pytest.mark.parametrize("header", [None, "%%%", "e30="])
def test_a_402_without_terms_is_named(stage: Stage, header: str | None) -> None:
    app = FastAPI()

    @app.post("/v1/embeddings")
    def unclear() -> Response:
        headers = {} if header is None else {"PAYMENT-REQUIRED": header}
        return Response("{}", status_code=402, headers=headers)

    with (
        serving(app) as url,
        customer_of(stage, url=url) as customer,
        pytest.raises(Refused, match="without x402 terms"),
    ):
        customer.infer(MODEL, ["x"])


def test_one_sync_client_serves_many_threads(stage: Stage) -> None:
    with paying_client_sync(purse(stage)) as http:
        answers: list[int] = []

        def call() -> None:
            request = {"model": MODEL, "input": "x"}
            answers.append(http.post(f"{stage.url}/v1/embeddings", json=request).status_code)

        threads = [threading.Thread(target=call) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    assert answers == [200] * 8
    assert charged(stage) == 8 * PRICE_USD6
    assert stage.usd.payments() == 1


def test_calls_at_once_on_one_channel_and_through_several_deposits(stage: Stage) -> None:
    """More calls at a time than asyncio has threads for, and deposits that last for ten of them."""

    async def story() -> list[int]:
        few = purse(stage, usd6_per_deposit=10 * PRICE_USD6)
        async with paying_client(few) as http:
            request = {"model": MODEL, "input": "x"}
            calls = (http.post(f"{stage.url}/v1/embeddings", json=request) for _ in range(40))
            return [answer.status_code for answer in await asyncio.gather(*calls)]

    assert asyncio.run(story()) == [200] * 40
    assert charged(stage) == 40 * PRICE_USD6
    assert 4 <= stage.usd.payments() <= 8


def test_a_call_that_is_given_up_leaves_others_to_wait_for_the_deposit(stage: Stage) -> None:
    async def story() -> list[int]:
        own, asked, waiting = purse(stage), 0, asyncio.Event()
        loop, inner = asyncio.get_running_loop(), own.try_pay

        def try_pay(offer: Any) -> Any:
            nonlocal asked
            asked += 1
            found = inner(offer)
            if asked == 4:  # the first asked the chain, then paid
                loop.call_soon_threadsafe(waiting.set)
            return found

        own.try_pay = try_pay  # type: ignore[method-assign]
        release = stage.upstream.hold()
        async with paying_client(own) as http:
            request = {"model": MODEL, "input": "x"}

            def call() -> asyncio.Task[httpx.Response]:
                return asyncio.create_task(http.post(f"{stage.url}/v1/embeddings", json=request))

            calls = [call()]
            await asyncio.to_thread(stage.upstream.arrived.wait)  # it brings the deposit
            calls += [call(), call()]
            await waiting.wait()
            calls[1].cancel()
            await asyncio.wait([calls[1]])
            release.set()
            return [(await call).status_code for call in (calls[0], calls[2])]

    assert asyncio.run(story()) == [200, 200]
    assert charged(stage) == 2 * PRICE_USD6


def test_a_dearer_call_than_the_last_is_paid_as_what_it_is(open_stage: OpenStage) -> None:
    """Though what was signed before, for a call that came cheaper, would cover it."""
    per_token = ModelPrice(
        id=ANY_MODEL, usd6_per_million_input_tokens=10**8, usd6_per_million_output_tokens=10**8
    )

    async def story(stage: Stage) -> list[int]:
        own = purse(stage, 10**6, usd6_per_deposit=5 * 10**6)
        async with paying_client(own) as one, paying_client(own) as other:
            said = [{"role": "user", "content": "x"}]
            answers = [
                await one.post(f"{stage.url}/v1/chat/completions", json={"model": MODEL, "messages": said})
            ]
            for inputs in (1, 50):
                wanted = {"model": MODEL, "input": ["x"] * inputs}
                answers.append(await other.post(f"{stage.url}/v1/embeddings", json=wanted))
        return [answer.status_code for answer in answers]

    with open_stage(models=[per_token]) as stage:
        assert asyncio.run(story(stage)) == [200] * 3
        assert charged(stage) == 100 * (12 + 3 * 1 + 3 * 50)


def test_a_streamed_chat_through_openais_clients(stage: Stage) -> None:
    messages: Any = [{"role": "user", "content": "What is compute?"}]

    async def by_async(own: Purse) -> list[str]:
        async with async_openai_client(stage.url, own) as client:
            stream = await client.chat.completions.create(model=MODEL, messages=messages, stream=True)
            return [piece.choices[0].delta.content or "" async for piece in stream]

    own = purse(stage)
    with openai_client(stage.url, own) as client:
        stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
        assert [piece.choices[0].delta.content for piece in stream] == stage.upstream.words
    assert asyncio.run(by_async(own)) == stage.upstream.words
    with openai_client(stage.url, own) as client:
        client.embeddings.create(model=MODEL, input="x")
    assert charged(stage) == 3 * PRICE_USD6
    assert not stage.gateway.meters.refusals  # the purse knew what the streams had cost


def test_a_request_that_brings_its_own_payment_is_not_paid_for(stage: Stage) -> None:
    gateway = BreakingGateway(stage)
    gateway.broken = Response("{}", status_code=402, headers={"PAYMENT-REQUIRED": gateway.terms})
    with serving(gateway.app) as url, paying_client_sync(purse(stage)) as http:
        answer = http.post(f"{url}/v1/embeddings", headers={"PAYMENT-SIGNATURE": "its own"})
    assert answer.status_code == 402
    assert gateway.payments == {"its own"}


@both_clients
def test_books_that_nobody_signed_for_are_not_believed(stage: Stage, embed: Any) -> None:
    """A gateway that claims to have charged more than was signed gets no voucher over it."""
    gateway = BreakingGateway(stage)
    terms = decode_payment_required_header(gateway.terms)
    state = {"channelState": {"chargedCumulativeAmount": "999999"}}
    for voucher in ({}, {"voucherState": {"signedMaxClaimable": "999999", "signature": "0x" + "11" * 65}}):
        offer = terms.accepts[0].model_copy(update={"extra": terms.accepts[0].extra | state | voucher})
        asking = encode_payment_required_header(terms.model_copy(update={"accepts": [offer]}))
        gateway.broken = Response("{}", status_code=402, headers={"PAYMENT-REQUIRED": asking})
        with serving(gateway.app) as url, pytest.raises(openai.APIStatusError):
            embed(stage, url)
    signed = [decode_payment_signature_header(header) for header in gateway.payments]
    assert {payment.payload["voucher"]["maxClaimableAmount"] for payment in signed} == {str(PRICE_USD6)}

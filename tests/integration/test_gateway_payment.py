"""What a call costs, and that it costs exactly this: stock clients against a gateway on a real chain."""

from __future__ import annotations

import asyncio

import httpx
import openai
import pytest
from fastapi import Response
from gateway_stage import CUSTOMER_USD6, PRICE_USD6, REQUEST, OpenStage, Stage, flat, pay, post, stock_client
from standin_upstream import MODEL, VECTOR
from x402.http.utils import decode_payment_required_header, decode_payment_response_header


def test_unpaid_is_402_with_terms_and_an_openai_error(stage: Stage) -> None:
    answer = post(stage)
    assert answer.status_code == 402
    terms = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    assert terms.x402_version == 2
    channel, offer = terms.accepts
    assert channel.model_dump(by_alias=True) == {
        "scheme": "batch-settlement",
        "network": "eip155:31337",
        "asset": stage.usd.address,
        "amount": str(PRICE_USD6),
        "payTo": stage.pay_to,
        "maxTimeoutSeconds": 300,
        "extra": {
            "name": "Mock USD",
            "version": "2",
            "receiverAuthorizer": stage.gateway.terms.authorizer,
            "withdrawDelay": 86_400,
            "minDeposit": str(100 * PRICE_USD6),
        },
    }
    assert offer.model_dump(by_alias=True) == {
        "scheme": "exact",
        "network": "eip155:31337",
        "asset": stage.usd.address,
        "amount": str(PRICE_USD6),
        "payTo": stage.pay_to,
        "maxTimeoutSeconds": 300,
        "extra": {"name": "Mock USD", "version": "2"},
    }
    error = answer.json()["error"]
    assert error["type"] == error["code"] == "payment_required"
    assert "$0.0015" in error["message"]
    assert stage.upstream.requests == []


def test_a_stock_x402_client_pays_exactly_the_price(stage: Stage) -> None:
    answer = asyncio.run(pay(stage))
    assert answer.status_code == 200
    assert answer.json()["data"][0]["embedding"] == list(VECTOR)
    assert stage.earned_usd6 == PRICE_USD6
    assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6 - PRICE_USD6

    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert (receipt.success, receipt.payer) == (True, stage.customer.address)
    mined = stage.w3.eth.get_transaction_receipt(receipt.transaction)
    assert mined["to"] == stage.usd.address
    assert stage.upstream.requests == [REQUEST]


def test_payments_at_the_same_time_all_settle(stage: Stage) -> None:
    async def many() -> list[httpx.Response]:
        return await asyncio.gather(*(pay(stage) for _ in range(6)))

    assert [answer.status_code for answer in asyncio.run(many())] == [200] * 6
    assert stage.earned_usd6 == 6 * PRICE_USD6


def test_openais_async_client_pays_through_a_stock_x402_client(stage: Stage) -> None:
    async def embed() -> openai.types.CreateEmbeddingResponse:
        async with stock_client(stage) as http:
            client = openai.AsyncOpenAI(base_url=f"{stage.url}/v1", api_key="unused", http_client=http)  # type: ignore[arg-type]
            return await client.embeddings.create(model=MODEL, input=["one", "two"])

    answer = asyncio.run(embed())
    assert [item.embedding for item in answer.data] == [pytest.approx(VECTOR)] * 2
    assert stage.earned_usd6 == PRICE_USD6


def test_the_upstream_learns_nothing_of_the_customer(stage: Stage) -> None:
    async def call() -> None:
        async with stock_client(stage) as client:
            url = f"{stage.url}/v1/embeddings"
            headers = {"authorization": "Bearer secret", "settlement-overrides": '{"amount":"1"}'}
            assert (await client.post(url, json=REQUEST, headers=headers)).status_code == 200

    asyncio.run(call())
    (seen,) = stage.upstream.headers
    assert not {"authorization", "payment-signature", "settlement-overrides"} & set(seen)


def test_the_upstream_does_not_set_the_price(stage: Stage) -> None:
    """x402's middleware obeys a response header; an upstream's must not get there."""
    body = '{"data": [], "object": "list"}'
    headers = {"settlement-overrides": '{"amount": "1"}', "content-type": "application/json"}
    stage.upstream.instead = Response(body, headers=headers)
    assert asyncio.run(pay(stage)).status_code == 200
    assert stage.earned_usd6 == PRICE_USD6


def test_models_and_health_are_free(stage: Stage) -> None:
    models = httpx.get(f"{stage.url}/v1/models", timeout=20)
    assert [model["id"] for model in models.json()["data"]] == [MODEL]
    assert httpx.get(f"{stage.url}/healthz", timeout=20).json() == {"status": "ok"}
    offer = httpx.get(f"{stage.url}/.well-known/x402", timeout=20).json()
    assert offer["payTo"] == stage.pay_to
    assert offer["models"][0]["usd6_per_call"] == PRICE_USD6


@pytest.mark.parametrize(
    "path",
    [
        "/v1/embeddings/",
        "//v1/embeddings",
        "/v1//embeddings",
        "/v1/%65mbeddings",
        "/v1/embeddings%2f",
        "/V1/embeddings",
    ],
)
def test_no_spelling_of_the_path_is_free(stage: Stage, path: str) -> None:
    answer = httpx.post(f"{stage.url}{path}", json=REQUEST, timeout=20, follow_redirects=True)
    assert answer.status_code in (402, 404)
    assert stage.upstream.requests == []


def test_a_gateway_sells_at_its_own_price(open_stage: OpenStage) -> None:
    with open_stage(models=flat(1)) as stage:
        assert asyncio.run(pay(stage)).status_code == 200
        assert stage.earned_usd6 == 1

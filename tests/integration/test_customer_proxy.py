"""The local endpoint that pays: a stock OpenAI client that knows nothing of payments."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from gateway_stage import PRICE_USD6, REQUEST, Stage, purse
from loopback import serving
from standin_upstream import MODEL, VECTOR

from wellhead.chain import local
from wellhead.customer.clients import open_purse
from wellhead.customer.proxy import create_proxy
from wellhead.customer.spending import SpendingLimit


class Days:
    """A clock that a test moves."""

    now = 100 * 86_400.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def limit(tmp_path: Path) -> SpendingLimit:
    return SpendingLimit(tmp_path / "spent.json", 5 * PRICE_USD6, Days())


@pytest.fixture
def proxy(stage: Stage, limit: SpendingLimit) -> Iterator[str]:
    config = stage.config
    own = open_purse(stage.customer, config.rpc_url, config.asset, PRICE_USD6, limit=limit)
    with serving(create_proxy(stage.url, own)) as url:
        yield f"{url}/v1"


def charged(stage: Stage) -> int:
    return sum(one.account.charged for one in asyncio.run(stage.gateway.books.claimable()))


def test_a_program_that_knows_nothing_of_payments_pays(
    stage: Stage, proxy: str, limit: SpendingLimit
) -> None:
    client = openai.OpenAI(base_url=proxy, api_key="unused")
    assert [model.id for model in client.models.list()] == [MODEL]
    assert client.embeddings.create(model=MODEL, input="x").data[0].embedding == pytest.approx(VECTOR)
    messages: Any = [{"role": "user", "content": "What is compute?"}]
    stream = client.chat.completions.create(model=MODEL, messages=messages, stream=True)
    assert [piece.choices[0].delta.content for piece in stream] == stage.upstream.words
    assert charged(stage) == limit.spent_usd6 == 2 * PRICE_USD6


def test_the_days_limit_holds(stage: Stage, proxy: str, limit: SpendingLimit) -> None:
    def call() -> httpx.Response:
        return httpx.post(f"{proxy}/embeddings", json=REQUEST, timeout=20)

    assert [call().status_code for _ in range(5)] == [200] * 5
    refused = call()
    assert (refused.status_code, refused.json()["error"]["code"]) == (402, "payment_refused")
    assert "today's $0.0075 are spent" in refused.json()["error"]["message"]
    assert charged(stage) == limit.spent_usd6 == 5 * PRICE_USD6
    Days.now += 86_400
    try:
        assert call().status_code == 200
    finally:
        Days.now -= 86_400


def test_what_was_refused_leaves_its_part_of_the_day_to_the_next_call(
    stage: Stage, proxy: str, limit: SpendingLimit
) -> None:
    """Its signature is out, so it counts; but the next call is signed over the same."""
    stage.upstream.status = 500
    for _ in range(7):
        assert httpx.post(f"{proxy}/embeddings", json=REQUEST, timeout=20).status_code == 500
    assert limit.spent_usd6 == PRICE_USD6
    stage.upstream.status = 200
    assert httpx.post(f"{proxy}/embeddings", json=REQUEST, timeout=20).status_code == 200
    assert charged(stage) == limit.spent_usd6 == PRICE_USD6


def test_a_gateway_that_is_not_there_is_named(stage: Stage) -> None:
    nowhere = f"http://127.0.0.1:{local.free_port()}"
    with serving(create_proxy(nowhere, purse(stage))) as url:
        answer = httpx.post(f"{url}/v1/embeddings", json=REQUEST, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "gateway_unreachable")

"""The gateway before a node that really computes: money for vectors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from gateway_stage import PRICE_USD6, OpenStage, purse
from node_process import serving_node

from wellhead.customer.clients import openai_client
from wellhead.customer.infer import Customer


@pytest.fixture
def node_url(tmp_path: Path) -> Iterator[str]:
    with serving_node(tmp_path / "node.log") as url:
        yield url


def test_similar_texts_are_closer_and_every_call_is_paid(open_stage: OpenStage, node_url: str) -> None:
    texts = ["Oil is metered by the barrel.", "Crude is sold in barrels.", "The cat sleeps on the sofa."]
    with open_stage(upstreams=[node_url]) as stage:
        own = purse(stage)
        with Customer(stage.url, own) as customer:
            (model,) = customer.models()
            call = customer.infer(model, texts)
        oil, crude, cat = (item["embedding"] for item in call.answer.body["data"])
        assert dot(oil, crude) > dot(oil, cat)
        assert dot(oil, oil) == pytest.approx(1, abs=1e-4)
        with openai_client(stage.url, own) as client:
            answer = client.embeddings.create(model=model, input=texts[0])
        assert answer.data[0].embedding == pytest.approx(oil, abs=1e-5)
        (waiting,) = asyncio.run(stage.gateway.books.claimable())
        assert waiting.account.charged == 2 * PRICE_USD6


def dot(left: list[float], right: list[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))

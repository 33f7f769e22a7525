"""The gateway before a node that really computes: money for vectors."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Iterator

import httpx
import pytest
from gateway_stage import PRICE_USD6, OpenStage, purse

from wellhead.chain.local import free_port
from wellhead.customer.clients import openai_client
from wellhead.customer.infer import Customer
from wellhead.processes import ManagedProcess

START_TIMEOUT_SECONDS = 60


@pytest.fixture
def node_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    port = free_port()
    command = [sys.executable, "-m", "wellhead.runtime", "--port", str(port)]
    process = ManagedProcess(command, tmp_path_factory.mktemp("node") / "node.log")
    url = f"http://127.0.0.1:{port}"
    try:
        wait_until_up(url, process)
        yield url
    finally:
        process.stop()


def wait_until_up(url: str, process: ManagedProcess) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.running, process.log_tail()
        try:
            if httpx.get(f"{url}/healthz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)  # a process of its own has no event to wait for
    pytest.fail(f"no answer within {START_TIMEOUT_SECONDS} s: {process.log_tail()}")


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

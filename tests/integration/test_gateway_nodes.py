"""Several nodes behind one gateway: who is asked, and what happens when one fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import httpx
import pytest
from gateway_stage import PRICE_USD6, REQUEST, OpenStage, Stage, channel_client
from loopback import serving
from standin_upstream import MODEL, StandInUpstream
from x402.http.utils import decode_payment_response_header

from wellhead.chain import local


@pytest.fixture
def second() -> Iterator[tuple[StandInUpstream, str]]:
    upstream = StandInUpstream()
    with serving(upstream.app) as url:
        yield upstream, url


def charged(answer: httpx.Response) -> int:
    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    return int((receipt.extra or {})["channelState"]["chargedCumulativeAmount"])


def calls(stage: Stage, count: int) -> list[httpx.Response]:
    async def story() -> list[httpx.Response]:
        http, _ = channel_client(stage)
        async with http:
            return [await http.post(f"{stage.url}/v1/embeddings", json=REQUEST) for _ in range(count)]

    return asyncio.run(story())


def test_calls_go_to_whoever_answers(open_stage: OpenStage, second: tuple[StandInUpstream, str]) -> None:
    upstream, url = second
    with open_stage(upstreams=[f"http://127.0.0.1:{local.free_port()}", url]) as stage:
        answers = calls(stage, 3)
    assert [answer.status_code for answer in answers] == [200] * 3
    assert len(upstream.requests) == 3
    assert charged(answers[-1]) == 3 * PRICE_USD6


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_unavailable_node_is_passed_over(
    open_stage: OpenStage, second: tuple[StandInUpstream, str], status: int
) -> None:
    upstream, url = second
    failing = StandInUpstream()
    failing.status = status
    with serving(failing.app) as failing_url, open_stage(upstreams=[failing_url, url]) as stage:
        assert [answer.status_code for answer in calls(stage, 3)] == [200] * 3
    assert len(failing.requests) == 1  # and then it had its pause
    assert len(upstream.requests) == 3


def test_a_refusal_of_the_request_itself_is_final(
    open_stage: OpenStage, second: tuple[StandInUpstream, str]
) -> None:
    upstream, url = second
    refusing = StandInUpstream()
    refusing.status = 400
    with serving(refusing.app) as refusing_url, open_stage(upstreams=[refusing_url, url]) as stage:
        (answer,) = calls(stage, 1)
    assert answer.status_code == 400
    assert upstream.requests == []
    assert charged(answer) == 0


def test_a_busy_node_leaves_calls_to_the_other(
    open_stage: OpenStage, second: tuple[StandInUpstream, str]
) -> None:
    idle, url = second
    busy = StandInUpstream()
    release = busy.hold()
    with serving(busy.app) as busy_url, open_stage(upstreams=[busy_url, url]) as stage:

        async def story() -> list[httpx.Response]:
            clients = [channel_client(stage, salt=f"0x{number:064x}")[0] for number in range(4)]
            url = f"{stage.url}/v1/embeddings"
            held = asyncio.create_task(clients[0].post(url, json=REQUEST))
            await asyncio.to_thread(busy.arrived.wait, 10)
            answers = [await client.post(url, json=REQUEST) for client in clients[1:]]
            release.set()
            return [await held, *answers]

        assert [answer.status_code for answer in asyncio.run(story())] == [200] * 4
    assert (len(busy.requests), len(idle.requests)) == (1, 3)


def test_when_nobody_answers_it_is_said_and_nothing_charged(open_stage: OpenStage) -> None:
    absent = [f"http://127.0.0.1:{local.free_port()}" for _ in range(2)]
    with open_stage(upstreams=absent) as stage:
        (answer,) = calls(stage, 1)
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert charged(answer) == 0
        models = httpx.get(f"{stage.url}/v1/models", timeout=20)
        assert models.status_code == 502


def test_models_come_from_any_node(open_stage: OpenStage, second: tuple[StandInUpstream, str]) -> None:
    _, url = second
    with open_stage(upstreams=[f"http://127.0.0.1:{local.free_port()}", url]) as stage:
        models = httpx.get(f"{stage.url}/v1/models", timeout=20)
    assert [model["id"] for model in models.json()["data"]] == [MODEL]

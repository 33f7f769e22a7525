"""Which node is asked next, by what the others have answered."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace

import pytest
from aiohttp import web

from wellhead.gateway import upstreams
from wellhead.gateway.upstreams import Upstreams


class Server:
    """Answers every call by the next of `answers`, and then always by the last, after `seconds`."""

    def __init__(self, *answers: int, headers: dict[str, str] | None = None, seconds: float = 0) -> None:
        self._answers, self._headers, self._seconds = list(answers), headers, seconds
        self.calls = 0

    async def answer(self, _: web.Request) -> web.Response:
        self.calls += 1
        await asyncio.sleep(self._seconds)  # the work that an answer takes
        status = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return web.json_response({}, status=status, headers=self._headers)


@asynccontextmanager
async def serving(*servers: Server) -> AsyncIterator[Upstreams]:
    urls, runners = [], []
    for server in servers:
        application = web.Application()
        application.router.add_post("/{path:.*}", server.answer)
        runner = web.AppRunner(application)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        urls.append(f"http://127.0.0.1:{runner.addresses[0][1]}")
        runners.append(runner)
    nodes = Upstreams(urls, 20)
    try:
        yield nodes
    finally:
        nodes.close()
        for runner in runners:
            await runner.cleanup()


async def ask(nodes: Upstreams) -> int:
    async with nodes.ask("/v1/embeddings", b"{}", stream=False) as answer:
        return answer.status


def test_a_node_that_fails_at_once_does_not_attract_calls() -> None:
    """Its answers are the fastest."""

    async def story() -> None:
        good, broken = Server(200, seconds=0.02), Server(500)
        async with serving(good, broken) as nodes:
            turns = asyncio.Semaphore(4)

            async def call() -> int:
                async with turns:
                    return await ask(nodes)

            assert await asyncio.gather(*(call() for _ in range(60))) == [200] * 60
            assert broken.calls <= 8  # those before its pause, and on a slow machine after it
            assert nodes.nodes[1].failures == broken.calls
            assert nodes.nodes[1].wait_seconds == 0

    asyncio.run(story())


def test_a_refusal_is_no_measure_of_speed() -> None:
    async def story() -> None:
        async with serving(Server(200, 400, seconds=0.02)) as nodes:
            await ask(nodes)
            before = nodes.nodes[0].wait_seconds
            assert before >= 0.02
            assert await ask(nodes) == 400
            assert nodes.nodes[0].wait_seconds == before

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("7", 7), ("9999", 30), ("0", 1), ("soon", 1), ("-5", 1), (None, 1)],
)
def test_a_node_that_has_too_much_is_left_alone_as_long_as_it_says(
    monkeypatch: pytest.MonkeyPatch, said: str | None, seconds: int
) -> None:
    now = 1_000.0
    monkeypatch.setattr(upstreams, "time", SimpleNamespace(monotonic=lambda: now))

    async def story() -> None:
        busy, idle = Server(429, headers={"retry-after": said} if said else None), Server(200)
        async with serving(busy, idle) as nodes:
            assert await ask(nodes) == 200
            assert nodes.nodes[0].paused_until == now + seconds
            assert nodes.nodes[0].failures == 0
            assert await ask(nodes) == 200
            assert (busy.calls, idle.calls) == (1, 2)

    asyncio.run(story())


def test_when_all_have_too_much_the_customer_hears_it() -> None:
    async def story() -> None:
        busy = [Server(429) for _ in range(3)]
        async with serving(*busy) as nodes:
            assert await ask(nodes) == 429
            assert [server.calls for server in busy] == [1, 1, 1]

    asyncio.run(story())


def test_a_request_that_fails_twice_is_not_passed_through_all_nodes() -> None:
    """Or one that fails everywhere would keep all of them from other customers."""

    async def story() -> None:
        nodes_behind = [Server(500) for _ in range(4)]
        async with serving(*nodes_behind) as nodes:
            assert await ask(nodes) == 500
            assert sorted(server.calls for server in nodes_behind) == [0, 0, 1, 1]
            for node in nodes.nodes:
                node.failures = 9
            assert await ask(nodes) == 500
            pauses = [node.paused_until - upstreams.time.monotonic() for node in nodes.nodes]
            assert max(pauses) <= upstreams.FIRST_PAUSE_SECONDS

    asyncio.run(story())

"""Streamed answers: their payments end with them, however they end, and hold up nobody until then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import anyio
import httpx
import pytest
from customer_doubles import PRICE, URL, Chain, Gateway, answer, next_payment, purse_of

from wellhead.customer import proxy
from wellhead.customer.purse import Purse
from wellhead.customer.transports import AsyncPayingTransport, PayingTransport


class Pieces(httpx.SyncByteStream, httpx.AsyncByteStream):
    """A stream that goes on for as long as it is read. Its closing takes a moment, as a socket's does."""

    def __iter__(self) -> Iterator[bytes]:
        while True:
            yield b"data: {}\n\n"

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            yield b"data: {}\n\n"
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        await asyncio.sleep(0)


def streamed() -> httpx.Response:
    return httpx.Response(200, headers={"content-type": "text/event-stream"}, stream=Pieces())


def test_a_stream_whose_reader_is_cancelled_ends_its_payment() -> None:
    """By a cancel scope, in which nothing can be waited for any more: anyio's, so Starlette's and the local proxy's."""
    purse, gateway = purse_of(Chain()), Gateway(lambda _: streamed())

    async def read_a_little() -> None:
        transport = AsyncPayingTransport(purse, httpx.MockTransport(gateway.later))
        async with httpx.AsyncClient(transport=transport) as http:
            with anyio.CancelScope() as scope:
                async with http.stream("POST", URL, json={}) as response:
                    async for _ in response.aiter_bytes():
                        scope.cancel()
                        await asyncio.sleep(0)

    asyncio.run(read_a_little())
    assert next_payment(purse).ceiling_usd6 == PRICE


def test_a_call_within_the_stream_that_brought_the_deposit_need_not_wait_for_its_end() -> None:
    purse, gateway = purse_of(Chain()), Gateway(lambda _: streamed(), answer())
    transport = PayingTransport(purse, httpx.MockTransport(gateway))
    with httpx.Client(transport=transport) as http, http.stream("POST", URL, json={}) as response:
        pieces = response.iter_bytes()
        next(pieces)
        assert next_payment(purse).deposit_usd6 == 0
        assert http.post(URL, json={}).status_code == 200
    assert gateway.ceilings == [PRICE, 3 * PRICE]


@pytest.mark.parametrize("begun", [True, False], ids=["in mid-stream", "before it began"])
def test_a_reader_of_the_local_proxy_who_hangs_up_leaves_no_payment_under_way(
    monkeypatch: pytest.MonkeyPatch, *, begun: bool
) -> None:
    purse, gateway = purse_of(Chain()), Gateway(lambda _: streamed())

    def paying_client(own: Purse, **_: object) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=AsyncPayingTransport(own, httpx.MockTransport(gateway.later)))

    monkeypatch.setattr(proxy, "paying_client", paying_client)
    asyncio.run(ask_and_hang_up(proxy.create_proxy("http://gateway", purse), begun=begun))
    assert gateway.ceilings == [PRICE]
    assert next_payment(purse).ceiling_usd6 == PRICE


async def ask_and_hang_up(app: Any, *, begun: bool) -> None:
    """Once the first piece has come, or while the head of the answer is being sent."""
    asked, gone = False, asyncio.Event()

    async def receive() -> dict[str, Any]:
        nonlocal asked
        if not asked:
            asked = True
            return {"type": "http.request", "body": b"{}", "more_body": False}
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        if not begun:
            gone.set()
            await asyncio.Event().wait()
        if message["type"] == "http.response.body":
            gone.set()

    scope = {
        **{"type": "http", "asgi": {"version": "3.0", "spec_version": "2.3"}, "http_version": "1.1"},
        **{"method": "POST", "scheme": "http", "path": "/v1/chat/completions", "raw_path": b""},
        **{"query_string": b"", "root_path": "", "headers": []},
    }
    async with asyncio.timeout(5):
        await app(scope, receive, send)

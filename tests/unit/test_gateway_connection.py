"""Clients that send heads without end, or none, or do not read what they are sent."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from wellhead.gateway import connection
from wellhead.gateway.body_limit import BodyLimit
from wellhead.gateway.connection import MAX_HEAD_BYTES, BoundedConnection
from wellhead.gateway.serve import MAX_CONNECTIONS, settings

LARGE = b"x" * (8 << 20)
BEGINNING = b"POST / HTTP/1.1\r\nhost: gateway\r\n"
SHORT_SECONDS = 0.1


async def measured(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with how many bytes the body had; on /large with many bytes of its own."""
    body = (await receive()).get("body", b"")
    answer = LARGE if scope["path"] == "/large" else b"%d" % len(body)
    length = str(len(answer)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": answer})


class Site:
    """A gateway's way of serving, and who is connected to it."""

    def __init__(self) -> None:
        self.state = ServerState()
        self.config = settings(BodyLimit(measured, 1 << 20))
        self.config.load()

    async def start(self) -> asyncio.Server:
        self.server = await asyncio.get_running_loop().create_server(
            lambda: BoundedConnection(self.config, self.state, {}), "127.0.0.1", 0
        )
        return self.server

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.server.sockets[0].getsockname()
        return host, port


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    opened = Site()
    async with await opened.start():
        yield opened


async def said_to(sent: bytes, *more: bytes) -> bytes:
    """All that a client hears which sends these, one read after the other, until it is hung up on."""
    async with site() as opened:
        reader, writer = await asyncio.open_connection(*opened.address)
        writer.write(sent)
        for part in more:
            await asyncio.sleep(0)  # another read for the other side
            writer.write(part)
        try:
            async with asyncio.timeout(10):
                heard = await reader.read()
        except ConnectionError:
            heard = b""
        writer.close()
        return heard


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_TIMEOUT_SECONDS", "REQUEST_TIMEOUT_SECONDS", "STALL_SECONDS"):
        monkeypatch.setattr(connection, name, SHORT_SECONDS)
    monkeypatch.setattr(BoundedConnection, "look_seconds", SHORT_SECONDS / 10)


def test_a_gateway_serves_this_way() -> None:
    config = Site().config
    assert (config.http_protocol_class, config.ws_protocol_class) == (BoundedConnection, None)
    assert config.limit_concurrency == MAX_CONNECTIONS


def test_a_header_without_end_is_refused_at_the_limit() -> None:
    async def story() -> int:
        async with site() as opened:
            reader, writer = await asyncio.open_connection(*opened.address)
            writer.write(BEGINNING + b"payment-signature: ")
            taken = 0
            try:
                async with asyncio.timeout(20):
                    while not reader.at_eof() and taken < 100 << 20:
                        writer.write(b"x" * (1 << 16))
                        await writer.drain()
                        await asyncio.sleep(0)
                        taken += 1 << 16
            except ConnectionError:
                pass
            writer.close()
            return taken

    assert asyncio.run(story()) < 16 << 20  # what fits between client and gateway


@pytest.mark.parametrize("name", [b"a", b"payment-signature"])
def test_a_head_above_the_limit_is_refused_in_whole_or_in_parts(name: bytes) -> None:
    head = BEGINNING + name + b": " + b"x" * MAX_HEAD_BYTES
    assert asyncio.run(said_to(head)).startswith(b"HTTP/1.1 431 ")
    whole = head + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
    assert asyncio.run(said_to(whole)).startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 431 "))
    short = whole.replace(b"x" * MAX_HEAD_BYTES, b"x" * (MAX_HEAD_BYTES - 1_000))
    assert asyncio.run(said_to(short)).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("size", [1, 1_000, 100_000])
def test_a_body_is_not_counted_as_head(size: int) -> None:
    parts = [b"%x\r\n" % size + b"x" * size + b"\r\n"] * min(30_000, (1 << 20) // size)
    sent = BEGINNING + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n" + b"".join(parts)
    heard = asyncio.run(said_to(sent + b"0\r\n\r\n"))
    assert heard.endswith(b"\r\n\r\n%d" % (size * len(parts)))


def test_what_follows_a_body_is_counted() -> None:
    sent = BEGINNING + b"transfer-encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n"
    assert asyncio.run(said_to(sent, b"trailer: ", *[b"x" * 10_000] * 8)) == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    "sent",
    [b"", b"POST ", BEGINNING, b"\r\n\r\n", BEGINNING + b"content-length: 9\r\n\r\nx"],
    ids=["nothing", "a word", "half a head", "empty lines", "half a body"],
)
def test_who_does_not_go_on_is_hung_up_on(sent: bytes) -> None:
    assert asyncio.run(said_to(sent)) == b""


@pytest.mark.usefixtures("impatient")
def test_a_second_head_has_no_more_time_than_the_first() -> None:
    async def story() -> bytes:
        async with site() as opened:
            reader, writer = await asyncio.open_connection(*opened.address)
            writer.write(BEGINNING + b"content-length: 0\r\n\r\n")
            async with asyncio.timeout(4):  # uvicorn's own patience with who is silent is five seconds
                assert (await reader.readuntil(b"\r\n\r\n0")).startswith(b"HTTP/1.1 200 ")
                writer.write(BEGINNING)
                rest = await reader.read()
            writer.close()
            return rest

    assert asyncio.run(story()) == b""


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kept", [b"keep-alive", b"close"])
def test_who_never_reads_an_answer_is_hung_up_on(kept: bytes) -> None:
    async def story() -> None:
        async with site() as opened:
            client = socket.create_connection(opened.address)
            client.sendall(b"GET /large HTTP/1.1\r\nhost: gateway\r\nconnection: %b\r\n\r\n" % kept)
            async with asyncio.timeout(10):
                while not opened.state.total_requests or opened.state.connections:
                    await asyncio.sleep(SHORT_SECONDS / 10)
            client.close()

    asyncio.run(story())


@pytest.mark.usefixtures("impatient")
def test_who_reads_slowly_gets_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "STALL_SECONDS", 1.0)

    async def story() -> int:
        async with site() as opened:
            reader, writer = await asyncio.open_connection(*opened.address, limit=1 << 10)
            writer.write(b"GET /large HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
            taken = 0
            while part := await reader.read(1 << 18):
                taken += len(part)
                await asyncio.sleep(0.05)
            writer.close()
            return taken

    assert asyncio.run(story()) > len(LARGE)

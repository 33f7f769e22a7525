"""Clients that send heads without end, or none, do not read what they are sent, or take every place there is."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from starlette.types import Receive, Scope, Send
from uvicorn.server import ServerState

from wellhead import bounded_connection
from wellhead.bounded_connection import MAX_HEAD_BYTES, BoundedConnection
from wellhead.gateway.body_limit import read_body
from wellhead.oracle.daemon.listening import BOUNDS
from wellhead.serving import OTHER_FILES, Bounds, settings

LARGE = b"x" * (8 << 20)
BEGINNING = b"POST / HTTP/1.1\r\nhost: gateway\r\n"
SHORT_SECONDS = 0.1


async def measured(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with how many bytes the body had; on /large with many bytes of its own."""
    body = await read_body(scope, receive, 1 << 20) or b""
    answer = LARGE if scope["path"] == "/large" else b"%d" % len(body)
    length = str(len(answer)).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
    await send({"type": "http.response.body", "body": answer})


class Site:
    """Our way of serving, and who is connected to it."""

    def __init__(self) -> None:
        self.state = ServerState()
        self.go_on = asyncio.Event()
        self.config = settings(self._app, BOUNDS)
        self.config.load()

    async def _app(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/later":
            await self.go_on.wait()
        if scope["path"] == "/in-pieces":
            await send({"type": "http.response.start", "status": 200})
            for _ in range(2):
                await send({"type": "http.response.body", "body": LARGE, "more_body": True})
        await measured(scope, receive, send)

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
        monkeypatch.setattr(bounded_connection, name, SHORT_SECONDS)
    monkeypatch.setattr(BoundedConnection, "look_seconds", SHORT_SECONDS / 10)


def test_everything_is_served_this_way() -> None:
    config = Site().config
    assert (config.http_protocol_class, config.ws_protocol_class) == (BoundedConnection, None)
    assert config.limit_concurrency == BOUNDS.connections
    assert config.timeout_graceful_shutdown == BOUNDS.grace_seconds


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
    monkeypatch.setattr(bounded_connection, "STALL_SECONDS", 1.0)

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


# All places taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "taking",
    [b"", BEGINNING, BEGINNING + b"content-length: 9\r\n\r\nx", BEGINNING + b"content-length: 0\r\n\r\n"],
    ids=["idle", "half a head", "half a body", "answered once"],
)
def test_strangers_who_take_every_place_keep_nobody_out(taking: bytes) -> None:
    async def story() -> None:
        async with site() as opened:
            # At the limit itself uvicorn answers 503 to all that is asked, and hangs up.
            strangers = [
                await asyncio.open_connection(*opened.address) for _ in range(BOUNDS.connections - 1)
            ]
            for _, writer in strangers:
                writer.write(taking)
            while len(opened.state.connections) < BOUNDS.connections - 1:
                await asyncio.sleep(0)
            async with asyncio.timeout(2):
                for _ in range(3):
                    reader, writer = await asyncio.open_connection(*opened.address)
                    writer.write(BEGINNING + b"content-length: 0\r\nconnection: close\r\n\r\n")
                    assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
                    writer.close()
            assert len(opened.state.connections) < BOUNDS.connections
            for _, writer in strangers:
                writer.close()

    asyncio.run(story())


def test_a_stranger_with_many_connections_takes_their_places_from_himself() -> None:
    async def story() -> None:
        async with site() as opened:
            reader, writer = await asyncio.open_connection(*opened.address)
            writer.write(BEGINNING + b"content-length: 2\r\nconnection: close\r\n\r\nx")
            while not opened.state.tasks:
                await asyncio.sleep(0)
            strangers = [
                await asyncio.open_connection(*opened.address, local_addr=("127.0.0.2", 0))
                for _ in range(2 * BOUNDS.connections)
            ]
            writer.write(b"x")
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            for _, left in (*strangers, (reader, writer)):
                left.close()

    asyncio.run(story())


def test_who_is_being_answered_is_not_hung_up_on_for_strangers() -> None:
    async def story() -> None:
        async with site() as opened:
            reader, writer = await asyncio.open_connection(*opened.address)
            writer.write(b"GET /later HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n\r\n")
            while not opened.state.tasks:
                await asyncio.sleep(0)
            strangers = [
                await asyncio.open_connection(*opened.address) for _ in range(2 * BOUNDS.connections)
            ]
            opened.go_on.set()
            assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            for _, left in (*strangers, (reader, writer)):
                left.close()

    asyncio.run(story())


def test_who_does_not_read_goes_when_all_others_are_at_work() -> None:
    async def story() -> None:
        async with site() as opened:
            deaf = socket.create_connection(opened.address)
            deaf.sendall(b"GET /in-pieces HTTP/1.1\r\nhost: gateway\r\n\r\n")
            while not any(one.transport.get_write_buffer_size() for one in opened.state.connections):
                await asyncio.sleep(0)
            busy = [await asyncio.open_connection(*opened.address) for _ in range(BOUNDS.connections - 2)]
            for _, writer in busy:
                writer.write(b"GET /later HTTP/1.1\r\nhost: gateway\r\n\r\n")
            while len(opened.state.tasks) < len(busy):
                await asyncio.sleep(0)
            async with asyncio.timeout(2):
                reader, writer = await asyncio.open_connection(*opened.address)
                writer.write(BEGINNING + b"content-length: 0\r\nconnection: close\r\n\r\n")
                assert (await reader.read()).startswith(b"HTTP/1.1 200 ")
            opened.go_on.set()
            deaf.close()
            for _, left in (*busy, (reader, writer)):
                left.close()

    asyncio.run(story())


def test_no_more_connections_are_allowed_than_files_can_be_opened() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 10 * BOUNDS.connections
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(soft, most), hard))
        allowed = settings(measured, Bounds(most, 1)).limit_concurrency
        now, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        assert allowed == most
        assert now >= most + OTHER_FILES
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# The end ----------------------------------------------------------------------------------------------------

STUCK = """
import asyncio, threading
from contextlib import asynccontextmanager
from starlette.applications import Starlette
from wellhead.listener import listen
from wellhead.serving import Bounds, serve

@asynccontextmanager
async def lifespan(_):
    peer = asyncio.get_running_loop().run_in_executor(None, threading.Event().wait)
    yield
    peer.cancel()

serve(Starlette(lifespan=lifespan), listen("127.0.0.1", 0), Bounds(8, 1), lambda url: print(url, flush=True))
"""


def test_a_thread_that_waits_for_a_slow_peer_does_not_keep_a_server_from_stopping() -> None:
    with subprocess.Popen([sys.executable, "-c", STUCK], stdout=subprocess.PIPE, env=os.environ) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith(b"http://127.0.0.1:")
            began = time.monotonic()
            process.send_signal(signal.SIGTERM)
            assert process.wait(10) == 1
            assert time.monotonic() - began < 5
        finally:
            process.kill()

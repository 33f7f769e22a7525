"""The gateway's own HTTP to nodes, against servers that say byte by byte what a test wants said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from wellhead.gateway import node_connection
from wellhead.gateway.node_connection import NodeConnection, NodeError, NodeServer

OK = b"HTTP/1.1 200 OK\r\n"
Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def listening(serve: Serve, *, seconds: float = 10, user: str = "") -> AsyncIterator[NodeServer]:
    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    node = NodeServer(f"http://{user}127.0.0.1:{server.sockets[0].getsockname()[1]}/under", seconds)
    try:
        yield node
    finally:
        node.close()
        server.close()


def saying(*said: bytes, then_close: bool = False) -> Serve:
    """Answers each request by `said`, each part a packet of its own."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await read_request(reader):
            assert head.startswith(b"POST /under/v1/embeddings HTTP/1.1\r\n")
            for part in said:
                writer.write(part)
                await writer.drain()
                await asyncio.sleep(0)  # lets the other side read it
            if then_close:
                break
        writer.close()

    return serve


async def read_request(reader: asyncio.StreamReader) -> bytes:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(2)
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    return head


async def ask(node: NodeServer) -> NodeConnection:
    connection = await node.connection()
    connection.send(node.request("POST", "/v1/embeddings", b"{}"))
    return connection


@pytest.mark.parametrize(
    ("said", "then_close"),
    [
        ([OK + b"content-length: 5\r\n\r\nhello"], False),
        ([OK, b"Content-Length: 5\r\n\r\nhe", b"llo"], False),
        ([OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhe\r\n", b"3\r\nllo\r\n0\r\n\r\n"], False),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", OK + b"content-length: 5\r\n\r\nhello"], False),
        ([OK + b"content-length: 5\r\nconnection: close\r\n\r\nhello"], True),
        ([OK + b"\r\nhel", b"lo"], True),
        ([b"HTTP/1.0 200 OK\r\n\r\nhello"], True),
    ],
)
def test_an_answer_is_read_however_it_is_framed(said: list[bytes], then_close: bool) -> None:
    async def story() -> None:
        async with listening(saying(*said, then_close=then_close)) as node:
            for _ in range(2):
                connection = await ask(node)
                assert await connection.whole() == b"hello"
                assert connection.status == 200
                assert connection.is_free is not then_close
                node.give_back(connection)
                known = await node.connection()
                assert (known is connection) is not then_close
                node.give_back(known)

    asyncio.run(story())


@pytest.mark.parametrize(
    ("said", "why"),
    [
        (b"SSH-2.0-OpenSSH_9.2\r\n", "no HTTP"),
        (OK + b"content-length: 9\r\n\r\nhello", "closed"),
        (OK + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", "closed"),
        (OK + b"content-le", "closed"),
        (b"", "closed"),
        (OK + b"content-encoding: gzip\r\ncontent-length: 5\r\n\r\nhello", "compresses"),
        (OK + b"x: " + b"y" * node_connection.MAX_HEAD_BYTES, "head of more than"),
        (2 * (OK + b"content-length: 5\r\n\r\nhello"), "no HTTP"),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: tea\r\nconnection: upgrade\r\n\r\n", "no HTTP"),
    ],
)
def test_what_is_no_answer_is_named(said: bytes, why: str) -> None:
    async def story() -> None:
        async with listening(saying(said, then_close=True)) as node:
            connection = await ask(node)
            with pytest.raises(NodeError, match=why):
                await connection.whole()
            assert not connection.is_free

    asyncio.run(story())


def test_an_answer_without_end_is_not_held(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(node_connection, "MAX_ANSWER_BYTES", 1_000)

    async def story() -> None:
        async with listening(saying(OK + b"\r\n" + b"x" * 1_001, then_close=True)) as node:
            connection = await ask(node)
            with pytest.raises(NodeError, match="more than 1000 bytes"):
                await connection.whole()

    asyncio.run(story())


def test_a_silent_node_is_given_up() -> None:
    async def story() -> None:
        async with listening(saying(OK), seconds=0.05) as node:
            connection = await ask(node)
            with pytest.raises(TimeoutError):
                await connection.head()
            assert not connection.is_free

    asyncio.run(story())


def test_a_node_that_speaks_slowly_is_not_silent() -> None:
    async def story() -> None:
        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK + b"content-length: 8\r\n\r\n")
            for _ in range(8):
                await asyncio.sleep(0.05)  # longer in all than the node may be silent
                writer.write(b"x")
            writer.close()

        async with listening(serve, seconds=0.3) as node:
            assert await (await ask(node)).whole() == b"x" * 8

    asyncio.run(story())


def test_a_stream_comes_in_pieces_and_is_held_for_a_slow_customer() -> None:
    async def story() -> None:
        sent = 0

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            nonlocal sent
            await read_request(reader)
            writer.write(OK + b"\r\n")
            for _ in range(1_000):
                writer.write(b"x" * 100_000)
                await writer.drain()
                sent += 100_000
            writer.close()

        async with listening(serve) as node:
            connection = await ask(node)
            await connection.head()
            before = -1
            while before != sent:  # until the node cannot get rid of any more
                before = sent
                await asyncio.sleep(0.1)
            assert sent < 50_000_000
            total = 0
            while piece := await connection.piece():
                total += len(piece)
            assert total == 100_000_000

    asyncio.run(story())


def test_a_stream_that_nobody_reads_to_its_end_is_cut_off() -> None:
    async def story() -> None:
        cut = asyncio.Event()

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await read_request(reader)
            writer.write(OK + b"transfer-encoding: chunked\r\n\r\n2\r\nhi\r\n")
            with suppress(ConnectionError):
                assert await reader.read() == b""
            writer.close()
            cut.set()

        async with listening(serve) as node:
            connection = await ask(node)
            assert await connection.piece() == b"hi"
            node.give_back(connection)
            async with asyncio.timeout(10):
                await cut.wait()
            assert await node.connection() is not connection

    asyncio.run(story())


def test_a_connection_that_is_held_up_is_not_used_again() -> None:
    length = 2 * node_connection.MAX_HELD_BYTES

    async def story() -> None:
        async with listening(saying(OK + b"content-length: %d\r\n\r\n" % length + b"x" * length)) as node:
            connection = await ask(node)
            while connection._held_bytes <= node_connection.MAX_HELD_BYTES:  # nobody takes it
                await asyncio.sleep(0.01)
            connection.on_message_complete()  # the rest came with what had been read already
            node.give_back(connection)
            assert await node.connection() is not connection

    asyncio.run(story())


def test_a_connection_that_was_idle_too_long_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async def story() -> None:
        async with listening(saying(OK + b"content-length: 0\r\n\r\n")) as node:
            connection = await ask(node)
            assert await connection.whole() == b""
            node.give_back(connection)
            monkeypatch.setattr(node_connection, "KEEPALIVE_SECONDS", 0)
            assert await node.connection() is not connection

    asyncio.run(story())


def test_a_node_that_is_not_there_is_named_without_its_address() -> None:
    async def story() -> None:
        async with listening(saying()) as node:
            pass
        with pytest.raises(NodeError, match=r"^it does not take connections \(ConnectionRefusedError\)$"):
            await node.connection()

    asyncio.run(story())


def test_a_node_behind_a_password_gets_it() -> None:
    async def story() -> None:
        heads = []

        async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heads.append(await read_request(reader))
            writer.write(OK + b"content-length: 0\r\n\r\n")
            writer.close()

        async with listening(serve, user="us%40er:pass@") as node:
            await (await ask(node)).whole()
        assert b"authorization: Basic dXNAZXI6cGFzcw==\r\n" in heads[0]
        assert b"host: 127.0.0.1:" in heads[0]

    asyncio.run(story())

"""HTTP/1.1 to a node, as much of it as a gateway needs: one request at a time on connections that are kept.

A library for all of HTTP takes longer over a call than the check of its voucher does.
"""

from __future__ import annotations

import asyncio
import ssl
from base64 import b64encode
from urllib.parse import unquote, urlsplit

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

# uvicorn hangs up after five idle seconds: a call must not meet that.
KEEPALIVE_SECONDS = 3.0
CONNECT_TIMEOUT_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 << 20
MAX_HEAD_BYTES = 1 << 16
# So much of a stream waits here for a customer that reads more slowly than the node writes.
MAX_HELD_BYTES = 1 << 18


class NodeError(Exception):
    """A node that cannot be reached, breaks off, or does not speak HTTP. The message names no address."""


class NodeConnection(asyncio.Protocol):
    """One connection, and what has come of the answer on it. Methods that wait raise NodeError, and TimeoutError after
    `silence_seconds` in which nothing came."""

    def __init__(self, silence_seconds: float) -> None:
        self._loop, self._silence_seconds = asyncio.get_running_loop(), silence_seconds
        self._transport: asyncio.Transport
        self._waiter: asyncio.Future[None] | None = None
        self._heard_at = self.idle_since = 0.0
        self._problem: Exception | None = None
        self._looking: asyncio.TimerHandle
        self._is_open, self._ends_with_connection = True, False
        self._parser = HttpResponseParser(self)
        self._forget()
        self._is_complete = True  # nobody has asked for anything yet

    def _forget(self) -> None:
        self.status, self.headers = 0, dict[str, str]()
        self._has_head = self._is_complete = self._wants_all = self._is_paused = False
        self._head_bytes = self._held_bytes = 0
        self._held: list[bytes] = []

    # For whoever asks -------------------------------------------------------------------------------

    def send(self, request: bytes) -> None:
        """Ask something new; the last answer is forgotten."""
        self._forget()
        self._transport.write(request)

    async def head(self) -> None:
        """Return when `status` and `headers`, by names in small letters, are there."""
        while self._problem or not self._has_head:
            await self._more()

    async def whole(self) -> bytes:
        """The whole body, which is at most MAX_ANSWER_BYTES long."""
        self._wants_all = True
        self._read_on()
        while self._problem or not self._is_complete:
            await self._more()
        return self._taken()

    async def piece(self) -> bytes:
        """What has come of the body since it was asked last; nothing at its end."""
        while self._problem or not (self._held or self._is_complete):
            await self._more()
        piece = self._taken()
        self._read_on()
        return piece

    @property
    def is_free(self) -> bool:
        """Whether another request may follow on this connection."""
        return self._is_open and self._is_complete and not self._is_paused

    def close(self) -> None:
        """Drop the connection, whatever is under way on it."""
        self._is_open = False
        self._transport.abort()

    def _taken(self) -> bytes:
        held, self._held, self._held_bytes = self._held, [], 0
        return held[0] if len(held) == 1 else b"".join(held)

    def _read_on(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    async def _more(self) -> None:
        if self._problem is not None:
            raise self._problem
        self._waiter, self._heard_at = self._loop.create_future(), self._loop.time()
        self._looking = self._loop.call_later(self._silence_seconds, self._look)
        try:
            await self._waiter
        finally:
            self._waiter = None
            self._looking.cancel()

    def _look(self) -> None:
        silent = self._loop.time() - self._heard_at
        if silent < self._silence_seconds:
            self._looking = self._loop.call_later(self._silence_seconds - silent, self._look)
        else:
            self._fail(TimeoutError())

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def _fail(self, problem: Exception) -> None:
        if self._problem is None:
            self._problem = problem
        self.close()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_exception(problem)

    # As asyncio calls it ----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        if self._is_complete:  # nobody asked for it
            self.close()
            return
        self._heard_at = self._loop.time()
        if not self._has_head:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade):
            self._fail(NodeError("it answers what is no HTTP"))
            return
        if not self._has_head and self._head_bytes > MAX_HEAD_BYTES:
            self._fail(NodeError(f"a head of more than {MAX_HEAD_BYTES} bytes"))
        elif self._is_complete or not self._wants_all:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        self._is_open = False
        if self._is_complete:
            return
        if exc is None and self._has_head and self._ends_with_connection:
            self.on_message_complete()
            self._wake()
        else:
            self._fail(NodeError("it closed the connection"))

    # As the parser calls it -------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._is_complete:
            raise ValueError("more than one answer")  # the parser makes its own error of it

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self.status = self._parser.get_status_code()
        if self.status < 200:  # a word before the answer
            self.headers = {}
            return
        if self.headers.get("content-encoding", "identity") != "identity":
            self._fail(NodeError("it compresses its answer, and was asked not to"))
        self._has_head = True
        self._ends_with_connection = not (
            self.headers.get("transfer-encoding") or self.headers.get("content-length")
        )

    def on_body(self, body: bytes) -> None:
        self._held.append(body)
        self._held_bytes += len(body)
        if self._wants_all:
            if self._held_bytes > MAX_ANSWER_BYTES:
                self._fail(NodeError(f"an answer of more than {MAX_ANSWER_BYTES} bytes"))
        elif self._held_bytes > MAX_HELD_BYTES and not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._has_head:
            return
        self._is_complete = True
        if not self._parser.should_keep_alive():
            self.close()


class NodeServer:
    """Where one node listens, and the connections to it that are free."""

    def __init__(self, url: str, silence_seconds: float) -> None:
        parts = urlsplit(url)
        self._ssl = ssl.create_default_context() if parts.scheme == "https" else None
        self._host, self._port = parts.hostname or "", parts.port or (443 if self._ssl else 80)
        self._root, self._silence_seconds = parts.path.rstrip("/"), silence_seconds
        self._free: list[NodeConnection] = []
        host = parts.netloc.rpartition("@")[2]
        self._common = f"host: {host}\r\nuser-agent: wellhead\r\naccept: */*\r\naccept-encoding: identity\r\n"
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            self._common += f"authorization: Basic {b64encode(pair.encode()).decode()}\r\n"

    def request(self, method: str, path: str, body: bytes | None) -> bytes:
        """A request as it is sent."""
        head = f"{method} {self._root}{path} HTTP/1.1\r\n{self._common}"
        if body is None:
            return f"{head}\r\n".encode()
        return f"{head}content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    async def connection(self) -> NodeConnection:
        """One that is free, or a new one. Raises NodeError and TimeoutError."""
        now = asyncio.get_running_loop().time()
        while self._free:
            known = self._free.pop()
            if known.is_free and now - known.idle_since < KEEPALIVE_SECONDS:
                return known
            known.close()
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_SECONDS):
                _, opened = await asyncio.get_running_loop().create_connection(
                    lambda: NodeConnection(self._silence_seconds),
                    *(self._host, self._port),
                    ssl=self._ssl,
                )
        except TimeoutError:
            raise
        except OSError as error:
            raise NodeError(f"it does not take connections ({type(error).__name__})") from None
        return opened

    def give_back(self, connection: NodeConnection) -> None:
        """Its answer is not needed any more: one that was not read to its end is not worth producing on."""
        if not connection.is_free:
            connection.close()
            return
        connection.idle_since = now = asyncio.get_running_loop().time()
        self._free.append(connection)
        if now - self._free[0].idle_since > KEEPALIVE_SECONDS:  # the newest are used first
            self._free.pop(0).close()

    def close(self) -> None:
        """Drop the connections that are free."""
        while self._free:
            self._free.pop().close()

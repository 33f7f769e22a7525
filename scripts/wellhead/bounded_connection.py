"""A client's connection, bounded before anything of a request is looked at: heads in bytes, all in time and number.

uvicorn bounds neither a head nor how long one may take, waits for ever for a client that does not read what it was
sent, and answers 503 to everybody while strangers hold all connections without asking for anything.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from wellhead.gathering_transport import GatheringTransport

# Of a request all that is not body: its first line, its headers, and what may come after a body in chunks. Payments
# have some kilobytes.
MAX_HEAD_BYTES = 1 << 16
HEAD_TIMEOUT_SECONDS = 15.0
# What an application may allow for a body at most: so its own limit has its say first, and can still answer.
BODY_TIMEOUT_SECONDS = 30
REQUEST_TIMEOUT_SECONDS = HEAD_TIMEOUT_SECONDS + BODY_TIMEOUT_SECONDS
# A client that takes nothing of its answer for so long has gone.
STALL_SECONDS = 60.0
# The size of a chunk and the ends of its lines.
CHUNK_FRAME_BYTES = 12
REFUSED_HEAD = (
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n"
    b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n\r\n%b"
)


class BoundedConnection(HttpToolsProtocol):
    """uvicorn's HTTP/1.1, that hangs up on who takes too much or too long."""

    look_seconds = 1.0

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._head_bytes = 0
        self._due: float | None = None
        self._unread_bytes, self._unread_since = 0, 0.0
        # When the client began to be waited for, last: whoever sends a byte now and then is waited for all the same.
        self._awaited_since = self.loop.time()
        self._looking: asyncio.TimerHandle | None = None

    # As asyncio and the parser call it --------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(GatheringTransport(self.loop, transport))  # type: ignore[arg-type]
        self._due = self.loop.time() + HEAD_TIMEOUT_SECONDS
        self._looking = self.loop.call_later(self.look_seconds, self._look)
        if self.limit_concurrency is not None and len(self.connections) >= self.limit_concurrency:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._head_bytes += len(data)
        if self._due is None:
            self._due = self.loop.time() + HEAD_TIMEOUT_SECONDS
        super().data_received(data)
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse_head()

    def on_headers_complete(self) -> None:
        # Of a read that holds all of a request nothing is left to count.
        if self._head_bytes > MAX_HEAD_BYTES < self._length_of_head():
            raise ValueError("a head above the limit")  # uvicorn answers 400 and closes
        self._due = self.loop.time() + REQUEST_TIMEOUT_SECONDS
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._head_bytes = max(0, self._head_bytes - len(body) - CHUNK_FRAME_BYTES)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._head_bytes, self._due = 0, None
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._awaited_since = self.loop.time()
        super().on_response_complete()

    def _length_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) for name, value in self.headers)

    def _refuse_head(self) -> None:
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete:
            said = f"the head of a request may have {MAX_HEAD_BYTES} bytes".encode()
            self.transport.write(REFUSED_HEAD % (len(said), said))
            self.transport.close()
        else:  # an answer is on its way
            self.transport.abort()

    # Number -----------------------------------------------------------------------------------------

    def _make_room(self) -> None:
        """Hang up on one whose client is waited for: to ask for something, else to read what it was sent. From the
        address with the most of them, so that who takes many places takes them from himself; there the one that is
        waited for longest. If every other one is at work, this one will be answered 503."""
        others = [one for one in self.connections if isinstance(one, BoundedConnection) and one is not self]
        awaited = [one for one in others if one._awaits_request()]
        awaited = awaited or [one for one in others if one.transport.get_write_buffer_size()]
        if awaited:
            by_address = Counter(one._address for one in awaited)
            left = min(awaited, key=lambda one: (-by_address[one._address], one._awaited_since))
            self.connections.discard(left)
            left.transport.abort()

    @property
    def _address(self) -> str:
        return self.client[0] if self.client else ""

    def _awaits_request(self) -> bool:
        if self.pipeline:
            return False
        return self.cycle is None or self.cycle.response_complete or self.cycle.more_body

    # Time -------------------------------------------------------------------------------------------

    def _look(self) -> None:
        now, unread = self.loop.time(), self.transport.get_write_buffer_size()
        if not unread or unread != self._unread_bytes:
            self._unread_bytes, self._unread_since = unread, now
        if (self._due is not None and now > self._due) or now > self._unread_since + STALL_SECONDS:
            self.transport.abort()
            return
        self._looking = self.loop.call_later(self.look_seconds, self._look)

"""What is written in one turn of the event loop, sent at once: uvicorn writes an answer's head and body apart, and to
send is the dearest of all that a small answer takes."""

from __future__ import annotations

import asyncio
from typing import Any

# Beyond it nothing is gathered: how much a client leaves unread is the transport's to say.
GATHERED_BYTES = 1 << 16


class GatheringTransport:
    """A transport, as far as an HTTP server needs one."""

    def __init__(self, loop: asyncio.AbstractEventLoop, transport: asyncio.Transport) -> None:
        self._loop, self._transport = loop, transport
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self.get_extra_info, self.is_closing = transport.get_extra_info, transport.is_closing
        self.pause_reading, self.resume_reading = transport.pause_reading, transport.resume_reading
        self.abort = transport.abort

    def write(self, data: bytes) -> None:
        """Send it when this turn of the loop is over."""
        if not self._gathered:
            self._loop.call_soon(self._send)
        self._gathered.append(data)
        self._gathered_bytes += len(data)
        if self._gathered_bytes > GATHERED_BYTES:
            self._send()

    def close(self) -> None:
        """Send what was written, then close."""
        self._send()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """Bytes that were written and are not sent."""
        return self._gathered_bytes + self._transport.get_write_buffer_size()

    def set_protocol(self, protocol: Any) -> None:
        """Whoever speaks on from here."""
        self._send()
        self._transport.set_protocol(protocol)

    def _send(self) -> None:
        if self._gathered:
            data = self._gathered[0] if len(self._gathered) == 1 else b"".join(self._gathered)
            self._gathered, self._gathered_bytes = [], 0
            if not self._transport.is_closing():
                self._transport.write(data)

"""Bodies are read here, whole and at most so long in bytes and time."""

from __future__ import annotations

import asyncio

from starlette.types import Receive, Scope

from wellhead.bounded_connection import BODY_TIMEOUT_SECONDS
from wellhead.gateway.openai_shape import RequestError


async def read_body(
    scope: Scope, receive: Receive, max_bytes: int, timeout_seconds: float = BODY_TIMEOUT_SECONDS
) -> bytes | None:
    """The body of a request; None when the client has gone. Raises RequestError: 413 for one above the limit, 408 for
    one that does not arrive."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            _must_be_within(int(value), max_bytes)
    # Of a client that sends nothing of it at all, its connection has had enough after some time.
    message = await receive()
    body: bytes | bytearray = message.get("body", b"")
    if message.get("more_body", False):
        body = bytearray(body)
        try:
            async with asyncio.timeout(timeout_seconds):
                while message.get("more_body", False):
                    _must_be_within(len(body), max_bytes)
                    message = await receive()
                    body += message.get("body", b"")
        except TimeoutError:
            late = f"the body did not arrive within {timeout_seconds} s"
            raise RequestError(late, status=408) from None
    if message["type"] == "http.disconnect":
        return None
    _must_be_within(len(body), max_bytes)
    return bytes(body)


def _must_be_within(length: int, max_bytes: int) -> None:
    if length > max_bytes:
        raise RequestError(
            f"the body has {length} bytes or more; the limit is {max_bytes}",
            status=413,
            code="body_too_large",
        )

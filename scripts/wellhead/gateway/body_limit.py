"""Bodies are read here, whole and at most so long in bytes and time, before anything else sees a request."""

from __future__ import annotations

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from wellhead.bounded_connection import BODY_TIMEOUT_SECONDS
from wellhead.gateway.openai_shape import RequestError, refusal


class BodyLimit:
    """ASGI middleware: 413 for a body above the limit, 408 for one that does not arrive."""

    def __init__(self, app: ASGIApp, max_bytes: int, timeout_seconds: float = BODY_TIMEOUT_SECONDS) -> None:
        self._app, self._max_bytes, self._timeout_seconds = app, max_bytes, timeout_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(self._timeout_seconds):
                body = await self._read(scope, receive)
        except TimeoutError:
            late = RequestError(f"the body did not arrive within {self._timeout_seconds} s", status=408)
            await refusal(late)(scope, receive, send)
            return
        except RequestError as error:
            await refusal(error)(scope, receive, send)
            return
        if body is not None:
            await self._app(scope, _replay(body, receive), send)

    async def _read(self, scope: Scope, receive: Receive) -> bytes | None:
        """The body; None when the client has gone. Raises RequestError at the limit."""
        announced = dict(scope["headers"]).get(b"content-length", b"")
        if announced.isdigit():
            self._refuse(int(announced))
        body = bytearray()
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            body += message.get("body", b"")
            self._refuse(len(body))
            if not message.get("more_body", False):
                return bytes(body)

    def _refuse(self, length: int) -> None:
        if length > self._max_bytes:
            raise RequestError(
                f"the body has {length} bytes or more; the limit is {self._max_bytes}",
                status=413,
                code="body_too_large",
            )


def _replay(body: bytes, receive: Receive) -> Receive:
    """`receive` as if nothing had been read."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def replay() -> Message:
        return pending.pop() if pending else await receive()

    return replay

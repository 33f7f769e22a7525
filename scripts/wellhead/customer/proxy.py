"""A local endpoint that pays: any program that speaks OpenAI's API points its base URL here and needs to know nothing
of payments. What is asked goes to the gateway, paid for out of one purse, under its owner's limit.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wellhead.customer.clients import paying_client
from wellhead.customer.once import PaidButUnanswered
from wellhead.customer.purse import Purse
from wellhead.errors import Refused
from wellhead.listener import listen
from wellhead.serving import Bounds, serve

BOUNDS = Bounds(connections=1_000, grace_seconds=5)
PASSED_HEADERS = ("content-type", "retry-after", "payment-response")


def create_proxy(gateway_url: str, purse: Purse, timeout_seconds: float = 600) -> Starlette:
    """The endpoint as an application. Headers of its callers, API keys among them, stay here."""
    root = gateway_url.rstrip("/")
    http = paying_client(purse, timeout=timeout_seconds)

    async def forward(request: Request) -> Response:
        passed_on = http.build_request(
            request.method,
            root + request.url.path,
            content=await request.body(),
            headers={"content-type": "application/json"},
        )
        try:
            answer = await http.send(passed_on, stream=True)
        except PaidButUnanswered as error:
            return _error(502, "paid_but_unanswered", str(error))
        except Refused as error:
            return _error(402, "payment_refused", str(error))
        except httpx.HTTPError as error:
            return _error(502, "gateway_unreachable", f"no gateway answers at {root}: {type(error).__name__}")
        headers = {name: answer.headers[name] for name in PASSED_HEADERS if name in answer.headers}
        return _PassedOn(answer, headers)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        await http.aclose()

    methods = ["GET", "POST"]
    return Starlette(routes=[Route("/v1/{path:path}", forward, methods=methods)], lifespan=lifespan)


def serve_proxy(app: Starlette, host: str, port: int, announce: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets the URL once connections are taken. Raises Refused before that."""
    with listen(host, port) as listener:
        serve(app, listener, BOUNDS, announce)


class _PassedOn(StreamingResponse):
    """The gateway's answer. A reader who hangs up cancels what sends it, perhaps before it began: so it is closed here,
    where that has ended."""

    def __init__(self, answer: httpx.Response, headers: dict[str, str]) -> None:
        super().__init__(answer.aiter_bytes(), answer.status_code, headers)
        self._answer = answer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._answer.aclose()


def _error(status: int, code: str, message: str) -> JSONResponse:
    error = {"message": message, "type": "payment_required", "param": None, "code": code}
    # OpenAI's clients would try again, and pay again.
    return JSONResponse({"error": error}, status, {"x-should-retry": "false"})

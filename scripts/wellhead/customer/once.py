"""Never pay twice for one call.

OpenAI's clients try again after timeouts, broken connections and answers such as 500 or 429. Before a
payment that is right. After one, each try would sign and pay again: a client whose call timed out paid three
times. So what goes wrong with a request that carries a payment is made final here, below the client's loop:
errors change their type, bodies are read to the end, and bad answers say `x-should-retry: false`.
"""

from __future__ import annotations

import httpx
from x402.http import PAYMENT_SIGNATURE_HEADER

from wellhead.errors import WellheadError


class PaidButUnanswered(WellheadError):  # noqa: N818 - reads as what happened
    """A payment was sent, and no answer came or none that can be read. It may have been settled: look before paying
    again."""


class PaidOnce(httpx.BaseTransport):
    """Under a paying transport: makes failures of paid requests final."""

    def __init__(self, inner: httpx.BaseTransport) -> None:
        self._inner = inner

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises PaidButUnanswered in place of any transport error, if `request` pays."""
        if PAYMENT_SIGNATURE_HEADER not in request.headers:
            return self._inner.handle_request(request)
        try:
            response = self._inner.handle_request(request)
            if not streams(response):
                response.read()
        except httpx.HTTPError as error:
            raise _unanswered(request, error) from error
        return _final(response)

    def close(self) -> None:
        self._inner.close()


class AsyncPaidOnce(httpx.AsyncBaseTransport):
    """The same for asynchronous clients."""

    def __init__(self, inner: httpx.AsyncBaseTransport) -> None:
        self._inner = inner

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises PaidButUnanswered in place of any transport error, if `request` pays."""
        if PAYMENT_SIGNATURE_HEADER not in request.headers:
            return await self._inner.handle_async_request(request)
        try:
            response = await self._inner.handle_async_request(request)
            if not streams(response):
                await response.aread()
        except httpx.HTTPError as error:
            raise _unanswered(request, error) from error
        return _final(response)

    async def aclose(self) -> None:
        await self._inner.aclose()


def streams(response: httpx.Response) -> bool:
    """Whether the answer comes in pieces: OpenAI's clients do not try again once it has begun."""
    kind = str(response.headers.get("content-type", ""))
    return response.status_code == 200 and kind.startswith("text/event-stream")


def _unanswered(request: httpx.Request, error: httpx.HTTPError) -> PaidButUnanswered:
    return PaidButUnanswered(
        f"{request.url} was sent a payment and did not answer ({type(error).__name__}); it may still be charged, "
        "so look before paying again"
    )


def _final(response: httpx.Response) -> httpx.Response:
    if response.status_code >= 400:
        response.headers["x-should-retry"] = "false"
    return response

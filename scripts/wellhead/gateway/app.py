"""The application: a request is read, priced, paid for, passed on, charged.

Paid is what was answered: the payment is verified first, the upstream works, and only an answer below 400 is charged
for. An upstream's refusal or silence costs nothing.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from wellhead.gateway.body_limit import read_body
from wellhead.gateway.inference import Call, read_answer, read_call
from wellhead.gateway.meters import Meters
from wellhead.gateway.openai_shape import RequestError, error_body, refusal
from wellhead.gateway.paths import (
    HEALTH_PATH,
    METRICS_PATH,
    MODELS_PATH,
    OFFER_PATH,
    PAID_PATHS,
    RECEIPTS_PATH,
    STATUS_PATH,
)
from wellhead.gateway.prices import PriceList, Tokens
from wellhead.gateway.sale import OpenSale, PaymentRefusedError, Receipt
from wellhead.gateway.streaming import Billed, stream_answer
from wellhead.gateway.terms import PAYMENT_REQUIRED, PAYMENT_RESPONSE, PAYMENT_SIGNATURE, Terms, header
from wellhead.gateway.till import Till
from wellhead.gateway.upstreams import Upstreams
from wellhead.units import format_usd

PAYMENT_NEEDED = "payment_required"
# x402's clients act on these codes only if nothing stands beside them.
_SCHEME_CODES = "invalid_batch_settlement_evm_"

_PAYMENT = PAYMENT_SIGNATURE.lower().encode()
FAILED = RequestError("the gateway failed; its log says why", status=500, code="internal")
_log = logging.getLogger(__name__)

Status = Callable[[], Awaitable[dict[str, Any]]]
Lifespan = Callable[[Starlette], AbstractAsyncContextManager[None]]


class Counter:
    """Where calls are sold. One per gateway."""

    def __init__(
        self, terms: Terms, till: Till, upstreams: Upstreams, meters: Meters, billed: Billed
    ) -> None:
        self._terms, self._till, self._upstreams = terms, till, upstreams
        self._meters, self._billed = meters, billed
        self._prices = PriceList(terms.config.models)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI endpoint of every paid path. GET asks for the terms, or for a refund, as x402's clients do."""
        answer: ASGIApp | None
        try:
            body = await read_body(scope, receive, self._terms.config.max_body_bytes)
            if body is None:
                return
            if scope["method"] == "POST":
                answer = await self._sell(scope, body, receive, send)
            else:
                answer = await self._refund(scope)
        except RequestError as error:
            answer = refusal(error)
        except Exception:
            _log.exception("a call failed in the gateway")
            answer = refusal(FAILED)
        if answer is not None:
            await answer(scope, receive, send)

    async def _sell(self, scope: Scope, body: bytes, receive: Receive, send: Send) -> ASGIApp | None:
        call = read_call(scope["path"], body, self._prices)
        payment = _payment(scope)
        if payment is None:
            return self._unpaid(scope, call.ceiling_usd6)
        try:
            sale = await self._till.open(payment, call.ceiling_usd6)
        except PaymentRefusedError as error:
            return self._refused(scope, call.ceiling_usd6, error)
        if isinstance(sale, Receipt):
            return _refunded(sale)
        self._meters.under_way += 1
        try:
            return await self._serve(scope, call, sale, receive, send)
        finally:
            self._meters.under_way -= 1

    async def _refund(self, scope: Scope) -> Response:
        least = min(price.cost_up(Tokens(1, 1)) for price in self._terms.config.models)
        payment = _payment(scope)
        if payment is None:
            return self._unpaid(scope, least)
        try:
            return _refunded(await self._till.refund(payment))
        except PaymentRefusedError as error:
            return self._refused(scope, least, error)

    # Serving ----------------------------------------------------------------------------------------

    async def _serve(
        self, scope: Scope, call: Call, sale: OpenSale, receive: Receive, send: Send
    ) -> ASGIApp | None:
        try:
            return await self._ask(call, sale, receive, send)
        except RequestError as error:
            self._meters.ended(call, error.code or "refused")
            return _with_receipt(refusal(error), await sale.release())
        except PaymentRefusedError as error:  # served, but what was signed is not to be had any more
            self._meters.ended(call, "unpaid")
            return self._refused(scope, call.ceiling_usd6, error)
        except BaseException:  # a call that is cancelled must not keep what it reserved
            await sale.abandon()
            raise

    async def _ask(self, call: Call, sale: OpenSale, receive: Receive, send: Send) -> ASGIApp | None:
        async with self._upstreams.ask(call.path, call.body, stream=call.stream) as answer:
            self._meters.waited(answer.waited_seconds)
            if answer.body is None:
                await stream_answer(call, sale, answer, self._meters, self._billed, receive, send)
                return None
            if answer.status >= 400:
                self._meters.ended(call, "refused by the node")
                return PassedOn(answer.status, answer.headers, answer.body, await sale.release())
            tokens = _tokens(call, answer.status, answer.body)
            known = tokens or Tokens(0, 0)
            receipt = await sale.charge(call.cost_usd6(known))
            self._meters.charged(call, known, receipt.charged_usd6, counted=tokens is not None)
            self._meters.ended(call, "served")
            if receipt.charged_usd6:
                self._billed(answer.member, call.work_units(known))
            return PassedOn(answer.status, answer.headers, answer.body, receipt)

    # 402 --------------------------------------------------------------------------------------------

    def _unpaid(self, scope: Scope, ceiling_usd6: int) -> Response:
        config = self._terms.config
        price = f"at most {format_usd(ceiling_usd6)} to {config.pay_to} on {config.network}"
        return self._payment_required(
            scope,
            ceiling_usd6,
            PaymentRefusedError(
                PAYMENT_NEEDED,
                f"this call costs {price}; any x402 client pays it (terms: {PAYMENT_REQUIRED})",
            ),
            "Payment required",
        )

    def _refused(self, scope: Scope, ceiling_usd6: int, error: PaymentRefusedError) -> Response:
        self._meters.refused(error.code)
        if error.response_header is not None:
            body = error_body(error.message, error.status, error.code)
            return JSONResponse(body, error.status, {PAYMENT_RESPONSE: error.response_header})
        said = error.code if error.code.startswith(_SCHEME_CODES) else f"{error.code}: {error.message}"
        return self._payment_required(scope, ceiling_usd6, error, said)

    def _payment_required(
        self, scope: Scope, ceiling_usd6: int, error: PaymentRefusedError, said: str
    ) -> Response:
        url = str(Request(scope).url)
        terms = self._terms.required(ceiling_usd6, url, said, error.channel)
        body = error_body(error.message, error.status, error.code)
        headers = {PAYMENT_REQUIRED: header(terms)}
        if error.retry_seconds is not None:
            headers["retry-after"] = str(error.retry_seconds)
        return JSONResponse(body, error.status, headers)

    # Free -------------------------------------------------------------------------------------------

    async def models(self, _: Request) -> Response:
        """What the upstreams serve."""
        try:
            answer = await self._upstreams.models()
        except RequestError as error:
            return refusal(error)
        return Response(answer.body, answer.status, answer.headers)


def create_app(
    counter: Counter,
    offer: dict[str, Any],
    meters: Meters,
    status: Status,
    is_healthy: Callable[[], bool],
    lifespan: Lifespan,
    receipts: Callable[[], Awaitable[dict[str, Any]]] | None = None,
) -> ASGIApp:
    """The gateway's routes. `offer` is what it sells, `status` how it stands now, `is_healthy` whether it can sell.
    `receipts` are what a pool's gateway signs for its members."""

    async def show_offer(_: Request) -> Response:
        return JSONResponse(offer)

    async def show_status(_: Request) -> Response:
        return JSONResponse(await status())

    async def show_receipts(_: Request) -> Response:
        if receipts is None:
            raise HTTPException(404, "this gateway pays a node and not a pool, so it signs no receipts")
        return JSONResponse(await receipts())

    async def healthz(_: Request) -> Response:
        healthy = is_healthy()
        return JSONResponse({"status": "ok" if healthy else "chain lost"}, 200 if healthy else 503)

    async def metrics(_: Request) -> Response:
        await status()  # brings the gauges up to date
        return Response(meters.text(), media_type="text/plain; version=0.0.4")

    async def unknown(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        message = (
            f"{request.method} {request.url.path}: {error.detail}; sold here: POST {', '.join(PAID_PATHS)}"
        )
        return refusal(RequestError(message, status=error.status_code))

    async def failed(_: Request, __: Exception) -> Response:
        return refusal(FAILED)

    app = Starlette(
        routes=[
            Route(MODELS_PATH, counter.models),
            Route(OFFER_PATH, show_offer),
            Route(STATUS_PATH, show_status),
            Route(RECEIPTS_PATH, show_receipts),
            Route(HEALTH_PATH, healthz),
            Route(METRICS_PATH, metrics),
        ],
        exception_handlers={HTTPException: unknown, Exception: failed},
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False  # nobody shall pay for a redirect

    async def gateway(scope: Scope, receive: Receive, send: Send) -> None:
        # What is sold goes past the routing and the middleware of the rest, which cost more than a voucher's check.
        if scope["type"] == "http" and scope["path"] in PAID_PATHS and scope["method"] in ("GET", "POST"):
            await counter(scope, receive, send)
        else:
            await app(scope, receive, send)

    return gateway


class PassedOn(msgspec.Struct, frozen=True):
    """A node's answer, and what it cost."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    receipt: Receipt | None

    async def __call__(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        headers = [(name.encode(), value.encode("latin-1")) for name, value in self.headers.items()]
        headers.append((b"content-length", b"%d" % len(self.body)))
        if self.receipt is not None:
            headers.append((PAYMENT_RESPONSE.lower().encode(), self.receipt.header.encode()))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


def _payment(scope: Scope) -> str | None:
    """What the header says that pays."""
    for name, value in scope["headers"]:
        if name == _PAYMENT:
            return str(value, "latin-1")
    return None


def _tokens(call: Call, status: int, body: bytes) -> Tokens | None:
    """What the node counted, None if it did not. Raises RequestError for an answer that nobody should pay for."""
    try:
        if status != 200:
            raise ValueError
        tokens = read_answer(call.path, body)
    except ValueError:
        message = f"the node answered {status} without what was asked for"
        raise RequestError(message, status=502, code="upstream_invalid") from None
    if tokens is None and call.price.is_by_token:
        # Nobody can say what it costs: neither nothing nor the most would be fair, and the node is to be mended.
        message = "the node did not count the tokens of its answer, and they are what is paid for"
        raise RequestError(message, status=502, code="upstream_invalid")
    return tokens


def _refunded(receipt: Receipt) -> Response:
    return _with_receipt(JSONResponse({"message": "refunded"}), receipt)


def _with_receipt(response: Response, receipt: Receipt | None) -> Response:
    if receipt is not None:
        response.headers[PAYMENT_RESPONSE] = receipt.header
    return response

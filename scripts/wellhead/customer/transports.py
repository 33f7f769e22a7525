"""httpx transports that pay by channel: whatever uses httpx pays, synchronous or not, streamed or not."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from x402.http import PAYMENT_SIGNATURE_HEADER
from x402.schemas import PaymentRequirements

from wellhead.customer.exchange import Answered, Flow, drive, drive_async, exchange, receipt_of, settle
from wellhead.customer.once import AsyncPaidOnce, PaidOnce, streams
from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import ReceiptFilter
from wellhead.customer.terms import read_terms


class Offers:
    """What gateways asked for last, so that the next call need not ask. Too little is told and corrected."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], PaymentRequirements] = {}

    def of(self, request: httpx.Request) -> PaymentRequirements | None:
        return self._by_place.get(_place(request))

    def keep(self, request: httpx.Request, offer: PaymentRequirements) -> None:
        self._by_place[_place(request)] = offer

    def forget(self, request: httpx.Request) -> None:
        self._by_place.pop(_place(request), None)


class PayingTransport(httpx.BaseTransport):
    """Pays for what asks to be paid for, out of a purse."""

    def __init__(self, purse: Purse, inner: httpx.BaseTransport | None = None) -> None:
        """`inner` is the network."""
        self._purse, self._offers = purse, Offers()
        self._inner = PaidOnce(inner or httpx.HTTPTransport())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused when the terms are out of bounds, PaidButUnanswered when a paid call breaks."""
        request.read()  # so that it can be sent a second time
        response, payment = drive(_call(self._purse, self._offers, request), self._send)
        if payment is not None:
            response.stream = _Stream(response.stream, self._purse, payment)
        return response

    def _send(self, request: httpx.Request) -> httpx.Response:
        response = self._inner.handle_request(request)
        response.request = request
        if response.status_code == 402:
            response.read()
            response.close()
        return response

    def close(self) -> None:
        self._inner.close()


class AsyncPayingTransport(httpx.AsyncBaseTransport):
    """The same for asynchronous clients."""

    def __init__(self, purse: Purse, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._purse, self._offers = purse, Offers()
        self._inner = AsyncPaidOnce(inner or httpx.AsyncHTTPTransport())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused when the terms are out of bounds, PaidButUnanswered when a paid call breaks."""
        await request.aread()
        response, payment = await drive_async(_call(self._purse, self._offers, request), self._send)
        if payment is not None:
            response.stream = _AsyncStream(response.stream, self._purse, payment)
        return response

    async def _send(self, request: httpx.Request) -> httpx.Response:
        response = await self._inner.handle_async_request(request)
        response.request = request
        if response.status_code == 402:
            await response.aread()
            await response.aclose()
        return response

    async def aclose(self) -> None:
        await self._inner.aclose()


def _call(
    purse: Purse, offers: Offers, request: httpx.Request
) -> Flow[tuple[httpx.Response, Payment | None]]:
    """The answer; and its payment if that stays open to the end of a stream."""
    if PAYMENT_SIGNATURE_HEADER in request.headers:
        return (yield request), None
    offer = offers.of(request)
    if offer is None:
        response = yield request
        if response.status_code != 402:
            return response, None
        offer = purse.choose(read_terms(response))
    answered: Answered = yield from exchange(purse, purse.try_pay, offer, request)
    response, payment = answered
    if response.status_code == 402:
        offers.forget(request)
    else:
        offers.keep(request, payment.requirements)
    if streams(response):
        purse.served(payment)
        return response, payment
    receipt_of(purse, answered)
    return response, None


def _place(request: httpx.Request) -> tuple[str, str]:
    return str(request.url.copy_with(query=None)), request.method


# Streams ----------------------------------------------------------------------------------------------------


class _Tail:
    """What ends a streamed answer's payment: the receipt in it, or its end without one."""

    def __init__(self, inner: Any, purse: Purse, payment: Payment) -> None:
        self._inner, self._purse, self._payment = inner, purse, payment
        self._receipts = ReceiptFilter()

    def _settle(self) -> None:
        """Waits for nothing: a reader who hangs up cancels whatever would."""
        if not self._payment.over:
            settle(self._purse, self._payment, self._receipts.receipt)


class _Stream(_Tail, httpx.SyncByteStream):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for chunk in self._inner:
                if passed := self._receipts.feed(chunk):
                    yield passed
        finally:
            self._settle()
        if rest := self._receipts.finish():
            yield rest

    def close(self) -> None:
        try:
            self._inner.close()
        finally:
            self._settle()


class _AsyncStream(_Tail, httpx.AsyncByteStream):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._inner:
                if passed := self._receipts.feed(chunk):
                    yield passed
        finally:
            self._settle()
        if rest := self._receipts.finish():
            yield rest

    async def aclose(self) -> None:
        try:
            await self._inner.aclose()
        finally:
            self._settle()

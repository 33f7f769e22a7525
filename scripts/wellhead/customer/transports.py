"""httpx transports that pay by channel: whatever uses httpx pays, synchronous or not, streamed or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
from x402.http import PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.once import AsyncPaidOnce, PaidOnce
from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import ReceiptFilter, read_receipt
from wellhead.customer.terms import read_terms

# A gateway may know better what the channel owes: once is enough to take that over.
ATTEMPTS = 3


class Offers:
    """What gateways asked for last, so that the next call need not ask. Too little is told and corrected."""

    def __init__(self) -> None:
        self._by_place: dict[tuple[str, str], PaymentRequirements] = {}

    def of(self, request: httpx.Request) -> PaymentRequirements | None:
        return self._by_place.get(_place(request))

    def keep(self, request: httpx.Request, offer: PaymentRequirements) -> None:
        self._by_place[_place(request)] = offer


class PayingTransport(httpx.BaseTransport):
    """Pays for what asks to be paid for, out of a purse."""

    def __init__(self, purse: Purse, inner: httpx.BaseTransport | None = None) -> None:
        """`inner` is the network."""
        self._purse, self._offers = purse, Offers()
        self._inner = PaidOnce(inner or httpx.HTTPTransport())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused when the terms are out of bounds, PaidButUnanswered when a paid call breaks."""
        request.read()  # so that it can be sent a second time
        offer = self._offers.of(request)
        if offer is None or PAYMENT_SIGNATURE_HEADER in request.headers:
            response = self._inner.handle_request(request)
            if response.status_code != 402 or PAYMENT_SIGNATURE_HEADER in request.headers:
                return response
            offer = self._purse.choose(_terms(request, response))
        for attempt in range(1, ATTEMPTS + 1):
            payment = self._purse.pay(offer)
            try:
                response = self._inner.handle_request(_paying(request, payment))
            except BaseException:
                self._purse.unsettled(payment, perhaps_charged=True)
                raise
            if not _asks_again(response):
                break
            terms = _terms(request, response)
            self._purse.unsettled(payment)
            if attempt == ATTEMPTS or not self._purse.corrected(payment, terms):
                return response
            offer = self._purse.choose(terms)
        self._offers.keep(request, offer)
        if _streams(response):
            response.stream = _Stream(response.stream, self._purse, payment)
        else:
            _end(self._purse, payment, response)
        return response

    def close(self) -> None:
        self._inner.close()


class AsyncPayingTransport(httpx.AsyncBaseTransport):
    """The same for asynchronous clients. What waits for the chain or for a deposit does so in a thread."""

    def __init__(self, purse: Purse, inner: httpx.AsyncBaseTransport | None = None) -> None:
        self._purse, self._offers = purse, Offers()
        self._inner = AsyncPaidOnce(inner or httpx.AsyncHTTPTransport())

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused when the terms are out of bounds, PaidButUnanswered when a paid call breaks."""
        await request.aread()
        offer = self._offers.of(request)
        if offer is None or PAYMENT_SIGNATURE_HEADER in request.headers:
            response = await self._inner.handle_async_request(request)
            if response.status_code != 402 or PAYMENT_SIGNATURE_HEADER in request.headers:
                return response
            offer = self._purse.choose(await _aterms(request, response))
        for attempt in range(1, ATTEMPTS + 1):
            payment = await self._pay(offer)
            try:
                response = await self._inner.handle_async_request(_paying(request, payment))
            except BaseException:
                forget = asyncio.to_thread(self._purse.unsettled, payment, perhaps_charged=True)
                await asyncio.shield(forget)
                raise
            if not _asks_again(response):
                break
            terms = await _aterms(request, response)
            await asyncio.to_thread(self._purse.unsettled, payment)
            if attempt == ATTEMPTS or not await asyncio.to_thread(self._purse.corrected, payment, terms):
                return response
            offer = self._purse.choose(terms)
        self._offers.keep(request, offer)
        if _streams(response):
            response.stream = _AsyncStream(response.stream, self._purse, payment)
        else:
            await asyncio.to_thread(_end, self._purse, payment, response)
        return response

    async def _pay(self, offer: PaymentRequirements) -> Payment:
        while True:
            payment = await asyncio.to_thread(self._purse.try_pay, offer)
            if isinstance(payment, Payment):
                return payment
            await asyncio.shield(asyncio.wrap_future(payment))  # others wait for it too

    async def aclose(self) -> None:
        await self._inner.aclose()


# Streams ----------------------------------------------------------------------------------------------------


class _Stream(httpx.SyncByteStream):
    """A streamed answer that settles its payment at its end, however it ends."""

    def __init__(self, inner: Any, purse: Purse, payment: Payment) -> None:
        self._inner, self._purse, self._payment = inner, purse, payment
        self._receipts = ReceiptFilter()
        self._open = True

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._inner:
            if passed := self._receipts.feed(chunk):
                yield passed
        self._settle()
        if rest := self._receipts.finish():
            yield rest

    def close(self) -> None:
        self._inner.close()
        self._settle()

    def _settle(self) -> None:
        if self._open:
            self._open = False
            _settle_stream(self._purse, self._payment, self._receipts)


class _AsyncStream(httpx.AsyncByteStream):
    def __init__(self, inner: Any, purse: Purse, payment: Payment) -> None:
        self._inner, self._purse, self._payment = inner, purse, payment
        self._receipts = ReceiptFilter()
        self._open = True

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._inner:
            if passed := self._receipts.feed(chunk):
                yield passed
        await self._settle()
        if rest := self._receipts.finish():
            yield rest

    async def aclose(self) -> None:
        await self._inner.aclose()
        await self._settle()

    async def _settle(self) -> None:
        if self._open:
            self._open = False
            await asyncio.to_thread(_settle_stream, self._purse, self._payment, self._receipts)


# Parts ------------------------------------------------------------------------------------------------------


def _place(request: httpx.Request) -> tuple[str, str]:
    return str(request.url.copy_with(query=None)), request.method


def _terms(request: httpx.Request, response: httpx.Response) -> PaymentRequired:
    response.request = request
    response.read()
    response.close()
    return read_terms(response)


async def _aterms(request: httpx.Request, response: httpx.Response) -> PaymentRequired:
    response.request = request
    await response.aread()
    await response.aclose()
    return read_terms(response)


def _paying(request: httpx.Request, payment: Payment) -> httpx.Request:
    headers = request.headers.copy()
    headers[PAYMENT_SIGNATURE_HEADER] = payment.header
    return httpx.Request(
        request.method, request.url, headers=headers, content=request.content, extensions=request.extensions
    )


def _asks_again(response: httpx.Response) -> bool:
    return response.status_code == 402 and PAYMENT_REQUIRED_HEADER in response.headers


def _streams(response: httpx.Response) -> bool:
    kind = str(response.headers.get("content-type", ""))
    return response.status_code == 200 and kind.startswith("text/event-stream")


def _end(purse: Purse, payment: Payment, response: httpx.Response) -> None:
    header = response.headers.get(PAYMENT_RESPONSE_HEADER)
    _settle(purse, payment, None if header is None else read_receipt(header))


def _settle_stream(purse: Purse, payment: Payment, receipts: ReceiptFilter) -> None:
    """A stream without a receipt was broken off: what came of it is charged."""
    if receipts.receipt is None:
        purse.unsettled(payment, perhaps_charged=True)
    else:
        purse.settled(payment, receipts.receipt)


def _settle(purse: Purse, payment: Payment, receipt: dict[str, Any] | None) -> None:
    if receipt is None:
        purse.unsettled(payment)
    else:
        purse.settled(payment, receipt)

"""The order of a paid call, apart from what carries it: asked, paid, perhaps put off or corrected and paid anew. As in
httpx's own authentication a generator yields what is to be sent, and here also what is to be waited for; it is driven
with or without an event loop. It owns each payment until it is over or handed on: no error and no cancellation leaves
one open.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Generator
from concurrent.futures import Future
from typing import Any, NamedTuple, TypeVar

import httpx
from x402.http import PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER, PAYMENT_SIGNATURE_HEADER
from x402.mechanisms.evm.batch_settlement.errors import ERR_CHANNEL_BUSY
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import read_receipt
from wellhead.customer.terms import read_terms
from wellhead.errors import Refused

# A second one takes over what the gateway knows better; a third, what it learned in between.
ATTEMPTS = 3
# A channel that is busy with a deposit or a refund is asked again as its gateway says, for so long in all; each time
# counts as one second at least.
BUSY_SECONDS = 10.0


class Pause(NamedTuple):
    """Nothing happens for so long."""

    seconds: float


Outcome = TypeVar("Outcome")
# Each request is answered with its response; a 402 must have been read.
Flow = Generator[httpx.Request | Future[None] | Pause, Any, Outcome]
Sign = Callable[[PaymentRequirements], Payment | Future[None]]


class Answered(NamedTuple):
    """What came of a payment, which is open still: the receiver ends it, by `settle` or at a stream's end."""

    response: httpx.Response
    payment: Payment


def exchange(purse: Purse, sign: Sign, offer: PaymentRequirements, request: httpx.Request) -> Flow[Answered]:
    """`request`, paid by what `sign` signs for `offer`. Raises Refused when nothing more may be signed."""
    attempt, patience_seconds = 1, BUSY_SECONDS
    while True:
        while isinstance(payment := sign(offer), Future):
            yield payment
        try:
            response = yield _paying(request, payment)
            terms = _asked_again(response)
        except BaseException:
            purse.unsettled(payment)
            raise
        pause = _put_off(response, terms)
        if pause is not None and (cost := max(1.0, pause.seconds)) <= patience_seconds:
            purse.unsettled(payment)
            patience_seconds -= cost
            yield pause
            continue
        if terms is None or attempt == ATTEMPTS:
            return Answered(response, payment)
        purse.unsettled(payment)
        yield purse.look_again(payment)
        if not purse.corrected(payment, terms):
            return Answered(response, payment)
        offer = purse.choose(terms)
        attempt += 1


def settle(purse: Purse, payment: Payment, receipt: dict[str, Any] | None) -> None:
    """End `payment` by its receipt, or without one. Raises PaidButUnanswered for a receipt that cannot be."""
    if receipt is None:
        purse.unsettled(payment)
    else:
        purse.settled(payment, receipt)


def receipt_of(purse: Purse, answered: Answered) -> dict[str, Any] | None:
    """The receipt in the answer's header, with which the payment is ended; None when nothing was taken.

    Raises PaidButUnanswered when it cannot be read or cannot be.
    """
    header = answered.response.headers.get(PAYMENT_RESPONSE_HEADER)
    try:
        receipt = None if header is None else read_receipt(header)
    except BaseException:
        purse.unsettled(answered.payment)
        raise
    settle(purse, answered.payment, receipt)
    return receipt


# Driven -----------------------------------------------------------------------------------------------------


def drive(flow: Flow[Outcome], send: Callable[[httpx.Request], httpx.Response]) -> Outcome:
    """Run `flow` to its end, blocking."""
    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, Future):
                    done: Any = step.result()
                elif isinstance(step, Pause):
                    time.sleep(step.seconds)
                    done = None
                else:
                    done = send(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(done)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


async def drive_async(
    flow: Flow[Outcome], send: Callable[[httpx.Request], Awaitable[httpx.Response]]
) -> Outcome:
    """Run `flow` to its end on the running event loop."""
    try:
        step = next(flow)
        while True:
            try:
                if isinstance(step, Future):
                    done: Any = await asyncio.shield(asyncio.wrap_future(step))  # others wait for it too
                elif isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    done = None
                else:
                    done = await send(step)
            except BaseException as error:
                step = flow.throw(error)
            else:
                step = flow.send(done)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


# Parts ------------------------------------------------------------------------------------------------------


def _paying(request: httpx.Request, payment: Payment) -> httpx.Request:
    headers = request.headers.copy()
    headers[PAYMENT_SIGNATURE_HEADER] = payment.header
    return httpx.Request(
        request.method, request.url, headers=headers, content=request.content, extensions=request.extensions
    )


def _put_off(response: httpx.Response, terms: PaymentRequired | None) -> Pause | None:
    """How long the gateway asks to wait for a channel that is busy. Nothing was charged."""
    seconds = response.headers.get("retry-after", "")
    if terms is None or terms.error != ERR_CHANNEL_BUSY or not (seconds.isascii() and seconds.isdigit()):
        return None
    return Pause(float(seconds[:9]))


def _asked_again(response: httpx.Response) -> PaymentRequired | None:
    """The terms of a refusal; None when there is nothing to be learned from it."""
    if response.status_code != 402 or PAYMENT_REQUIRED_HEADER not in response.headers:
        return None
    try:
        return read_terms(response)
    except Refused:
        return None

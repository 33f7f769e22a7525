"""A streamed answer on its way to the customer: passed on as it comes, charged at its end, then receipted.

The mark that ends a stream is held back until the charge is durable. The receipt follows as the last event, named
`payment-response`, holding what the header of that name holds elsewhere. A customer that hangs up, or does not read,
pays for what was produced until then; an upstream that breaks off ends the stream with an error, and what came is paid.
A sale that `charges_first` is charged once there is something to pass on, and before that is; its answer may then
still be a refusal, and has the receipt in its header too.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

from starlette.types import Receive, Send

from wellhead.gateway.event_stream import DONE, MAX_EVENT_BYTES, BrokenStreamError, StreamMeter
from wellhead.gateway.inference import Call
from wellhead.gateway.meters import Meters
from wellhead.gateway.node_connection import NodeError
from wellhead.gateway.openai_shape import RequestError, error_body
from wellhead.gateway.sale import OpenSale, PaymentRefusedError, Receipt
from wellhead.gateway.terms import PAYMENT_RESPONSE
from wellhead.gateway.upstreams import Answer

# A customer that takes nothing for so long has gone.
STALL_SECONDS = 60.0
HEADERS = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-cache"),
    (b"x-accel-buffering", b"no"),
)
RECEIPT_EVENT = b"event: payment-response\ndata: %b\n\n"

# Told of every charged call: the member that served it, and the tokens.
Billed = Callable[[int, int], None]

_log = logging.getLogger(__name__)


async def stream_answer(
    call: Call, sale: OpenSale, answer: Answer, meters: Meters, billed: Billed, receive: Receive, send: Send
) -> None:
    """Send `answer` as it comes and end `sale`. What this raises it raises before anything was sent: RequestError and
    PaymentRefusedError, whose answers are the caller's, or what the books fail with."""
    stream = _Stream(call, sale, answer, meters, billed, send)
    passing = asyncio.create_task(stream.pass_on())
    gone = asyncio.create_task(_hung_up(receive))
    try:
        await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        passing.cancel()
        # However this ends, what was produced is charged: a cancelled request is no exception.
        ending = asyncio.create_task(stream.end(passing))
        await asyncio.shield(ending)


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


class _Stream:
    """One answer: passed on in one task, which may be cancelled, and ended in another."""

    def __init__(
        self, call: Call, sale: OpenSale, answer: Answer, meters: Meters, billed: Billed, send: Send
    ) -> None:
        self._call, self._sale, self._answer = call, sale, answer
        self._meters, self._billed, self._send = meters, billed, send
        self._meter = StreamMeter(wants_usage=call.wants_usage)
        self._charging: asyncio.Task[Receipt] | None = None
        self._has_started = False

    async def pass_on(self) -> None:
        """Raises BrokenStreamError, and as `Answer.chunks` and the sale do."""
        if not self._sale.charges_first:
            await self._start(None)
        held = b""
        async for chunk in self._answer.chunks():
            events = held + self._meter.feed(chunk)
            if not self._has_started:
                if not self._has_something:
                    held = events
                    if len(held) > MAX_EVENT_BYTES:
                        raise BrokenStreamError(f"{MAX_EVENT_BYTES} bytes, and nothing said")
                    if self._meter.done:
                        return
                    continue
                held = b""
                await self._start(await asyncio.shield(self._charge()))
            if events:
                async with asyncio.timeout(STALL_SECONDS):
                    await self._send({"type": "http.response.body", "body": events, "more_body": True})
            if self._meter.done:
                return
        raise BrokenStreamError("the stream ended without [DONE]")

    async def end(self, passing: asyncio.Task[None]) -> None:
        """Charge what was passed on, if it was not charged yet, or release the sale; then end the answer."""
        try:
            last = await self._settle(await _problem(passing))
        except Exception as error:
            if not self._has_started:
                raise
            if isinstance(error, PaymentRefusedError):
                _log.warning("a streamed answer was not paid for: %s", error.code)
                self._meters.ended(self._call, "unpaid")
                last = _error_event(error.message, error.code)
            else:
                _log.exception("a stream could not be ended in order")
                self._meters.ended(self._call, "internal")
                last = _error_event("the gateway failed; its log says why", "internal")
        await self._finish(last)

    @property
    def _has_something(self) -> bool:
        return bool(self._meter.tokens.output) or self._meter.counted

    async def _settle(self, problem: str | None) -> bytes:
        """Ends the sale; what to send last."""
        meter = self._meter
        if self._charging is None and not self._has_something:
            message = problem or "the node sent nothing"
            if not self._has_started:
                raise RequestError(message, status=502, code="upstream_invalid")
            await self._sale.release()
            self._meters.ended(self._call, "nothing streamed")
            return _error_event(message, "upstream_invalid")
        receipt = await self._charge()
        self._meters.charged(self._call, meter.tokens, receipt.charged_usd6, counted=meter.counted)
        self._meters.ended(self._call, "streamed" if meter.done else "cut off")
        if receipt.charged_usd6:
            self._billed(self._answer.member, self._call.work_units(meter.tokens))
        end = DONE if meter.done else _error_event(problem or "the connection was lost", "upstream_invalid")
        if not self._has_started:
            await self._start(receipt)
        return end + RECEIPT_EVENT % receipt.header.encode()

    def _charge(self) -> asyncio.Task[Receipt]:
        """The one charge, by what is known when it begins."""
        if self._charging is None:
            cost_usd6 = self._call.cost_usd6(self._meter.tokens)
            self._charging = asyncio.create_task(self._sale.charge(cost_usd6))
        return self._charging

    async def _start(self, receipt: Receipt | None) -> None:
        headers = list(HEADERS)
        if receipt is not None:
            headers.append((PAYMENT_RESPONSE.lower().encode(), receipt.header.encode()))
        self._has_started = True
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})

    async def _finish(self, last: bytes) -> None:
        try:
            async with asyncio.timeout(STALL_SECONDS):
                await self._send({"type": "http.response.body", "body": last, "more_body": False})
        except (TimeoutError, OSError):
            pass  # nobody listens


async def _problem(passing: asyncio.Task[None]) -> str | None:
    """What kept the stream from its end, None if it got there, its sale did not, or the customer left."""
    try:
        await passing
    except (NodeError, TimeoutError, BrokenStreamError) as error:
        _log.warning("a stream broke off: %s", type(error).__name__)
        return f"the node's answer broke off: {str(error) or type(error).__name__}"
    except (asyncio.CancelledError, PaymentRefusedError, OSError):
        pass
    except Exception:
        _log.exception("a stream failed in the gateway")
        return "the gateway failed; its log says why"
    return None


def _error_event(message: str, code: str) -> bytes:
    return b"data: " + json.dumps(error_body(message, 502, code)).encode() + b"\n\n"

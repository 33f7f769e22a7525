"""A streamed answer on its way to the customer: passed on as it comes, charged at its end, then receipted.

The mark that ends a stream is held back until the charge is durable. The receipt follows as the last event, named
`payment-response`, holding what the header of that name holds elsewhere. A customer that hangs up, or does not read,
pays for what was produced until then; an upstream that breaks off ends the stream with an error, and what came is paid.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable

import aiohttp
from starlette.types import Receive, Send

from wellhead.gateway.event_stream import DONE, BrokenStreamError, StreamMeter
from wellhead.gateway.inference import Call
from wellhead.gateway.meters import Meters
from wellhead.gateway.openai_shape import error_body
from wellhead.gateway.sale import PaymentRefusedError, Sale
from wellhead.gateway.upstreams import Answer

# A customer that takes nothing for so long has gone.
STALL_SECONDS = 60.0
RECEIPT_EVENT = b"event: payment-response\ndata: %b\n\n"

# Told of every charged call: the member that served it, and the tokens.
Billed = Callable[[int, int], None]

_log = logging.getLogger(__name__)


async def stream_answer(
    call: Call, sale: Sale, answer: Answer, meters: Meters, billed: Billed, receive: Receive, send: Send
) -> None:
    """Send `answer` as it comes and end `sale`."""
    meter = StreamMeter(wants_usage=call.wants_usage)
    passing = asyncio.create_task(_pass_on(answer, meter, send))
    gone = asyncio.create_task(_hung_up(receive))
    try:
        await asyncio.wait({passing, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gone.cancel()
        passing.cancel()
        # However this ends, what was produced is charged: a cancelled request is no exception.
        ending = asyncio.create_task(_end(call, sale, answer, meter, meters, billed, passing, send))
        await asyncio.shield(ending)


async def _pass_on(answer: Answer, meter: StreamMeter, send: Send) -> None:
    headers = [
        (b"content-type", b"text/event-stream; charset=utf-8"),
        (b"cache-control", b"no-cache"),
        (b"x-accel-buffering", b"no"),
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    async for chunk in answer.chunks():
        events = meter.feed(chunk)
        if events:
            async with asyncio.timeout(STALL_SECONDS):
                await send({"type": "http.response.body", "body": events, "more_body": True})
        if meter.done:
            return
    raise BrokenStreamError("the stream ended without [DONE]")


async def _hung_up(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _end(
    call: Call,
    sale: Sale,
    answer: Answer,
    meter: StreamMeter,
    meters: Meters,
    billed: Billed,
    passing: asyncio.Task[None],
    send: Send,
) -> None:
    problem = await _problem(passing)
    if not (meter.tokens.output or meter.counted):
        await sale.release()
        meters.ended(call, "nothing streamed")
        await _finish(send, _error_event(problem or "the node sent nothing", "upstream_invalid"))
        return
    cost_usd6 = call.cost_usd6(meter.tokens)
    try:
        receipt = await sale.charge(cost_usd6)
    except PaymentRefusedError as error:
        _log.warning("a streamed answer was not paid for: %s", error.code)
        meters.ended(call, "unpaid")
        await _finish(send, _error_event(error.message, error.code))
        return
    meters.charged(call, meter.tokens, receipt.charged_usd6, counted=meter.counted)
    meters.ended(call, "streamed" if meter.done else "cut off")
    if receipt.charged_usd6:
        billed(answer.member, call.work_units(meter.tokens))
    end = DONE if meter.done else _error_event(problem or "the connection was lost", "upstream_invalid")
    await _finish(send, end + RECEIPT_EVENT % receipt.header.encode())


async def _problem(passing: asyncio.Task[None]) -> str | None:
    """What kept the stream from its end, None if it got there or the customer left."""
    try:
        await passing
    except (aiohttp.ClientError, TimeoutError, BrokenStreamError) as error:
        _log.warning("a stream broke off: %s", type(error).__name__)
        return f"the node's answer broke off: {type(error).__name__}"
    except (asyncio.CancelledError, OSError):
        pass
    return None


async def _finish(send: Send, last: bytes) -> None:
    try:
        async with asyncio.timeout(STALL_SECONDS):
            await send({"type": "http.response.body", "body": last, "more_body": False})
    except (TimeoutError, OSError):
        pass  # nobody listens


def _error_event(message: str, code: str) -> bytes:
    return b"data: " + json.dumps(error_body(message, 502, code)).encode() + b"\n\n"

"""A round's records and their proofs over HTTP, for consumers and for other reporters. Anyone may ask.

GET /rounds                        which rounds are kept
GET /rounds/{round}                its root and how many nodes it has
GET /rounds/{round}/records        its packed entries, 36 bytes each by ascending node
GET /rounds/{round}/proof/{node}   what `provenRecord` takes

Nobody need believe an answer: it leads to the root that the chain names for the round, or it is worth nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from wellhead.oracle.records.round_file import Damaged, NotKept
from wellhead.oracle.records.store import MAX_ROUND, RecordStore
from wellhead.reference.record import ENTRY_BYTES, MAX_NODE_ID

ROUNDS_PATH = "/rounds"
# A round of a million nodes is 36 MB: proofs must not wait behind many of them.
STREAMS_AT_ONCE = 4
RETRY_SECONDS = 10
_log = logging.getLogger(__name__)


class _BadNumberError(ValueError):
    """Part of a path that should be a number and is none."""


def record_routes(store: RecordStore) -> list[Route]:
    """The routes, to be mounted in an application; each instance streams four rounds at once at most."""
    streams = asyncio.Semaphore(STREAMS_AT_ONCE)

    def rounds(_: Request) -> dict[str, Any]:
        return {"rounds": store.rounds()}

    def about(request: Request) -> dict[str, Any]:
        kept = store.about(_round_of(request))
        return {"round": kept.round, "root": _hex(kept.root), "nodes": kept.nodes}

    def proof(request: Request) -> dict[str, Any]:
        number, node = _round_of(request), _number(request, "node", MAX_NODE_ID)
        with store.open(number) as file:
            reading = file.reading(node)
            return {
                "round": number,
                "node": node,
                "root": _hex(file.root),
                "record": _hex(reading.record),
                "proof": [_hex(sibling) for sibling in reading.proof],
            }

    def records(request: Request) -> Response:
        if streams.locked():
            return _busy()
        file = store.open(_round_of(request))
        headers = {"content-length": str(file.header.entries * ENTRY_BYTES), "etag": f'"{file.root.hex()}"'}
        pieces = file.checked_pieces()
        return _OneOf(streams, StreamingResponse(pieces, 200, headers, "application/octet-stream"))

    one = f"{ROUNDS_PATH}/{{round}}"
    return [
        Route(ROUNDS_PATH, _answering(store, rounds)),
        Route(one, _answering(store, about)),
        Route(f"{one}/records", _answering(store, records)),
        Route(f"{one}/proof/{{node}}", _answering(store, proof)),
    ]


class _OneOf(Response):
    """A response that is sent only while it holds one of few places; without one the peer is asked to come back."""

    def __init__(self, places: asyncio.Semaphore, response: Response) -> None:
        super().__init__()
        self._places, self._response = places, response

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._places.locked():
            await _busy()(scope, receive, send)
            return
        async with self._places:
            await self._response(scope, receive, send)


def _answering(
    store: RecordStore, answer: Callable[[Request], dict[str, Any] | Response]
) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint that gives `answer`, found out in a thread: it reads from a disk."""

    def answered(request: Request) -> Response:
        try:
            found = answer(request)
        except _BadNumberError as error:
            return _refusal(400, str(error))
        except NotKept as error:
            kept = store.rounds()
            return _refusal(404, f"{error}; kept are {f'{kept[0]} to {kept[-1]}' if kept else 'none yet'}")
        except Damaged:
            _log.exception("a round's records are not what was written")
            return _refusal(500, "what is kept of this round is damaged; ask another reporter")
        return found if isinstance(found, Response) else JSONResponse(found)

    async def endpoint(request: Request) -> Response:
        return await run_in_threadpool(answered, request)

    return endpoint


def _round_of(request: Request) -> int:
    return _number(request, "round", MAX_ROUND)


def _number(request: Request, what: str, highest: int) -> int:
    text: str = request.path_params[what]
    digits = text.isascii() and text.isdigit() and len(text) <= len(str(highest))
    if not digits or not 1 <= int(text) <= highest:
        raise _BadNumberError(f"{what} {text[:20]!r} is no number from 1 to {highest}")
    return int(text)


def _busy() -> Response:
    response = _refusal(503, f"{STREAMS_AT_ONCE} rounds are being fetched already; ask again later")
    response.headers["retry-after"] = str(RETRY_SECONDS)
    return response


def _refusal(status: int, why: str) -> Response:
    return JSONResponse({"error": why}, status)


def _hex(value: bytes) -> str:
    return f"0x{value.hex()}"

"""Letters between reporters over HTTP: the route that takes them, and the client that carries them.

Every letter proves by its signature who wrote it, so nothing else does: whoever brings it is welcome, within bounds.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Coroutine, Mapping
from typing import Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wellhead.oracle.exchange.book import RefusedMessageError
from wellhead.oracle.exchange.messages import (
    END_OF_HEAD,
    MAX_HEAD_BYTES,
    Kind,
    Message,
    UnreadableMessageError,
    encode,
    read_head,
)
from wellhead.oracle.exchange.post import Answer, Post, TooManyError

PATH = "/v1/letters"
# A reveal of a thousand nodes with a thousand slots each has a megabyte; all else is hashes and signatures.
MAX_REVEAL_BYTES, MAX_OTHER_BYTES = 16 << 20, 1 << 14
# Of one reporter at once: what it may have in others' memory.
MAX_ON_THEIR_WAY = 2
MAX_ANSWER_BYTES = 1 << 16
MAX_SHOWN = 300
READ_SECONDS = 20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 3.0

_HEADERS = {"content-type": "application/octet-stream", "accept-encoding": "identity"}
_log = logging.getLogger(__name__)


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid")

    signature: str = ""
    objection: str = ""
    missing: list[str] = []


def mail_route(post: Post) -> Route:
    """POST a letter, get the answer. 400 for what is none, 403 for one that is not taken, 429 for too many."""

    on_their_way: Counter[str] = Counter()

    async def deliver(request: Request) -> Response:
        try:
            async with asyncio.timeout(READ_SECONDS):
                message = await _read(request, post, on_their_way)
            answer = await post.accept(message)
        except UnreadableMessageError as error:
            return _refusal(400, error)
        except TooManyError as error:
            return _refusal(429, error)
        except RefusedMessageError as error:
            return _refusal(403, error)
        except (TimeoutError, ClientDisconnect):
            return _refusal(408, "the letter did not arrive")
        except (SQLAlchemyError, OSError) as error:
            _log.error("a letter could not be kept: %s: %s", type(error).__name__, error)
            return _refusal(503, "it cannot be kept here; send it again")
        missing = [one.hex() for one in answer.missing]
        return JSONResponse(
            {"signature": answer.signature.hex(), "objection": answer.objection, "missing": missing}
        )

    return Route(PATH, deliver, methods=["POST"])


async def _read(request: Request, post: Post, on_their_way: Counter[str]) -> Message:
    """The letter; of one that nobody signed who may write, no more than its head."""
    pieces, data = request.stream(), bytearray()
    async for piece in pieces:
        data += piece
        if END_OF_HEAD in piece or len(data) > MAX_HEAD_BYTES:
            break
    line, _, rest = data.partition(END_OF_HEAD)
    head = read_head(bytes(line))
    post.admit(head)
    if on_their_way[head.reporter] >= MAX_ON_THEIR_WAY:
        raise TooManyError(f"{head.reporter} has {MAX_ON_THEIR_WAY} letters on their way already")
    on_their_way[head.reporter] += 1
    try:
        most = MAX_REVEAL_BYTES if head.kind is Kind.REVEAL else MAX_OTHER_BYTES
        async for piece in pieces:
            rest += piece
            if len(rest) > most:
                raise UnreadableMessageError(f"a letter of that kind has at most {most} bytes")
        return await asyncio.to_thread(head.with_body, bytes(rest))
    finally:
        on_their_way[head.reporter] -= 1


def _refusal(status: int, why: object) -> Response:
    return JSONResponse({"objection": str(why)[:MAX_SHOWN]}, status)


class HttpPeers:
    """The other reporters by address, each at the root of its daemon's URL. Use as an async context manager."""

    def __init__(self, urls: Mapping[str, str], transport: httpx.AsyncBaseTransport | None = None) -> None:
        self._urls = {address: url.rstrip("/") + PATH for address, url in urls.items()}
        self._telling: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(trust_env=False, transport=transport)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in self._telling:
            task.cancel()
        await asyncio.gather(*self._telling, return_exceptions=True)
        await self._client.aclose()

    def tell(self, message: Message, seconds: float) -> None:
        """See Peers."""
        data = encode(message)
        for url in self._urls.values():
            self._start(self._deliver(url, data, asyncio.get_running_loop().time() + seconds))

    async def ask(self, message: Message, seconds: float) -> Mapping[str, Answer]:
        """See Peers."""
        data = encode(message)
        answers = await asyncio.gather(*(self._carry(url, data, seconds) for url in self._urls.values()))
        return {
            reporter: answer
            for reporter, answer in zip(self._urls, answers, strict=True)
            if answer is not None
        }

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._telling.add(task)
        task.add_done_callback(self._telling.discard)

    async def _deliver(self, url: str, data: bytes, until: float) -> None:
        """Until it is taken: who is not there yet, or not as far in time, may be soon."""
        loop, pause = asyncio.get_running_loop(), FIRST_PAUSE_SECONDS
        while (left := until - loop.time()) > 0:
            if await self._carry(url, data, left) is not None:
                return
            await asyncio.sleep(min(pause, max(0.0, until - loop.time())))
            pause = min(2 * pause, LONGEST_PAUSE_SECONDS)

    async def _carry(self, url: str, data: bytes, seconds: float) -> Answer | None:
        """The answer; None if there is none, or none that can be read."""
        try:
            async with (
                asyncio.timeout(seconds),
                self._client.stream("POST", url, content=data, headers=_HEADERS, timeout=seconds) as response,
            ):
                if response.status_code != httpx.codes.OK:
                    return None
                answer = bytearray()
                async for piece in response.aiter_raw():
                    answer += piece
                    if len(answer) > MAX_ANSWER_BYTES:
                        return None  # no honest one has so much to say
            found = _Answered.model_validate_json(bytes(answer))
            missing = tuple(bytes.fromhex(one) for one in found.missing)
            return Answer(bytes.fromhex(found.signature), found.objection[:MAX_SHOWN], missing)
        except (TimeoutError, httpx.HTTPError, ValidationError, ValueError):
            return None

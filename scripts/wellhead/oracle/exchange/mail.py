"""Letters between reporters over HTTP: the route that takes them, and the client that carries them.

Every letter proves by its signature who wrote it, so nothing else does: whoever brings it is welcome, within bounds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Mapping
from typing import Any, Self

import httpx
from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from wellhead.oracle.exchange.book import RefusedMessageError
from wellhead.oracle.exchange.messages import Message, UnreadableMessageError, decode, encode
from wellhead.oracle.exchange.post import Answer, Post, TooManyError

PATH = "/v1/letters"
# A reveal of a thousand nodes with a hundred slots each has a megabyte, twice that in hexadecimal.
MAX_BYTES = 32 << 20
READ_SECONDS = 20
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.2, 3.0


class _Answered(BaseModel):
    model_config = ConfigDict(extra="forbid")

    signature: str = ""
    objection: str = ""
    missing: list[str] = []


def mail_route(post: Post) -> Route:
    """POST a letter, get the answer. 400 for what is none, 403 for one that is not taken, 429 for too many."""

    async def deliver(request: Request) -> Response:
        try:
            message = decode(await _read(request))
            answer = await post.take(message)
        except UnreadableMessageError as error:
            return _refusal(400, error)
        except TooManyError as error:
            return _refusal(429, error)
        except RefusedMessageError as error:
            return _refusal(403, error)
        except (TimeoutError, ClientDisconnect):
            return _refusal(408, "the letter did not arrive")
        missing = [one.hex() for one in answer.missing]
        return JSONResponse(
            {"signature": answer.signature.hex(), "objection": answer.objection, "missing": missing}
        )

    return Route(PATH, deliver, methods=["POST"])


async def _read(request: Request) -> bytes:
    body = bytearray()
    async with asyncio.timeout(READ_SECONDS):
        async for piece in request.stream():
            body += piece
            if len(body) > MAX_BYTES:
                raise UnreadableMessageError(f"a letter has at most {MAX_BYTES} bytes")
    return bytes(body)


def _refusal(status: int, why: object) -> Response:
    return JSONResponse({"objection": str(why)}, status)


class HttpPeers:
    """The other reporters by address, each at the root of its daemon's URL. Use as an async context manager."""

    def __init__(self, urls: Mapping[str, str]) -> None:
        self._urls = {address: url.rstrip("/") + PATH for address, url in urls.items()}
        self._telling: set[asyncio.Task[None]] = set()
        self._client = httpx.AsyncClient(trust_env=False)

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
            async with asyncio.timeout(seconds):
                response = await self._client.post(
                    url, content=data, headers={"content-type": "application/json"}, timeout=seconds
                )
            if response.status_code != httpx.codes.OK:
                return None
            found = _Answered.model_validate_json(response.content)
            missing = tuple(bytes.fromhex(one) for one in found.missing)
            return Answer(bytes.fromhex(found.signature), found.objection, missing)
        except (TimeoutError, httpx.HTTPError, ValidationError, ValueError):
            return None

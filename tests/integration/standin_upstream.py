"""A stand-in for a node's OpenAI-shaped server, whose failures a test can arrange."""

from __future__ import annotations

import asyncio
import base64
import json
import struct
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse

HOLD_TIMEOUT_SECONDS = 20
VECTOR = (0.6, -0.8, 0.0)
MODEL = "stand-in"


class StandInUpstream:
    """Answers every embeddings request with the same vector, unless told otherwise."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.answered: list[dict[str, Any]] = []  # those of them that got a whole answer
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.instead: Response | None = None  # answers this in place of embeddings
        self.before_answer: Callable[[], None] = lambda: None
        self.arrived = threading.Event()
        self.app = FastAPI()
        self.app.add_api_route("/v1/embeddings", self._embeddings, methods=["POST"])
        self.app.add_api_route("/v1/chat/completions", self._chat, methods=["POST"])
        self.app.add_api_route("/v1/completions", self._chat, methods=["POST"])
        self.app.add_api_route("/v1/models", self._models)
        # What it says to every chat, a token each; and what it claims that this took.
        self.words = ["compute", " is", " the", " new", " oil"]
        self.usage: Any = {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        # A stream goes on past this word only once it is allowed to; None: it never stops.
        self.pause_after: int | None = None
        self.go_on = threading.Event()
        self.break_after: int | None = None
        self.left = threading.Event()  # a stream's reader hung up

    def hold(self) -> threading.Event:
        """Let requests wait until the returned event is set."""
        release = threading.Event()
        self.before_answer = lambda: assert_set(release.wait(HOLD_TIMEOUT_SECONDS))
        return release

    def _embeddings(self, request: Request, wanted: dict[str, Any] = Body()) -> Response:  # noqa: B008
        self.requests.append(wanted)
        self.headers.append(dict(request.headers))
        self.arrived.set()
        self.before_answer()
        if self.instead is not None:
            return self.instead
        if self.status != 200:
            error = {"message": "arranged by the test", "type": "arranged", "param": None, "code": None}
            return JSONResponse({"error": error}, status_code=self.status)
        self.answered.append(wanted)
        return Response(json.dumps(embeddings(wanted)), media_type="application/json")

    def _chat(self, request: Request, wanted: dict[str, Any] = Body()) -> Response:  # noqa: B008
        self.requests.append(wanted)
        self.headers.append(dict(request.headers))
        self.arrived.set()
        self.before_answer()
        if self.instead is not None:
            return self.instead
        if wanted.get("stream"):
            return StreamingResponse(self._stream(wanted), media_type="text/event-stream")
        message = {"role": "assistant", "content": "".join(self.words)}
        choice = {"index": 0, "message": message, "text": message["content"], "finish_reason": "stop"}
        self.answered.append(wanted)
        return JSONResponse(chunk(wanted, [choice], self.usage))

    async def _stream(self, wanted: dict[str, Any]) -> AsyncIterator[str]:
        try:
            for number, word in enumerate(self.words):
                if number == self.pause_after:
                    await asyncio.to_thread(self.go_on.wait, HOLD_TIMEOUT_SECONDS)
                if number == self.break_after:
                    raise ConnectionResetError("arranged by the test")
                delta = {"index": 0, "delta": {"content": word}, "text": word, "finish_reason": None}
                yield f"data: {json.dumps(chunk(wanted, [delta], None))}\n\n"
            if (wanted.get("stream_options") or {}).get("include_usage") and self.usage is not None:
                yield f"data: {json.dumps(chunk(wanted, [], self.usage))}\n\n"
            self.answered.append(wanted)
            yield "data: [DONE]\n\n"
        except (asyncio.CancelledError, GeneratorExit):
            self.left.set()
            raise

    def _models(self) -> dict[str, Any]:
        return {
            "object": "list",
            "data": [{"id": MODEL, "object": "model", "created": 0, "owned_by": "test"}],
        }


def embeddings(wanted: dict[str, Any]) -> dict[str, Any]:
    """What OpenAI's API answers to `wanted`."""
    vector: Any = list(VECTOR)
    if wanted.get("encoding_format") == "base64":
        vector = base64.b64encode(struct.pack("<3f", *VECTOR)).decode()
    inputs = [wanted["input"]] if isinstance(wanted["input"], str) else wanted["input"]
    data = [{"object": "embedding", "index": index, "embedding": vector} for index in range(len(inputs))]
    usage = {"prompt_tokens": 3 * len(inputs), "total_tokens": 3 * len(inputs)}
    return {"object": "list", "data": data, "model": wanted["model"], "usage": usage}


def chunk(wanted: dict[str, Any], choices: list[Any], usage: Any) -> dict[str, Any]:
    """A chat completion, or one piece of it."""
    kind = "chat.completion.chunk" if wanted.get("stream") else "chat.completion"
    found = {"id": "1", "object": kind, "created": 0, "model": wanted["model"], "choices": choices}
    return found if usage is None else found | {"usage": usage}


def assert_set(released: bool) -> None:
    """Fails when a test forgot to release a held request."""
    assert released, "the held request was never released"

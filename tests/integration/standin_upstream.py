"""A stand-in for a node's OpenAI-shaped server, whose failures a test can arrange."""

from __future__ import annotations

import base64
import json
import struct
import threading
from collections.abc import Callable
from typing import Any

from fastapi import Body, FastAPI, Request, Response
from fastapi.responses import JSONResponse

HOLD_TIMEOUT_SECONDS = 20
VECTOR = (0.6, -0.8, 0.0)
MODEL = "stand-in"


class StandInUpstream:
    """Answers every embeddings request with the same vector, unless told otherwise."""

    def __init__(self) -> None:
        self.requests: list[dict[str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.status = 200
        self.instead: Response | None = None  # answers this in place of embeddings
        self.before_answer: Callable[[], None] = lambda: None
        self.arrived = threading.Event()
        self.app = FastAPI()
        self.app.add_api_route("/v1/embeddings", self._embeddings, methods=["POST"])
        self.app.add_api_route("/v1/models", self._models)

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
        return Response(json.dumps(embeddings(wanted)), media_type="application/json")

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


def assert_set(released: bool) -> None:
    """Fails when a test forgot to release a held request."""
    assert released, "the held request was never released"

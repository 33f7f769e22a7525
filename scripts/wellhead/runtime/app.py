"""The node's HTTP face: embeddings in OpenAI's shape, health, metrics; one request in the model at a time."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from wellhead.runtime.embedder import MODEL_NAME, Embedded, Embedder
from wellhead.runtime.metrics import NodeMetrics
from wellhead.runtime.wire import (
    RequestError,
    answer,
    error_body,
    model_list,
    parse_request,
    refuse_large_body,
)

# Requests that may wait for the worker; beyond it a client is better told to come back.
MAX_WAITING = 256
EMBEDDINGS_PATH = "/v1/embeddings"

_log = logging.getLogger(__name__)


class Worker:
    """The one lock around the model: requests wait in line, and busy time can never exceed wall time."""

    def __init__(self, embedder: Embedder, metrics: NodeMetrics) -> None:
        self._embedder, self._metrics = embedder, metrics
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="model")
        self._waiting = 0

    async def embed(self, texts: list[str]) -> Embedded:
        """Embed when it is our turn; raises RequestError (503) when too many wait already."""
        if self._waiting >= MAX_WAITING:
            raise RequestError(
                f"{self._waiting} requests wait already; the limit is {MAX_WAITING}. Try again", status=503
            )
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._work, texts)
        finally:
            self._waiting -= 1

    def close(self) -> None:
        """Wait for the request in the model; those in line are dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _work(self, texts: list[str]) -> Embedded:
        embedded = self._embedder.embed(texts)
        self._metrics.served(embedded.tokens, embedded.busy_seconds)
        return embedded


def create_app(embedder: Embedder, metrics: NodeMetrics) -> FastAPI:
    """The application around one loaded model."""
    worker = Worker(embedder, metrics)
    created = int(time.time())

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        yield
        worker.close()

    app = FastAPI(
        title="Wellhead runtime", docs_url=None, redoc_url=None, openapi_url=None, lifespan=lifespan
    )

    @app.post(EMBEDDINGS_PATH)
    async def embeddings(request: Request) -> Response:
        try:
            wanted = parse_request(await _body(request))
            content = answer(await worker.embed(wanted.texts), wanted.encoding)
            response = JSONResponse(content)
        except RequestError as error:
            response = _refusal(error)
        except ClientDisconnect:
            return Response(status_code=499)  # nobody is there to read it, and no work was done
        except Exception:  # whatever a text did to the model: it is counted, and told in OpenAI's shape
            _log.exception("a request failed inside the model")
            response = _refusal(RequestError("the model failed on this request", status=500))
        metrics.answered(response.status_code)
        return response

    @app.get("/v1/models")
    async def models() -> dict[str, object]:
        return model_list(created)

    @app.get("/healthz")
    async def healthz() -> dict[str, str]:
        return {"status": "ok", "model": MODEL_NAME}

    @app.get("/metrics")
    async def exposition() -> Response:
        return Response(metrics.exposition(), headers={"content-type": CONTENT_TYPE_LATEST})

    @app.exception_handler(HTTPException)
    async def unknown_route(request: Request, error: HTTPException) -> Response:
        message = f"{request.method} {request.url.path}: {error.detail}; POST {EMBEDDINGS_PATH} embeds text"
        return _refusal(RequestError(message, status=error.status_code))

    return app


async def _body(request: Request) -> bytes:
    """The whole body, given up as soon as it is too long: at the announced length, or while reading."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal():
        refuse_large_body(int(announced))
    received = bytearray()
    async for chunk in request.stream():
        received += chunk
        refuse_large_body(len(received))
    return bytes(received)


def _refusal(error: RequestError) -> JSONResponse:
    headers = {"retry-after": "1"} if error.status == 503 else None
    return JSONResponse(error_body(error), status_code=error.status, headers=headers)

"""What a reporter's daemon answers over HTTP: other reporters' letters, proofs for anybody, and how it fares."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from wellhead.errors import Refused
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.exchange.mail import mail_route
from wellhead.oracle.exchange.post import Post
from wellhead.serving import Bounds
from wellhead.serving import serve as serve_bounded

HEALTH_PATH, METRICS_PATH, STATUS_PATH = "/healthz", "/metrics", "/status"
# Each may have a letter of some megabytes on its way.
BOUNDS = Bounds(connections=64, grace_seconds=5)
_log = logging.getLogger(__name__)


def create_app(
    post: Post | None,
    progress: Progress,
    records: list[BaseRoute],
    status: Callable[[], dict[str, Any]],
    work: Callable[[], Coroutine[Any, Any, None]],
) -> Starlette:
    """The routes, with the reporter's `work` going on as long as they are served. Without a `post` nobody writes."""

    async def healthz(_: Request) -> Response:
        ailment = progress.ailment
        return JSONResponse({"status": ailment or "ok"}, 503 if ailment else 200)

    async def metrics(_: Request) -> Response:
        return Response(progress.text(), media_type="text/plain; version=0.0.4")

    async def show_status(_: Request) -> Response:
        return JSONResponse(await asyncio.to_thread(status))

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        working = asyncio.create_task(work())
        working.add_done_callback(end_with)
        try:
            yield
        finally:
            working.cancel()
            await asyncio.wait((working,))

    def end_with(working: asyncio.Task[None]) -> None:
        """A daemon whose work has failed for good must not look alive."""
        if not working.cancelled() and (failure := working.exception()) is not None:
            _log.error("the reporter's work has failed", exc_info=failure)
            app.state.failure = failure
            signal.raise_signal(signal.SIGTERM)

    app = Starlette(
        routes=[
            *([] if post is None else [mail_route(post)]),
            Route(HEALTH_PATH, healthz),
            Route(METRICS_PATH, metrics),
            Route(STATUS_PATH, show_status),
            *records,
        ],
        lifespan=lifespan,
    )
    app.state.failure = None
    return app


def serve(app: Starlette, listener: socket.socket, announce: Callable[[str], None]) -> None:
    """Until SIGTERM or SIGINT. `announce` gets the URL once connections are taken. Raises Refused when the reporter's
    work has failed: whoever keeps it running is to start it again."""
    serve_bounded(app, listener, BOUNDS, announce)
    if app.state.failure is not None:
        raise Refused(f"the reporter's work has failed: {app.state.failure!r}")

"""How everything of ours is served over HTTP: bounded in what a stranger can take, and in how long it takes to stop."""

from __future__ import annotations

import logging
import os
import resource
import signal
import socket
import threading
from collections.abc import Callable
from typing import NamedTuple

import uvicorn
from starlette.types import ASGIApp

from wellhead.bounded_connection import BoundedConnection

# Of the files that a process may open, those which are not connections.
OTHER_FILES = 256
_log = logging.getLogger(__name__)


class Bounds(NamedTuple):
    """What one server allows."""

    # With so many open, each new one takes the place of one whose client is waited for; 503 if there is none.
    connections: int
    # For answers under way when it is told to stop; for all else of the stop as much again.
    grace_seconds: int


def serve(app: ASGIApp, listener: socket.socket, bounds: Bounds, announce: Callable[[str], None]) -> None:
    """Until SIGTERM or SIGINT. `announce` gets the URL: connections are taken already."""
    server = _Server(settings(app, bounds))
    # uvicorn listens to signals only while it runs, and who is announced to may send one before. The one that it raises
    # again when it has stopped has nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, server.handle_exit)
    host, port = listener.getsockname()[:2]
    announce(f"http://{f'[{host}]' if ':' in host else host}:{port}")
    server.run(sockets=[listener])


def settings(app: ASGIApp, bounds: Bounds) -> uvicorn.Config:
    """The one place where uvicorn is configured."""
    return uvicorn.Config(
        app,
        interface="asgi3",
        http=BoundedConnection,
        ws="none",
        limit_concurrency=_with_files_for(bounds.connections),
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=bounds.grace_seconds,
    )


class _Server(uvicorn.Server):
    """Stops though something will not end: a thread that waits for a slow peer, or for a chain."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        grace_seconds = self.config.timeout_graceful_shutdown
        assert grace_seconds is not None
        leaving = threading.Timer(2 * grace_seconds, _leave)
        leaving.daemon = True
        leaving.start()
        await super().shutdown(sockets)


def _leave() -> None:
    """What is worth keeping is on disk at any time, as after a SIGKILL."""
    waiting = [thread.name for thread in threading.enumerate() if not thread.daemon]
    _log.error("still busy long after it was told to stop, so it is cut off: %s", ", ".join(waiting))
    logging.shutdown()
    os._exit(1)


def _with_files_for(connections: int) -> int:
    """So many connections, or fewer if this process may not open enough files."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = connections + OTHER_FILES
    if soft < wanted:
        soft = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return max(1, min(connections, soft - OTHER_FILES))

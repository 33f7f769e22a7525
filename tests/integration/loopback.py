"""ASGI applications served on loopback by a real uvicorn, in a thread of the test."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp

STOP_TIMEOUT_SECONDS = 20


class _Server(uvicorn.Server):
    """Uvicorn looks every tenth of a second whether it should end; a test should not wait for that."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(uvicorn.Config(app, log_level="error", access_log=False, lifespan="on"))
        self._leaving = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    async def main_loop(self) -> None:
        self._loop = asyncio.get_running_loop()
        await self.on_tick(0)
        if not self.should_exit:
            await self._leaving.wait()

    def leave(self) -> None:
        self.should_exit = True
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._leaving.set)


@contextmanager
def serving(app: ASGIApp) -> Iterator[str]:
    """The root URL of `app`. Leaving waits for requests under way."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # from here on connections wait in line, so nobody has to wait for the start
    server = _Server(app)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.leave()
        thread.join(STOP_TIMEOUT_SECONDS)
        listener.close()
        assert not thread.is_alive(), "a test server did not stop"

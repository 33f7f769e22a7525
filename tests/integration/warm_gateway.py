"""A gateway's process that starts in a moment: a fork of one that has imported it, with an end of its own.

Importing takes seconds, and what a killed gateway has left behind is found by the next one whether it was imported or
forked. Orders come by line on stdin: a gateway's configuration, or null to kill it.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from pathlib import Path
from typing import Any

START_SECONDS = 60
_ANNOUNCED, _ENDED = "gateway at ", "ended by "


class WarmGateway:
    """At most one gateway at a time. What they log goes to `log`."""

    def __init__(self, log: Path) -> None:
        self._log = log
        self._process: asyncio.subprocess.Process | None = None

    async def start(self, config: dict[str, Any]) -> None:
        """Begin a gateway's start; see `url`."""
        if self._process is None:
            with self._log.open("ab") as log:
                self._process = await asyncio.create_subprocess_exec(
                    *(sys.executable, __file__),
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                )
        self._order(config)

    async def url(self) -> str:
        """Where it listens, once it does."""
        return (await self._told(_ANNOUNCED)).removeprefix(_ANNOUNCED)

    async def kill(self) -> None:
        """SIGKILL; returns when it is gone."""
        self._order(None)
        # What it may have announced just before is passed over.
        assert await self._told(_ENDED) == f"{_ENDED}{-signal.SIGKILL}", self._log.read_text()

    async def close(self) -> None:
        """End the warm process, and with it a gateway that runs."""
        if self._process is not None:
            await self._process.communicate(b"")

    def _order(self, order: dict[str, Any] | None) -> None:
        assert self._process is not None
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def _told(self, beginning: str) -> str:
        assert self._process is not None
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_SECONDS):
                while line := (await self._process.stdout.readline()).decode():
                    if line.startswith(beginning):
                        return line.strip()
        except TimeoutError:
            pass
        raise AssertionError(f"nothing began with {beginning!r}; what was logged:\n{self._log.read_text()}")


def _obey() -> None:
    import sqlalchemy.dialects.sqlite  # noqa: F401
    import uvicorn.lifespan.on
    import uvicorn.loops.auto
    import uvicorn.protocols.http.auto
    import uvicorn.protocols.websockets.auto  # noqa: F401

    from wellhead.chain.keys import local_account
    from wellhead.gateway.config import GatewayConfig
    from wellhead.gateway.serve import serve

    gateway = 0
    try:
        while line := sys.stdin.readline():
            order = json.loads(line)
            if order is not None:
                gateway = os.fork()
                if not gateway:
                    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                    accounts = local_account("facilitator"), local_account("authorizer")
                    config = GatewayConfig.model_validate(order)
                    serve(config, *accounts, lambda url: print(f"{_ANNOUNCED}{url}", flush=True))
                    sys.exit(0)
            else:
                os.kill(gateway, signal.SIGKILL)
                _, status = os.waitpid(gateway, 0)
                gateway = 0
                print(f"{_ENDED}{os.waitstatus_to_exitcode(status)}", flush=True)
    finally:
        if gateway:
            os.kill(gateway, signal.SIGKILL)


if __name__ == "__main__":
    _obey()

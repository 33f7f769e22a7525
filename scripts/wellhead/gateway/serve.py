"""Run a gateway until it is told to stop."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from eth_account.signers.local import LocalAccount
from starlette.types import ASGIApp

from wellhead.database import parse_url
from wellhead.exclusive import exclusive
from wellhead.gateway.assembly import Gateway
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.connection import BoundedConnection
from wellhead.json_logs import log_json
from wellhead.listener import listen

# Beyond these a request is 503 before its body is read: a body may have a megabyte.
MAX_CONNECTIONS = 2_000
SHUTDOWN_GRACE_SECONDS = 10  # a payment that is being settled should reach its receipt


def serve(
    config: GatewayConfig,
    facilitator: LocalAccount,
    authorizer: LocalAccount,
    announce: Callable[[str], None],
) -> None:
    """Serve until SIGTERM or SIGINT. `announce` gets the URL once connections are taken.

    Raises Misused or Refused before that: chain, asset or port are not to be had.
    """
    with _alone(config.ledger_url), listen(config.host, config.port) as listener:
        app = Gateway(config, facilitator, authorizer).app
        server = uvicorn.Server(settings(app))
        log_json()
        # uvicorn stops in order, then raises the signal again; that second one has nothing left to do.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        announce(f"http://{config.host}:{listener.getsockname()[1]}")
        server.run(sockets=[listener])


def settings(app: ASGIApp) -> uvicorn.Config:
    """How `app` is served: bounded in everything that a client could take without paying."""
    return uvicorn.Config(
        app,
        http=BoundedConnection,
        ws="none",
        limit_concurrency=MAX_CONNECTIONS,
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
    )


@contextmanager
def _alone(ledger_url: str) -> Iterator[None]:
    """A ledger in a file is one gateway's: what it knows is in its memory."""
    url = parse_url(ledger_url)
    if url.get_backend_name() != "sqlite" or not url.database:
        yield
        return
    otherwise = f"another gateway runs on the ledger {url.database}; several need PostgreSQL (--ledger)"
    with exclusive(Path(f"{url.database}.lock"), otherwise):
        yield

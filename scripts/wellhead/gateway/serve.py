"""Run a gateway until it is told to stop."""

from __future__ import annotations

import signal

import uvicorn
from eth_account.signers.local import LocalAccount

from wellhead.gateway.app import create_app
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.facilitator import Facilitator

SHUTDOWN_GRACE_SECONDS = 10  # a payment that is being settled should reach its receipt


def serve(config: GatewayConfig, account: LocalAccount) -> bool:
    """Serve until SIGTERM or SIGINT; whether it ever came up. Raises Misused, Refused before it starts."""
    app = create_app(config, Facilitator(config, account))
    server = uvicorn.Server(
        uvicorn.Config(
            app,
            host=config.host,
            port=config.port,
            access_log=False,
            timeout_graceful_shutdown=SHUTDOWN_GRACE_SECONDS,
        )
    )
    # uvicorn stops in order, then raises the signal again; that second one has nothing left to do.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: None)
    server.run()
    return server.started

"""Run a gateway until it is told to stop."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from eth_account.signers.local import LocalAccount

from wellhead.database import parse_url
from wellhead.exclusive import exclusive
from wellhead.gateway.assembly import Gateway
from wellhead.gateway.config import GatewayConfig
from wellhead.json_logs import log_json
from wellhead.listener import listen
from wellhead.serving import Bounds
from wellhead.serving import serve as serve_bounded

# A body may have a megabyte; a payment that is being settled should reach its receipt.
BOUNDS = Bounds(connections=2_000, grace_seconds=10)


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
        log_json()
        serve_bounded(app, listener, BOUNDS, announce)


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

"""Local chains for development and tests: Anvil and Ganache, with the same accounts and one clock.

They start a year in the past. Stock x402 clients sign deadlines from the wall clock, so a chain that has
been warped ahead of it would refuse every payment.
"""

from __future__ import annotations

import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from web3 import Web3
from web3.types import RPCEndpoint

from wellhead.chain.connection import connect
from wellhead.errors import Misused, Refused
from wellhead.processes import ManagedProcess

CLIENTS = ("anvil", "ganache")
CHAIN_ID = 31337
ACCOUNTS = 30
MNEMONIC = "test test test test test test test test test test test junk"
YEAR_SECONDS = 365 * 86_400
START_TIMEOUT_SECONDS = 30
HOST = "127.0.0.1"

_HOW_TO_GET = {
    "anvil": "install Foundry, or run `make` on Linux where npm brings it",
    "ganache": "run `make`, which installs it from npm",
}


class LocalChainError(Refused):
    """The local chain could not be started, or died; the message says what to do."""


class LocalChain(NamedTuple):
    """A running local chain. `url` is its JSON-RPC endpoint on loopback."""

    client: str
    url: str
    port: int
    process: ManagedProcess

    def connect(self) -> Web3:
        """A connection of its own."""
        return connect(self.url)

    def stop(self) -> None:
        """End the chain; harmless when it has ended."""
        self.process.stop()


def free_port() -> int:
    """A port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def start(
    client: str = "anvil",
    *,
    port: int | None = None,
    log: Path,
    state: Path | None = None,
    genesis: int | None = None,
) -> LocalChain:
    """Start `client` on loopback and wait until it answers.

    `state` is a folder in which the chain keeps itself between runs; without it nothing is kept.
    `genesis` is the time at which it starts, a year ago if not given.
    Raises Misused (unknown client) or LocalChainError (client missing, port in use, no answer).
    """
    if client not in CLIENTS:
        raise Misused(f"unknown chain {client!r}; known: {', '.join(CLIENTS)}")
    program = shutil.which(client)
    if program is None:
        raise LocalChainError(f"{client} is not on PATH: {_HOW_TO_GET[client]}")
    port = free_port() if port is None else port
    _refuse_used_port(port)
    if state is not None:
        state.mkdir(parents=True, exist_ok=True)
    genesis = int(time.time()) - YEAR_SECONDS if genesis is None else genesis
    arguments = _anvil(port, genesis, state) if client == "anvil" else _ganache(port, genesis, state)
    process = ManagedProcess([program, *arguments], log)
    chain = LocalChain(client, f"http://{HOST}:{port}", port, process)
    _wait_until_ready(chain)
    return chain


@contextmanager
def running(
    client: str = "anvil", *, log: Path, port: int | None = None, genesis: int | None = None
) -> Iterator[LocalChain]:
    """A local chain for the length of a `with` block."""
    chain = start(client, port=port, log=log, genesis=genesis)
    try:
        yield chain
    finally:
        chain.stop()


def chain_time(w3: Web3) -> int:
    """The time of the latest block, in seconds."""
    return int(w3.eth.get_block("latest")["timestamp"])


def advance(w3: Web3, seconds: int) -> int:
    """Mine one block `seconds` after the latest; the new time. Works on Anvil and Ganache alike."""
    target = chain_time(w3) + seconds
    _rpc(w3, "evm_increaseTime", [seconds])  # later blocks follow on from the target
    _rpc(w3, "evm_mine", [target])
    return chain_time(w3)


def skip(w3: Web3, seconds: int) -> None:
    """Let about `seconds` more pass while others send: no block is older than the one before, as `advance` may make it
    when theirs came in between."""
    _rpc(w3, "evm_increaseTime", [seconds])
    _rpc(w3, "evm_mine", [])


def is_local(w3: Web3) -> bool:
    """Whether the node at the other end lets us move its clock."""
    version = w3.client_version.lower()
    return version.startswith(("anvil", "ganache"))


def _anvil(port: int, genesis: int, state: Path | None) -> list[str]:
    keep = ["--state", str(state / "anvil.json")] if state is not None else []
    return [
        *("--host", HOST, "--port", str(port), "--chain-id", str(CHAIN_ID)),
        *("--accounts", str(ACCOUNTS), "--mnemonic", MNEMONIC, "--timestamp", str(genesis), "--silent"),
        *keep,
    ]


def _ganache(port: int, genesis: int, state: Path | None) -> list[str]:
    keep = ["--database.dbPath", str(state / "ganache")] if state is not None else []
    start_time = datetime.fromtimestamp(genesis, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return [
        *("--server.host", HOST, "--server.port", str(port), "--chain.chainId", str(CHAIN_ID)),
        *("--wallet.totalAccounts", str(ACCOUNTS), "--wallet.mnemonic", MNEMONIC),
        *("--chain.time", start_time, "--chain.hardfork", "shanghai", "--logging.quiet"),
        *keep,
    ]


def _refuse_used_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise LocalChainError(f"port {port} is in use; give another with --port, or 0 for any") from error


def _wait_until_ready(chain: LocalChain) -> None:
    w3 = connect(chain.url, timeout_seconds=2)
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if not chain.process.running:
            raise LocalChainError(f"{chain.client} ended at once: {chain.process.log_tail()}")
        if w3.is_connected() and w3.eth.chain_id == CHAIN_ID:
            return
        time.sleep(0.02)
    chain.stop()
    raise LocalChainError(
        f"{chain.client} did not answer within {START_TIMEOUT_SECONDS} s on port {chain.port}"
    )


def _rpc(w3: Web3, method: str, parameters: list[object]) -> object:
    answer = w3.provider.make_request(RPCEndpoint(method), parameters)
    if "error" in answer:
        raise LocalChainError(f"{method}{parameters} failed: {answer['error']}")
    return answer.get("result")

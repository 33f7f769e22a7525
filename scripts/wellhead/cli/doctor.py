"""wellhead doctor: what is installed, reachable and configured, and how to get what is not."""

from __future__ import annotations

import importlib.metadata
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import typer
from rich.console import Console
from rich.text import Text

from wellhead.chain import artifacts
from wellhead.chain.networks import find_network
from wellhead.cli import render
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_NETWORK,
    DeploymentsOption,
    JsonOption,
    NetworkOption,
)
from wellhead.deploy import manifest
from wellhead.errors import WellheadError
from wellhead.runtime.weights import locate_weights, verify_weights


class Finding(NamedTuple):
    """One thing looked at. `needed` things make doctor fail when they are missing."""

    name: str
    found: bool
    detail: str
    needed: bool


def doctor(
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    as_json: JsonOption = False,
) -> None:
    """Look at everything that Wellhead stands on. Exit code 1 when something needed is missing."""
    findings = list(examine(network, deployments))

    def draw(console: Console) -> None:
        rows = [
            (
                Text("ok", "green")
                if f.found
                else Text("missing", "red")
                if f.needed
                else Text("absent", "yellow"),
                f.name,
                f.detail,
            )
            for f in findings
        ]
        drawn = render.table(["", "what", "detail"], rows)
        drawn.columns[1].justify = drawn.columns[2].justify = "left"
        console.print(drawn)

    healthy = all(finding.found or not finding.needed for finding in findings)
    render.emit(as_json, {"healthy": healthy, "findings": [f._asdict() for f in findings]}, draw)
    if not healthy:
        raise typer.Exit(1)


def examine(network: str, deployments: Path) -> Iterator[Finding]:
    """Every finding, in the order in which a newcomer would mend them."""
    version = sys.version.split()[0]
    yield Finding("Python", sys.version_info >= (3, 11), f"{version} (3.11 or newer is needed)", True)
    yield _program(
        "node", "Node 20 or newer compiles the contracts: `make` brings it from PyPI", needed=False
    )
    yield _compiler()
    yield _program("anvil", "local chain; install Foundry, or `make` on Linux", needed=True)
    yield _program("ganache", "the other local chain; `make` installs it from npm", needed=False)
    yield _program("forge", "property tests; install Foundry, or `make` on Linux", needed=False)
    yield _program(
        "prometheus", "what reporters read in the demo; `apt-get install prometheus`", needed=False
    )
    yield _attempt("contracts", _artifacts, needed=True)
    yield _attempt("model", _model, needed=False)
    yield _package("eth-brownie", "brownie's commands; `make test` installs it")
    yield _attempt("network", lambda: _reach(network), needed=False)
    yield _attempt("deployment", lambda: _manifest(network, deployments), needed=False)


def _attempt(name: str, look: Callable[[], str], *, needed: bool) -> Finding:
    try:
        return Finding(name, True, look(), needed)
    except WellheadError as error:
        return Finding(name, False, str(error), needed)


def _program(name: str, how: str, *, needed: bool) -> Finding:
    path = shutil.which(name)
    if path is None:
        return Finding(name, False, how, needed)
    run = subprocess.run([path, "--version"], capture_output=True, text=True, timeout=30, check=False)
    return Finding(name, run.returncode == 0, (run.stdout or run.stderr).strip().splitlines()[0], needed)


def _compiler() -> Finding:
    try:
        import solcx
    except ImportError:
        return Finding("solc", False, "py-solc-x is not installed; `make` installs it", False)
    versions = ", ".join(str(version) for version in solcx.get_installed_solc_versions())
    return Finding(
        "solc", bool(versions), versions or "no compiler that py-solc-x knows; `make` brings one", False
    )


def _package(name: str, how: str) -> Finding:
    try:
        return Finding(name, True, importlib.metadata.version(name), False)
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, how, False)


def _artifacts() -> str:
    artifacts.load("NodeShare")
    return f"{len(artifacts.names())} compiled"


def _model() -> str:
    weights = locate_weights()
    verify_weights(weights)
    return f"{weights.name}, hash as expected"


def _reach(network: str) -> str:
    found = find_network(network)
    w3 = found.connect()
    return f"{found.name}: {w3.client_version}, block {w3.eth.block_number}"


def _manifest(network: str, deployments: Path) -> str:
    found = manifest.require(find_network(network).chain_id, deployments)
    return f"{len(found.contracts)} contracts on chain {found.chain_id}"

"""wellhead up: a local chain with everything deployed and funded, until Ctrl-C."""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wellhead.chain import keys, local
from wellhead.chain.networks import LOCAL_PORT
from wellhead.chain.transact import Sender
from wellhead.cli import render
from wellhead.cli.options import DEFAULT_DEPLOYMENTS, DeploymentsOption, JsonOption
from wellhead.deploy import manifest
from wellhead.deploy.local import FUNDING_USD6, deploy_local
from wellhead.exclusive import exclusive
from wellhead.units import format_usd

LOG = Path("build/chain.log")


def up(
    chain: Annotated[str, typer.Option("--chain", help="anvil or ganache")] = "anvil",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help="0 takes any free one")] = LOCAL_PORT,
    state: Annotated[
        Path | None, typer.Option("--state", help="Keep the chain in this folder between runs.")
    ] = None,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    as_json: JsonOption = False,
) -> None:
    """Start a local chain with everything deployed and funded; stop it with Ctrl-C."""
    stopping = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopping.set())
    with ExitStack() as held:
        if state is not None:
            held.enter_context(
                exclusive(
                    state / ".lock",
                    f"another chain keeps its state in {state}: give this one its own --state",
                )
            )
        running = local.start(chain, port=port or None, log=LOG, state=state)
        held.callback(running.stop)
        # Its addresses would take the place of those of a chain that is still running.
        held.enter_context(
            exclusive(
                deployments / ".lock",
                f"another chain keeps its addresses in {deployments}: give this one its own --deployments",
            )
        )
        w3 = running.connect()
        owner = Sender(w3, keys.local_account("owner"))
        deployed = deploy_local(owner, deployments)
        _announce(running, deployed, deployments, as_json)
        while not stopping.wait(1):
            if not running.process.running:
                raise local.LocalChainError(f"{chain} ended by itself: {running.process.log_tail()}")


def _announce(
    running: local.LocalChain, deployed: manifest.Manifest, deployments: Path, as_json: bool
) -> None:
    accounts = {role: keys.local_account(role).address for role in keys.LOCAL_ROLES}
    contracts = {name: contract.address for name, contract in deployed.contracts.items()}
    data = {
        "client": running.client,
        "url": running.url,
        "chain_id": deployed.chain_id,
        "manifest": str(manifest.manifest_path(deployed.chain_id, deployments)),
        "contracts": contracts,
        "accounts": accounts,
    }

    def draw(console: Console) -> None:
        console.print(f"[bold]{running.client}[/] at {running.url}, chain {deployed.chain_id}\n")
        console.print(render.facts(list(contracts.items())))
        console.print()
        console.print(render.facts(list(accounts.items())))
        funded = format_usd(FUNDING_USD6)
        console.print(f"\nEvery account holds {funded} and test ether. Now, in another terminal:")
        command = Path(sys.argv[0]).with_name("wellhead")
        console.print(f"  {command} node list\n  {command} usd balance holder\n\nCtrl-C stops the chain.")

    render.emit(as_json, data, draw)

"""wellhead deploy: put the contracts on a network; run again, it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from wellhead.chain import keys, local
from wellhead.chain.networks import find_network
from wellhead.chain.transact import Sender
from wellhead.cli import render
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_NETWORK,
    AsOption,
    DeploymentsOption,
    DryRunOption,
    JsonOption,
    NetworkOption,
)
from wellhead.deploy import manifest
from wellhead.deploy.deployer import Outcome, deploy_all
from wellhead.deploy.parameters import choose_parameters


def deploy(
    signer: AsOption = "owner",
    parameters: Annotated[
        Path | None,
        typer.Option("--parameters", help="JSON file of the deployment's parameters (live networks)."),
    ] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Deploy every contract that is missing and configure what its owner may."""
    found = find_network(network)
    w3 = found.connect()
    sender = Sender(w3, keys.load_signer(signer, local_chain=local.is_local(w3)))
    known = manifest.read(found.chain_id, deployments)
    chosen = choose_parameters(w3, parameters, None if known is None else known.parameters)
    outcome = deploy_all(sender, chosen, deployments, dry_run=dry_run)
    render.emit(as_json, _data(outcome, dry_run), lambda console: _draw(console, outcome, dry_run))


def _data(outcome: Outcome, dry_run: bool) -> dict[str, object]:
    return {
        "chain_id": outcome.manifest.chain_id,
        "dry_run": dry_run,
        "contracts": {name: entry.address for name, entry in outcome.manifest.contracts.items()},
        "placed": outcome.placed,
        "configured": outcome.configured,
        "left_to_owner": outcome.left_to_owner,
    }


def _draw(console: Console, outcome: Outcome, dry_run: bool) -> None:
    console.print(
        render.table(
            ["contract", "address", ""],
            [
                (
                    name,
                    entry.address,
                    ("missing" if dry_run else "placed") if name in outcome.placed else "there",
                )
                for name, entry in outcome.manifest.contracts.items()
            ],
        )
    )
    for step in outcome.configured:
        console.print(f"{'would configure' if dry_run else 'configured'}: {step}")
    for step in outcome.left_to_owner:
        console.print(f"[yellow]left to the owner:[/] {step}")

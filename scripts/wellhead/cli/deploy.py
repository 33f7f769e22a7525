"""wellhead deploy: put the contracts on a network; run again, it goes on where it stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError
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
from wellhead.deploy.parameters import Parameters, local_parameters
from wellhead.errors import Misused


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
    is_local = local.is_local(w3)
    sender = Sender(w3, keys.load_signer(signer, local_chain=is_local))
    known = manifest.read(found.chain_id, deployments)
    if known is not None:
        chosen = known.parameters
        if parameters is not None and _read(parameters) != chosen:
            raise Misused(
                f"{parameters} differs from the manifest of chain {found.chain_id}; "
                "move the manifest away to deploy anew"
            )
    elif parameters is not None:
        chosen = _read(parameters)
    elif is_local:
        chosen = local_parameters(local.chain_time(w3))
    else:
        raise Misused(
            "a live network needs --parameters FILE: owner, guardian, reporters, attestors and the rest"
        )
    outcome = deploy_all(sender, chosen, deployments, dry_run=dry_run)
    render.emit(as_json, _data(outcome, dry_run), lambda console: _draw(console, outcome, dry_run))


def _read(path: Path) -> Parameters:
    try:
        return Parameters.model_validate_json(path.read_text())
    except OSError as error:
        raise Misused(f"cannot read {path}: {error}") from None
    except ValidationError as error:
        raise Misused(f"{path} does not describe a deployment: {error}") from None


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

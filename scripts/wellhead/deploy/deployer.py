"""Bring a plan onto a chain: place what is missing, configure what is not configured, skip the rest."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from wellhead.chain.transact import Sender
from wellhead.deploy import manifest
from wellhead.deploy.canonical import ensure_canonical, missing_canonical
from wellhead.deploy.configuration import steps
from wellhead.deploy.parameters import Parameters
from wellhead.deploy.placement import ensure_proxy, is_placed, place
from wellhead.deploy.plan import Plan
from wellhead.errors import Refused


class Outcome(NamedTuple):
    """What a run did. With dry_run: what it would have done."""

    manifest: manifest.Manifest
    placed: list[str]
    configured: list[str]
    # Steps that only the owner may take, when someone else deploys.
    left_to_owner: list[str]


def deploy_all(sender: Sender, parameters: Parameters, folder: Path, *, dry_run: bool = False) -> Outcome:
    """Deploy and configure everything that is missing. Idempotent.

    The manifest is written before the first transaction, so an interrupted run resumes with the same
    parameters and so the same addresses. x402's canonical contracts, over which the router is built, are put on a
    local chain that lacks them. Raises Refused when a live network does, or when the manifest's code differs from
    this build.
    """
    w3 = sender.w3
    plan = Plan(parameters)
    chain_id = w3.eth.chain_id
    known = manifest.read(chain_id, folder)
    wanted = manifest.Manifest(
        chain_id=chain_id,
        parameters=parameters,
        contracts={
            placed.name: manifest.Deployed(address=placed.address, init_code_hash=placed.init_code_hash)
            for placed in plan.placements
        },
        first_block=w3.eth.block_number if known is None else known.first_block,
        pools={} if known is None else known.pools,
    )
    refuse_other_code(known, wanted)
    missing_canonical(w3)  # refuses while nothing is written or sent
    missing = [placed for placed in plan.placements if not is_placed(w3, placed)]
    if dry_run:
        return Outcome(wanted, [placed.name for placed in missing], [], [])
    manifest.write(wanted, folder)
    ensure_canonical(w3)
    ensure_proxy(sender)
    for placed in missing:
        place(sender, placed)
    configured: list[str] = []
    left: list[str] = []
    for step in steps(w3, plan):
        if step.done():
            continue
        if sender.address == parameters.owner:
            sender.send(step.call)
            configured.append(step.what)
        else:
            left.append(step.what)
    return Outcome(wanted, [placed.name for placed in missing], configured, left)


def refuse_other_code(known: manifest.Manifest | None, wanted: manifest.Manifest) -> None:
    """Raise Refused when a contract of the manifest was made from other code or arguments than this build's."""
    if known is None:
        return
    for name, deployed in wanted.contracts.items():
        before = known.contracts.get(name)
        if before is not None and before.init_code_hash != deployed.init_code_hash:
            raise Refused(
                f"{name} at {before.address} was deployed from code {before.init_code_hash[:18]}…, this build makes "
                f"{deployed.init_code_hash[:18]}…: use the build that deployed it, or move the manifest away to "
                "deploy anew beside it"
            )

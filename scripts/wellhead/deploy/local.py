"""The deployment of a local chain: everything placed, configured, and every test account funded."""

from __future__ import annotations

from pathlib import Path

from wellhead.chain import keys
from wellhead.chain.contracts.usd import MockUsd
from wellhead.chain.local import chain_time
from wellhead.chain.transact import Sender
from wellhead.deploy import manifest
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.parameters import local_parameters

FUNDING_USD6 = 1_000_000_000_000  # a million dollars each: test money


def deploy_local(owner: Sender, folder: Path) -> manifest.Manifest:
    """Deploy to a local chain, or go on with the one that a kept chain already has."""
    w3 = owner.w3
    known = manifest.read(w3.eth.chain_id, folder)
    if known is not None and not manifest.is_there(w3, known):
        manifest.manifest_path(known.chain_id, folder).unlink()  # of a chain that is gone
        known = None
    parameters = known.parameters if known is not None else local_parameters(chain_time(w3))
    deployed = deploy_all(owner, parameters, folder).manifest
    _fund(owner, MockUsd(w3, deployed.usd))
    return deployed


def _fund(owner: Sender, usd: MockUsd) -> None:
    accounts = [keys.local_account(role).address for role in keys.LOCAL_ROLES]
    poor = [account for account in accounts if usd.balance_of(account) == 0]
    if poor:
        owner.send(usd.configure_minter(owner.address, FUNDING_USD6 * len(poor)))
        for account in poor:
            owner.send(usd.mint(account, FUNDING_USD6))

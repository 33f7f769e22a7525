"""A deployment for whoever has nothing but an RPC URL, such as a brownie script."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

from wellhead.chain import keys, local
from wellhead.chain.connection import connect
from wellhead.chain.transact import Sender
from wellhead.deploy import manifest
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.local import deploy_local
from wellhead.deploy.parameters import choose_parameters
from wellhead.errors import Refused


def deploy_at(
    rpc_url: str, parameters: str | None = None, signer: str = "owner", *, folder: Path = manifest.FOLDER
) -> dict[str, str]:
    """Deploy to the chain behind `rpc_url` and print where everything is; addresses by contract name.

    A local chain needs no more. If the manifest in `folder` is of this very chain (one of `wellhead up`),
    its deployment is found there and completed. Otherwise nothing is recorded: brownie's own chain ends
    with the command, and the manifest that it would overwrite may be of a chain that still runs.

    A live network needs `parameters`, a JSON file as for `wellhead deploy --parameters`, and `signer`, an
    encrypted keystore; its manifest is kept, and an interrupted run resumes. Raises Misused or Refused.
    """
    w3 = connect(rpc_url)
    if not w3.is_connected():
        raise Refused(f"no chain answers at {rpc_url}")
    on_local_chain = local.is_local(w3)
    sender = Sender(w3, keys.load_signer(signer, local_chain=on_local_chain))
    if on_local_chain:
        deployed = _deploy_locally(sender, folder)
    else:
        known = manifest.read(w3.eth.chain_id, folder)
        file = None if parameters is None else Path(parameters)
        chosen = choose_parameters(w3, file, None if known is None else known.parameters)
        deployed = deploy_all(sender, chosen, folder).manifest
    addresses = {name: entry.address for name, entry in deployed.contracts.items()}
    for name, address in addresses.items():
        print(f"{name:<18} {address}")
    return addresses


def _deploy_locally(owner: Sender, folder: Path) -> manifest.Manifest:
    known = manifest.read(owner.w3.eth.chain_id, folder)
    if known is not None and manifest.is_there(owner.w3, known):
        return deploy_local(owner, folder)
    with TemporaryDirectory() as discarded:
        return deploy_local(owner, Path(discarded))

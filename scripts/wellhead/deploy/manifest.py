"""deployments/<chain id>.json: what was deployed where, from which code, with which parameters."""

from __future__ import annotations

import json
import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from web3 import Web3

from wellhead.deploy.parameters import Parameters
from wellhead.errors import Misused, Refused
from wellhead.fields import Address

FOLDER = Path("deployments")


class Deployed(BaseModel):
    """One contract: its address and the hash of the code and arguments that made it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    address: Address
    init_code_hash: str


class Manifest(BaseModel):
    """A deployment on one chain. Parameters are kept so that an interrupted run resumes with the same."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    chain_id: int
    parameters: Parameters
    contracts: dict[str, Deployed]
    # Nothing of it is older than this block: where reading its events begins.
    first_block: int = 0
    # Pools that were made on this deployment, by the name that whoever made them gave.
    pools: dict[str, Deployed] = {}

    @property
    def usd(self) -> str:
        """The stablecoin: the network's own, or the mock that was deployed in its place."""
        return self.parameters.usd or self.address("MockUSD")

    def address(self, name: str) -> str:
        """The address of contract `name`. Raises Misused."""
        if name not in self.contracts:
            raise Misused(f"no contract {name!r} in the manifest; known: {', '.join(self.contracts)}")
        return self.contracts[name].address


def manifest_path(chain_id: int, folder: Path = FOLDER) -> Path:
    """Where the manifest of a chain lies."""
    return folder / f"{chain_id}.json"


def read(chain_id: int, folder: Path = FOLDER) -> Manifest | None:
    """The manifest of `chain_id`, or None. Raises Refused when it is unreadable or of another chain."""
    path = manifest_path(chain_id, folder)
    if not path.is_file():
        return None
    try:
        manifest = Manifest.model_validate_json(path.read_text())
    except (ValidationError, UnicodeDecodeError) as error:
        raise Refused(f"{path} is not a manifest: {error}") from None
    if manifest.chain_id != chain_id:
        raise Refused(f"{path} is of chain {manifest.chain_id}, not {chain_id}; was it copied?")
    return manifest


def require(chain_id: int, folder: Path = FOLDER) -> Manifest:
    """The manifest of `chain_id`. Raises Misused when nothing was deployed from here."""
    manifest = read(chain_id, folder)
    if manifest is None:
        path = manifest_path(chain_id, folder)
        raise Misused(f"{path} is missing: deploy first (`wellhead deploy`), or run where the manifest is")
    return manifest


def is_there(w3: Web3, manifest: Manifest) -> bool:
    """Whether the chain has anything of the deployment; a local chain that was started anew has nothing."""
    return any(w3.eth.get_code(Web3.to_checksum_address(e.address)) for e in manifest.contracts.values())


def write(manifest: Manifest, folder: Path = FOLDER) -> Path:
    """Write whole or not at all; the path."""
    path = manifest_path(manifest.chain_id, folder)
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = path.with_suffix(".writing")
    scratch.write_text(json.dumps(manifest.model_dump(), indent=2, sort_keys=True) + "\n")
    os.replace(scratch, path)
    return path

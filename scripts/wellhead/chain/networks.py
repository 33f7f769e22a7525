"""Networks by name: `local`, and whatever networks.toml adds.

[sepolia]
rpc_url = "https://…"
chain_id = 11155111
usd = "0x…"          # the real stablecoin; without it a MockUSD is deployed
"""

from __future__ import annotations

import os
import tomllib
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict
from web3 import Web3

from wellhead.chain import local
from wellhead.chain.connection import connect
from wellhead.errors import Misused, Refused

NETWORKS_FILE_VARIABLE = "WELLHEAD_NETWORKS"
NETWORKS_FILE = "networks.toml"
LOCAL_PORT = 8545


class Network(BaseModel):
    """Where a chain is and which one it must be."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    rpc_url: str
    chain_id: int
    usd: str | None = None

    def connect(self) -> Web3:
        """A connection whose chain id was checked. Raises Refused."""
        w3 = connect(self.rpc_url)
        if not w3.is_connected():
            start = "; start one with `wellhead up`" if self.name == "local" else ""
            raise Refused(f"no chain answers at {self.rpc_url} (network {self.name!r}){start}")
        found = w3.eth.chain_id
        if found != self.chain_id:
            raise Refused(
                f"network {self.name!r} should be chain {self.chain_id}, but {self.rpc_url} is chain {found}"
            )
        return w3


def local_network(port: int = LOCAL_PORT) -> Network:
    """The local chain that listens on `port`."""
    return Network(name="local", rpc_url=f"http://{local.HOST}:{port}", chain_id=local.CHAIN_ID)


def find_network(name: str) -> Network:
    """The network called `name`, or the local one at a loopback URL. Raises Misused."""
    known = {"local": local_network(), **_from_file()}
    if name in known:
        return known[name]
    if urlsplit(name).scheme == "http" and urlsplit(name).hostname in (local.HOST, "localhost"):
        return Network(name="local", rpc_url=name, chain_id=local.CHAIN_ID)
    raise Misused(f"unknown network {name!r}; known: {', '.join(known)}; add it to {NETWORKS_FILE}")


def _from_file() -> dict[str, Network]:
    path = Path(os.environ.get(NETWORKS_FILE_VARIABLE, NETWORKS_FILE))
    if not path.is_file():
        return {}
    try:
        entries = tomllib.loads(path.read_text())
        return {name: Network(name=name, **entry) for name, entry in entries.items()}
    except (ValueError, TypeError) as error:
        raise Misused(f"{path} is not a list of networks: {error}") from None

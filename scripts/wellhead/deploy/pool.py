"""Pools: as many as a deployment's operators want, so they are no part of its plan but an addition to its manifest."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from wellhead.chain import artifacts
from wellhead.chain.contracts.compute_pool import PoolTerms
from wellhead.chain.transact import Sender
from wellhead.deploy import manifest
from wellhead.deploy.manifest import Deployed, Manifest
from wellhead.deploy.placement import Placement, ensure_proxy, estimate, is_placed, place, placement
from wellhead.errors import Misused, Refused

MAX_NAME_BYTES = 32


class Made(NamedTuple):
    """A pool, and the transaction that made it; None if it was there."""

    address: str
    transaction: str | None


def pool_placement(of: Manifest, name: str, owner: str, gateway: str, terms: PoolTerms) -> Placement:
    """Where the pool called `name` belongs: all of this decides its address. Raises Misused for an impossible name."""
    if not name.isascii() or not name.isprintable() or not 1 <= len(name) <= MAX_NAME_BYTES:
        raise Misused(f"a pool's name is 1 to {MAX_NAME_BYTES} ASCII characters, not {name!r}")
    arguments = [
        *(owner, of.parameters.guardian, of.address("NodeShareFactory"), of.address("TelemetryOracle")),
        *(gateway, terms.encode()),
    ]
    return placement(artifacts.load("ComputePool"), arguments, name.encode().ljust(32, b"\0"))


def make_pool(sender: Sender, of: Manifest, folder: Path, name: str, gateway: str, terms: PoolTerms) -> Made:
    """Place a pool that belongs to the sender, and enter it in the manifest in `folder`. Idempotent.

    Raises Misused, ContractRefused when the terms are out of bounds, Refused when the name is taken by another pool.
    """
    wanted = _free_placement(sender, of, name, gateway, terms)
    ensure_proxy(sender)
    transaction = None if is_placed(sender.w3, wanted) else place(sender, wanted)
    pools = {
        **of.pools,
        name: Deployed(address=wanted.address, init_code_hash=wanted.init_code_hash),
    }
    manifest.write(of.model_copy(update={"pools": pools}), folder)
    return Made(wanted.address, transaction)


def gas_of_pool(sender: Sender, of: Manifest, name: str, gateway: str, terms: PoolTerms) -> int:
    """What `make_pool` would cost; 0 if the pool is there. Raises as it does."""
    wanted = _free_placement(sender, of, name, gateway, terms)
    return 0 if is_placed(sender.w3, wanted) else estimate(sender, wanted)


def _free_placement(sender: Sender, of: Manifest, name: str, gateway: str, terms: PoolTerms) -> Placement:
    wanted = pool_placement(of, name, sender.address, gateway, terms)
    known = of.pools.get(name)
    if known is not None and known.address != wanted.address:
        raise Refused(f"the pool {name!r} is at {known.address}, on other terms; choose another name")
    return wanted

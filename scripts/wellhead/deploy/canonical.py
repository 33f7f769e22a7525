"""The x402 scheme's canonical addresses: what is there on live networks, and is put there on local chains."""

from __future__ import annotations

from typing import NamedTuple

from eth_typing import ChecksumAddress
from web3 import Web3
from web3.types import RPCEndpoint
from x402.mechanisms.evm.batch_settlement.constants import (
    BATCH_SETTLEMENT_ADDRESS,
    ERC3009_DEPOSIT_COLLECTOR_ADDRESS,
)
from x402.mechanisms.evm.constants import MULTICALL3_ADDRESS

from wellhead.chain.artifacts import load
from wellhead.chain.local import is_local
from wellhead.errors import Refused


class Canonical(NamedTuple):
    """A contract of ours whose code may stand in at an address that stock packages know by heart."""

    contract: str
    address: ChecksumAddress


SETTLEMENT = Canonical("BatchSettlement", Web3.to_checksum_address(BATCH_SETTLEMENT_ADDRESS))
COLLECTOR = Canonical("ERC3009DepositCollector", Web3.to_checksum_address(ERC3009_DEPOSIT_COLLECTOR_ADDRESS))
MULTICALL = Canonical("Multicall3StandIn", Web3.to_checksum_address(MULTICALL3_ADDRESS))
ALL = (SETTLEMENT, COLLECTOR, MULTICALL)


def ensure_canonical(w3: Web3) -> list[str]:
    """Put code at every canonical address that has none; the contracts placed. Raises Refused as
    `missing_canonical` does."""
    missing = missing_canonical(w3)
    for canonical in missing:
        _set_code(w3, canonical)
    return [canonical.contract for canonical in missing]


def missing_canonical(w3: Web3) -> list[Canonical]:
    """The canonical addresses without code. Raises Refused if a live network has such: there nobody can put it."""
    missing = [canonical for canonical in ALL if not w3.eth.get_code(canonical.address)]
    if missing and not is_local(w3):
        names = ", ".join(f"{canonical.contract} at {canonical.address}" for canonical in missing)
        raise Refused(f"chain {w3.eth.chain_id} lacks {names}: x402's batch settlement is not deployed there")
    return missing


def _set_code(w3: Web3, canonical: Canonical) -> None:
    artifact = load(canonical.contract)
    if artifact.immutables:  # they are the constructor's to fill in, and no constructor runs here
        raise Refused(f"{canonical.contract} has immutables and cannot be put at {canonical.address}")
    method = "anvil_setCode" if w3.client_version.lower().startswith("anvil") else "evm_setAccountCode"
    answer = w3.provider.make_request(RPCEndpoint(method), [canonical.address, artifact.runtime_bytecode])
    if "error" in answer or not w3.eth.get_code(canonical.address):
        raise Refused(f"{canonical.contract} could not be put at {canonical.address}: {answer}")

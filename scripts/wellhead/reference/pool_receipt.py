"""What a pool's gateway signs of a node's work: the digest, built without the contract."""

from __future__ import annotations

from typing import NamedTuple

from eth_abi.abi import encode
from eth_hash.auto import keccak

from wellhead.reference.eip712 import domain_separator, typed_digest

_RECEIPT_TYPE = b"Receipt(uint32 node,uint32 period,uint64 billedFromUnits,uint64 billedToUnits)"


class Receipt(NamedTuple):
    """The gateway's counter of tokens that `node` served and customers were billed for, as it stood at the start and
    at the end of `period`; in the order of the ABI."""

    node: int
    period: int
    billed_from_units: int
    billed_to_units: int


def pool_domain(chain_id: int, pool: str) -> bytes:
    """The EIP-712 domain of a pool; 32 bytes."""
    return domain_separator("Wellhead ComputePool", "1", chain_id, pool)


def receipt_digest(domain: bytes, receipt: Receipt) -> bytes:
    """What the gateway of the pool of `domain` signs; 32 bytes."""
    fields = encode(["bytes32", "uint32", "uint32", "uint64", "uint64"], [keccak(_RECEIPT_TYPE), *receipt])
    return typed_digest(domain, keccak(fields))

"""EIP-712 digests, from the standard's definition alone."""

from __future__ import annotations

from eth_abi.abi import encode
from eth_hash.auto import keccak

_DOMAIN_TYPE = b"EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"


def domain_separator(name: str, version: str, chain_id: int, contract: str) -> bytes:
    """EIP-712 domain of `contract`; 32 bytes."""
    return keccak(
        encode(
            ["bytes32", "bytes32", "bytes32", "uint256", "address"],
            [keccak(_DOMAIN_TYPE), keccak(name.encode()), keccak(version.encode()), chain_id, contract],
        )
    )


def typed_digest(domain: bytes, struct_hash: bytes) -> bytes:
    """What is signed: 32 bytes over a domain separator and the hash of a struct."""
    return keccak(b"\x19\x01" + domain + struct_hash)

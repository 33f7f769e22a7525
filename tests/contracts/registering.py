"""Specs, attestors and their signatures, for every test that needs a node."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError

ATTESTATION = [
    {"name": "configDigest", "type": "bytes32"},
    {"name": "node", "type": "uint32"},
    {"name": "specDigest", "type": "bytes32"},
]
SPEC_TYPE = "(bytes16,uint8,bytes8,uint32,uint16,bytes32)"
SPEC_URI = "ipfs://bafybeigdyrzt5sfp7udm7hu76uh7y26nf3efuylqabf3oclgtqy55fbzdi"
FAULTY = 1
BOND_PER_GPU = 250_000_000
BOND_DELAY = 7 * 86_400


class Spec(NamedTuple):
    """INodeRegistry.NodeSpec, in the order of its fields."""

    gpu_class: bytes = b"H100-SXM-80GB".ljust(16, b"\0")
    gpu_count: int = 8
    region: bytes = b"US-TX".ljust(8, b"\0")
    power_watts: int = 10_200
    sla_bps: int = 9_950
    spec_hash: bytes = bytes.fromhex("5e" * 32)


def attestor_keys(keys: dict[str, LocalAccount]) -> list[LocalAccount]:
    """The attestors in the order in which the registry wants them."""
    return sorted((keys[f"attestor_{number}"] for number in range(5)), key=lambda key: int(key.address, 16))


def spec_digest(operator: str, spec: Spec) -> bytes:
    """What attestors vouch for, built without the contract."""
    return bytes(Web3.keccak(Web3().codec.encode(["address", SPEC_TYPE], [operator, tuple(spec)])))


def attestation(registry: Contract, chain_id: int, node: int, digest: bytes) -> Any:
    """The EIP-712 message of an attestation, ready to sign."""
    domain = {
        "name": "Wellhead NodeRegistry",
        "version": "1",
        "chainId": chain_id,
        "verifyingContract": registry.address,
    }
    return encode_typed_data(
        domain,
        {"Attestation": ATTESTATION},
        {"configDigest": registry.functions.configDigest().call(), "node": node, "specDigest": digest},
    )


def compact(signature: Any) -> bytes:
    """r and s with the parity in the top bit of s, as EIP-2098 packs them."""
    return int(signature.r).to_bytes(32) + (int(signature.s) | (signature.v - 27) << 255).to_bytes(32)


def signatures(message: Any, signers: list[LocalAccount]) -> bytes:
    """The signatures of `signers` over `message`, in the order given."""
    return b"".join(compact(Account.sign_message(message, signer.key)) for signer in signers)


def deploy_registry(
    deploy: Callable[..., Contract], actors: dict[str, str], keys: dict[str, LocalAccount], dollar: Contract
) -> Contract:
    """A registry with five attestors of whom one may lie."""
    return deploy(
        "NodeRegistry",
        actors["owner"],
        actors["guardian"],
        dollar.address,
        BOND_PER_GPU,
        BOND_DELAY,
        [key.address for key in attestor_keys(keys)],
        FAULTY,
    )


def register_attested(
    registry: Contract,
    send: Callable[..., Any],
    operator: str,
    keys: dict[str, LocalAccount],
    spec: Spec | None = None,
) -> int:
    """A node of `operator`, attested; its number."""
    spec = spec or Spec()
    send(registry.functions.register(spec, SPEC_URI), operator)
    node = int(registry.functions.nodeCount().call())
    message = attestation(registry, registry.w3.eth.chain_id, node, spec_digest(operator, spec))
    send(registry.functions.attest(node, signatures(message, attestor_keys(keys)[:3])))
    return node


def fund_bond(
    registry: Contract, dollar: Contract, send: Callable[..., Any], payer: str, amount: int
) -> None:
    """Dollars and an allowance for a deposit of `amount`."""
    send(dollar.functions.mint(payer, amount))
    send(dollar.functions.approve(registry.address, amount), payer)


@contextmanager
def strangers_signatures() -> Iterator[None]:
    """Signatures over another message recover to strangers: foreign or out of order, as chance has it."""
    with pytest.raises(ContractCustomError) as caught:
        yield
    names = (
        "Quorum_ForeignSigner(uint256,address)",
        "Quorum_SignaturesNotAscending(uint256,address,address)",
    )
    assert str(caught.value.data)[:10] in {Web3.keccak(text=name)[:4].to_0x_hex() for name in names}

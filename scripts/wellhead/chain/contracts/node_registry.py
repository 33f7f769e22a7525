"""NodeRegistry: who runs what."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.errors import Misused


class Status(IntEnum):
    """A node's place in its life cycle."""

    NONE = 0
    REGISTERED = 1
    ATTESTED = 2
    ACTIVE = 3
    SUSPENDED = 4
    RETIRED = 5


class NodeSpec(NamedTuple):
    """What an operator states of a node on-chain, in the order of the ABI."""

    gpu_class: str
    gpu_count: int
    region: str
    power_watts: int
    sla_bps: int
    spec_hash: bytes

    def encode(self) -> tuple[bytes, int, bytes, int, int, bytes]:
        """As the contract takes it: names as left-aligned ASCII."""
        return (
            ascii_word(self.gpu_class, 16, "gpu class"),
            self.gpu_count,
            ascii_word(self.region, 8, "region"),
            self.power_watts,
            self.sla_bps,
            self.spec_hash,
        )


class Node(NamedTuple):
    """A node as the registry knows it."""

    operator: str
    status: Status
    spec: NodeSpec
    registered_at: int
    bond_usd6: int
    committed_until: int
    holds: int


class NodeRegistry(Wrapper):
    """Node ids count from 1."""

    artifact = "NodeRegistry"

    def register(self, spec: NodeSpec, spec_uri: str) -> ContractFunction:
        return self.call("register", spec.encode(), spec_uri)

    def attest(self, node: int, signatures: bytes) -> ContractFunction:
        return self.call("attest", node, signatures)

    def activate(self, node: int) -> ContractFunction:
        return self.call("activate", node)

    def suspend(self, node: int) -> ContractFunction:
        return self.call("suspend", node)

    def resume(self, node: int) -> ContractFunction:
        return self.call("resume", node)

    def retire(self, node: int) -> ContractFunction:
        return self.call("retire", node)

    def deposit_bond(self, node: int, amount_usd6: int) -> ContractFunction:
        return self.call("depositBond", node, amount_usd6)

    def request_bond_withdrawal(self, node: int, amount_usd6: int) -> ContractFunction:
        return self.call("requestBondWithdrawal", node, amount_usd6)

    def withdraw_bond(self, node: int, to: str) -> ContractFunction:
        return self.call("withdrawBond", node, to)

    def attestation_digest(self, node: int) -> bytes:
        """What attestors sign for `node`: an EIP-712 digest over the spec that the chain holds."""
        return bytes(self.read("attestationDigest", node))

    def required_bond_usd6(self, node: int) -> int:
        return int(self.read("requiredBondUsd6", node))

    def count(self) -> int:
        return int(self.read("nodeCount"))

    def node(self, node: int) -> Node:
        """Raises Misused for an id that was never given out."""
        if not 1 <= node <= self.count():
            raise Misused(f"unknown node {node}; nodes 1 to {self.count()} exist")
        operator, status, spec, registered_at, bond, committed_until, holds = self.read("nodeOf", node)
        gpu_class, gpu_count, region, power, sla, spec_hash = spec
        return Node(
            operator=operator,
            status=Status(status),
            spec=NodeSpec(ascii_text(gpu_class), gpu_count, ascii_text(region), power, sla, spec_hash),
            registered_at=registered_at,
            bond_usd6=bond,
            committed_until=committed_until,
            holds=holds,
        )


def ascii_word(text: str, size: int, what: str) -> bytes:
    """`text` as contracts keep short names: left-aligned in `size` bytes. Raises Misused."""
    if not text.isascii() or not 1 <= len(text) <= size:
        raise Misused(f"{what} {text!r} is not 1 to {size} ASCII characters")
    return text.encode().ljust(size, b"\0")


def ascii_text(value: bytes) -> str:
    """What `ascii_word` made a word of."""
    return value.rstrip(b"\0").decode(errors="replace")

"""NodeShareFactory: makes the share of a node, once."""

from __future__ import annotations

from typing import NamedTuple

from web3.constants import ADDRESS_ZERO
from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.chain.contracts.node_share import NodeShare
from wellhead.errors import Misused


class ShareTerms(NamedTuple):
    """What is fixed for good when a share is created, in the order of the ABI."""

    name: str
    symbol: str
    tau_seconds: int
    operator_cut_bps: int
    eligibility: str
    issuer: str
    supply_units: int


class NodeShareFactory(Wrapper):
    artifact = "NodeShareFactory"

    def create(self, node: int, terms: ShareTerms) -> ContractFunction:
        return self.call("create", node, terms)

    def claim_many(self, nodes: list[int], account: str) -> ContractFunction:
        return self.call("claimMany", nodes, account)

    def has_share(self, node: int) -> bool:
        return bool(self.read("shareOf", node) != ADDRESS_ZERO)

    def share_of(self, node: int) -> NodeShare:
        """Raises Misused when the node has no share yet."""
        address = self.read("shareOf", node)
        if address == ADDRESS_ZERO:
            raise Misused(
                f"node {node} has no shares yet; its operator makes them with `wellhead shares mint`"
            )
        return NodeShare(self.w3, address)

"""Attestors vouch for a node's spec: each compares before signing, a quorum's signatures go on-chain."""

from __future__ import annotations

from collections.abc import Sequence

from eth_account.signers.local import LocalAccount

from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.errors import Refused
from wellhead.node_spec import SpecDocument
from wellhead.reference.quorum import sign


def sign_all(
    registry: NodeRegistry, node: int, document: SpecDocument, attestors: Sequence[LocalAccount]
) -> bytes:
    """The packed signatures of `attestors` over the node's attestation.

    Raises Refused when the chain states another spec than `document`: nobody signs what they did not read.
    """
    stated = registry.node(node).spec
    expected = document.on_chain()
    if stated != expected:
        differing = [name for name in expected._fields if getattr(stated, name) != getattr(expected, name)]
        shown = "; ".join(
            f"{name} is {getattr(stated, name)!r} on-chain, {getattr(expected, name)!r} in the file"
            for name in differing
        )
        raise Refused(f"node {node} does not state this spec: {shown}")
    return sign(registry.attestation_digest(node), attestors)

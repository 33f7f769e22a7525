"""A node as operators list it, by their own transactions."""

from __future__ import annotations

from web3.constants import ADDRESS_ZERO

from wellhead.attestation import sign_all
from wellhead.chain import keys
from wellhead.chain.contracts.node_share_factory import ShareTerms
from wellhead.cli.session import Session
from wellhead.node_spec import SpecDocument


def list_node(session: Session, node: int, role: str) -> None:
    """Registered, attested, bonded, active, with a share."""
    spec = SpecDocument(
        name=f"node {node}", gpu_class="CPU", gpu_count=1, region="US-TX", power_watts=65, sla_bps=9_900
    )
    operator, registry = session.sender(role), session.registry
    operator.send(registry.register(spec.on_chain(), spec.data_uri()))
    attestors = [keys.local_account(f"attestor-{number}") for number in range(3)]
    operator.send(registry.attest(node, sign_all(registry, node, spec, attestors)))
    bond_usd6 = registry.required_bond_usd6(node)
    operator.send(session.usd.approve(registry.address, bond_usd6))
    operator.send(registry.call("depositBond", node, bond_usd6))
    operator.send(registry.activate(node))
    terms = ShareTerms("A Node", "NODE", 86_400, 1_000, ADDRESS_ZERO, ADDRESS_ZERO, 1_000 * 10**6)
    operator.send(session.factory.create(node, terms))

"""First part: a node is registered and attested, and its shares are sold."""

from __future__ import annotations

from typing import NamedTuple

from wellhead.attestation import sign_all
from wellhead.chain import keys
from wellhead.chain.contracts.node_share import NodeShare, Phase
from wellhead.chain.contracts.node_share_factory import ShareTerms
from wellhead.chain.contracts.offering import State, Terms
from wellhead.chain.revert import ContractRefused
from wellhead.demo.stage import Stage
from wellhead.node_spec import SpecDocument
from wellhead.units import ONE, format_amount, format_duration, format_time, format_usd

DAY_SECONDS = 86_400
# Of attested up-time, before the operator has the rest of the money.
DELIVERY_SECONDS = 3_600
NO_ADDRESS = "0x0000000000000000000000000000000000000000"
ATTESTORS = ("attestor-0", "attestor-1", "attestor-2")
# What each buyer orders. Together they miss the hard cap, so the sale runs until its end.
ORDERS = {"holder": 500 * ONE, "second-holder": 300 * ONE}

# The node of the demo is the machine that runs it: a processor that stands in for a GPU, and says so.
SPEC = SpecDocument(
    name="demo node",
    gpu_class="CPU-STAND-IN",
    gpu_count=1,
    region="US-TX",
    power_watts=65,
    sla_bps=9_900,
    models=("all-MiniLM-L6-v2",),
)


class Listed(NamedTuple):
    """A node whose shares are sold and earn. Money in usd6, shares in units."""

    node: int
    share: NodeShare
    raised_usd6: int
    bought: dict[str, int]
    closed_at: int


def list_node(stage: Stage) -> int:
    """Register, attest, bond and activate the demo's node; its id."""
    tell, operator = stage.narrator.tell, stage.sender("operator")
    stage.narrator.chapter("A node becomes a token")
    node: int = operator.send(stage.registry.register(SPEC.on_chain(), SPEC.data_uri())).result
    tell(
        "operator",
        f"registers node {node}: {SPEC.gpu_count} x {SPEC.gpu_class}, spec sha256 {SPEC.hash().hex()[:16]}…",
    )
    signers = [keys.local_account(role) for role in ATTESTORS]
    operator.send(stage.registry.attest(node, sign_all(stage.registry, node, SPEC, signers)))
    tell("attestors", f"{len(signers)} of 5 compared the spec and signed; node {node} is attested")
    bond = stage.registry.required_bond_usd6(node)
    operator.send(stage.usd.approve(stage.registry.address, bond))
    operator.send(stage.registry.deposit_bond(node, bond))
    operator.send(stage.registry.activate(node))
    tell("operator", f"puts a bond of {format_usd(bond)} behind it and activates it")
    return node


def sell_shares(stage: Stage, node: int) -> Listed:
    """Create the share, sell it to the holders, close the sale: the shares are live after."""
    narrator, operator = stage.narrator, stage.sender("operator")
    terms_of_share = ShareTerms(
        "Demo Node", "DEMO1", DAY_SECONDS, 1_000, NO_ADDRESS, stage.offering.address, 0
    )
    operator.send(stage.factory.create(node, terms_of_share))
    share = stage.factory.share_of(node)
    opens = stage.now()
    terms = Terms(
        price_usd6_per_share=10 * ONE,
        soft_cap_units=500 * ONE,
        hard_cap_units=1_000 * ONE,
        retained_units=250 * ONE,
        opens_at=opens,
        closes_at=opens + DAY_SECONDS,
        upfront_bps=2_000,
        delivery_seconds=DELIVERY_SECONDS,
        deliver_by=opens + 37 * DAY_SECONDS,
        deliver_hard_limit=opens + 67 * DAY_SECONDS,
        service_term_seconds=365 * DAY_SECONDS,
        floor_price_usd6_per_gpu_hour=50_000,
    )
    operator.send(stage.offering.open(node, terms))
    narrator.tell(
        "operator",
        f"offers {format_amount(terms.hard_cap_units)} {share.symbol()} at "
        f"{format_usd(terms.price_usd6_per_share)}, soft cap {format_amount(terms.soft_cap_units)}, "
        f"{terms.upfront_bps // 100} % released at the close, the rest after "
        f"{format_duration(terms.delivery_seconds)} of attested up-time",
    )
    raised = sum(_buy(stage, node, role, units) for role, units in ORDERS.items())
    _check_cap(stage, node, terms)
    stage.advance_to(terms.closes_at)
    operator.send(stage.offering.close(node))
    closed_at = stage.now()
    live, held = share.phase(), stage.usd.balance_of(stage.offering.address)
    narrator.tell(
        "anyone", f"closes the sale at {format_time(closed_at)}: {format_usd(raised)} raised, shares earn"
    )
    narrator.check(
        "sale",
        stage.offering.state_of(node) == State.DELIVERING and live == Phase.LIVE and held == raised,
        f"{format_usd(held)} in escrow of {format_usd(raised)} raised, shares {live.name.lower()}",
    )
    return Listed(node, share, raised, dict(ORDERS), closed_at)


def _buy(stage: Stage, node: int, role: str, units: int) -> int:
    buyer = stage.sender(role)
    cost = stage.offering.cost_up(node, units)
    buyer.send(stage.usd.approve(stage.offering.address, cost))
    paid: int = buyer.send(stage.offering.buy(node, units, cost, buyer.address)).result
    stage.narrator.tell(role, f"buys {format_amount(units)} shares for {format_usd(paid)}")
    return paid


def _check_cap(stage: Stage, node: int, terms: Terms) -> None:
    greedy = stage.sender("customer")
    try:
        greedy.simulate(stage.offering.buy(node, terms.hard_cap_units, 2**63, greedy.address))
        refused = "was accepted"
    except ContractRefused as refusal:
        refused = refusal.name
    stage.narrator.check("hard cap holds", refused.startswith("Offering_"), f"buying past it: {refused}")

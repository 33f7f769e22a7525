"""What buying in a sale costs a buyer who has bought before."""

from __future__ import annotations

from web3.constants import ADDRESS_ZERO

from wellhead.bench.stage import DAY_SECONDS, BenchStage
from wellhead.chain import local
from wellhead.chain.contracts.offering import Terms
from wellhead.units import ONE


def measure_offering(stage: BenchStage) -> dict[str, int]:
    """Gas of `offering_buy`: a repeat buyer, the allowance set before and larger than the cost."""
    node = stage.attested_node()
    stage.share(node, eligibility=ADDRESS_ZERO, issuer=stage.offering.address, supply_units=0)
    opens = local.chain_time(stage.w3)
    closes = opens + DAY_SECONDS
    terms = Terms(
        price_usd6_per_share=10 * ONE,
        soft_cap_units=500 * ONE,
        hard_cap_units=1_000 * ONE,
        retained_units=250 * ONE,
        opens_at=opens,
        closes_at=closes,
        upfront_bps=2_000,
        delivery_seconds=72 * 3_600,
        deliver_by=closes + 10 * DAY_SECONDS,
        deliver_hard_limit=closes + 20 * DAY_SECONDS,
        service_term_seconds=365 * DAY_SECONDS,
        floor_price_usd6_per_gpu_hour=ONE,
    )
    stage.sender("operator").send(stage.offering.open(node, terms))
    holder = stage.sender("holder")
    holder.send(stage.usd.approve(stage.offering.address, 10_000 * ONE))
    purchase = stage.offering.buy(node, 12_345_678, 200 * ONE, holder.address)
    holder.send(purchase)
    return {"offering_buy": stage.gas("holder", purchase)}

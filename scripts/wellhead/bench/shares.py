"""What a share's everyday transactions cost, in steady state: no slot is touched for the first time."""

from __future__ import annotations

from web3.constants import ADDRESS_ZERO

from wellhead.bench.stage import DAY_SECONDS, BenchStage
from wellhead.chain.contracts.node_share import NodeShare
from wellhead.units import ONE


def measure_shares(stage: BenchStage) -> dict[str, int]:
    """Gas of `share_transfer`, `share_transfer_listed`, `share_claim` and `share_sync`."""
    holders = [stage.address(role) for role in ("operator", "holder")]
    module = stage.create("EligibilityList", stage.address("owner"))
    listing = stage.w3.eth.contract(address=module, abi=_module_abi())  # type: ignore[call-overload]
    stage.sender("owner").send(listing.functions.setEligible(holders, True))

    share = _warm_share(stage, ADDRESS_ZERO)
    listed = _warm_share(stage, module)
    amount = 3 * ONE + 7
    return {
        "share_transfer": stage.gas("holder", share.transfer(holders[0], amount)),
        "share_transfer_listed": stage.gas("holder", listed.transfer(holders[0], amount)),
        "share_claim": stage.gas("holder", share.claim()),
        "share_sync": stage.gas("customer", share.sync()),
    }


def _warm_share(stage: BenchStage, eligibility: str) -> NodeShare:
    """A live share on which everything has happened once."""
    share = stage.share(
        stage.attested_node(), eligibility=eligibility, issuer=ADDRESS_ZERO, supply_units=1_000 * ONE
    )
    operator, customer, holder = (stage.sender(role) for role in ("operator", "customer", "holder"))
    operator.send(share.transfer(holder.address, 400 * ONE))
    customer.send(stage.usd.transfer(share.address, 90 * ONE))
    customer.send(share.sync())
    stage.pass_time(DAY_SECONDS // 3)
    holder.send(share.claim())
    customer.send(stage.usd.transfer(share.address, 12_345_678))
    stage.pass_time(DAY_SECONDS // 5)
    return share


def _module_abi() -> list[dict[str, object]]:
    from wellhead.chain.artifacts import load

    return load("EligibilityList").abi

"""The sale part of `wellhead shares`: offer, buy, close, refund."""

from __future__ import annotations

from typing import Annotated

import typer

from wellhead.chain.contracts.offering import Terms
from wellhead.cli.options import NodeArgument, SharesArgument
from wellhead.cli.session import Sending, refuse_early, sends
from wellhead.errors import Refused
from wellhead.units import (
    format_amount,
    format_time,
    format_usd,
    parse_amount,
    parse_bps,
    parse_duration,
)


@sends("operator")
def offer(
    cli: Sending,
    node: NodeArgument,
    price: Annotated[str, typer.Option("--price", help="Dollars per share.")],
    hard_cap: Annotated[str, typer.Option("--hard-cap", help="Shares on offer.")],
    soft_cap: Annotated[str, typer.Option("--soft-cap", help="Fewer sold than this: everybody is refunded.")],
    retained: Annotated[
        str, typer.Option("--retained", help="Shares the operator keeps if all are sold.")
    ] = "0",
    duration: Annotated[str, typer.Option("--duration", help="How long the sale is open.")] = "7d",
    upfront: Annotated[
        str, typer.Option("--upfront", help="Percent of the proceeds released at the close.")
    ] = "0",
    delivery: Annotated[
        str, typer.Option("--delivery", help="Attested up-time that delivers the node.")
    ] = "72h",
    deliver_within: Annotated[str, typer.Option("--deliver-within", help="After the close.")] = "30d",
    hard_limit: Annotated[
        str, typer.Option("--hard-limit", help="After the close, whatever is unknown.")
    ] = "60d",
    term: Annotated[str, typer.Option("--term", help="Service term after delivery.")] = "365d",
    floor_price: Annotated[
        str, typer.Option("--floor-price", help="Least dollars per GPU-hour in the term.")
    ] = "0",
) -> None:
    """Open the sale of a node's shares; the terms cannot change after."""
    length = parse_duration(duration, "sale duration")
    within, limit = parse_duration(deliver_within, "delivery time"), parse_duration(hard_limit, "hard limit")
    amounts = {
        "price_usd6_per_share": parse_amount(price, "price"),
        "soft_cap_units": parse_amount(soft_cap, "soft cap"),
        "hard_cap_units": parse_amount(hard_cap, "hard cap"),
        "retained_units": parse_amount(retained, "retained shares"),
        "upfront_bps": parse_bps(upfront, "upfront part"),
        "delivery_seconds": parse_duration(delivery, "delivery"),
        "service_term_seconds": parse_duration(term, "service term"),
        "floor_price_usd6_per_gpu_hour": parse_amount(floor_price, "floor price"),
    }
    session = cli.session
    session.share(node)
    opens = session.now()
    closes = opens + length
    terms = Terms(
        **amounts,
        opens_at=opens,
        closes_at=closes,
        deliver_by=closes + within,
        deliver_hard_limit=closes + limit,
    )
    cli.perform(
        session.offering.open(node, terms),
        f"offering of {hard_cap} shares of node {node} at ${price}, open until {format_time(closes)}",
    )


@sends("holder")
def buy(
    cli: Sending,
    node: NodeArgument,
    shares: SharesArgument,
    max_cost: Annotated[
        str | None, typer.Option("--max-cost", help="Refuse to pay more dollars than this.")
    ] = None,
) -> None:
    """Buy shares in the sale; allows the sale to take exactly the cost if it may not yet."""
    units = parse_amount(shares, "shares")
    limit = parse_amount(max_cost, "maximum cost") if max_cost is not None else None
    session = cli.session
    session.share(node)
    buyer = cli.sender
    cost = session.offering.cost_up(node, units)
    limit = cost if limit is None else limit
    approve = session.usd.approve(session.offering.address, cost)
    what = f"{format_amount(units)} shares of node {node} for {format_usd(cost)}"
    if not session.share(node).read("canReceive", buyer.address):
        raise Refused(f"{buyer.address} may not hold shares of node {node}: its eligibility module says no")
    purchase = session.offering.buy(node, units, limit, buyer.address)
    if session.usd.allowance(buyer.address, session.offering.address) < cost:
        refuse_early(buyer, purchase, session.usd, cost)
        if cli.dry_run:  # the purchase cannot be simulated before the allowance exists
            cli.perform(approve, f"allow {format_usd(cost)}, then {what}")
            return
        buyer.send(approve)
    cli.perform(purchase, what, details=lambda paid: {"units": units, "cost_usd6": paid})


@sends("operator")
def close(cli: Sending, node: NodeArgument) -> None:
    """Close a sale that ended: the shares start earning, or everybody can take a refund."""
    session = cli.session
    session.share(node)
    cli.perform(session.offering.close(node), f"sale of node {node} closed")


@sends("operator")
def abandon(cli: Sending, node: NodeArgument) -> None:
    """Give up a sale before it opens: what has reached the share becomes the operator's."""
    session = cli.session
    session.share(node)
    cli.perform(session.offering.abandon(node), f"the sale of node {node} will never open")


@sends("operator")
def withdraw(cli: Sending, node: NodeArgument) -> None:
    """Take out what the sale has released to the operator so far."""
    session = cli.session
    session.share(node)
    operator = cli.sender
    cli.perform(
        session.offering.withdraw(node, operator.address),
        f"what the sale of node {node} released is withdrawn",
        details=lambda paid: {"paid_usd6": paid},
    )


@sends("holder")
def refund(cli: Sending, node: NodeArgument, shares: SharesArgument) -> None:
    """Give shares of a failed sale back for their part of the money that was not released."""
    units = parse_amount(shares, "shares")
    session = cli.session
    session.share(node)
    holder = cli.sender
    cli.perform(
        session.offering.refund(node, units, holder.address),
        f"{shares} shares of node {node} given back",
        details=lambda paid: {"paid_usd6": paid},
    )

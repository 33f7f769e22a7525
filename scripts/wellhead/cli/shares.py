"""wellhead shares: make, sell, buy, hold and claim on the shares of a node."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import Console
from web3.constants import ADDRESS_ZERO

from wellhead.chain.contracts.node_share_factory import ShareTerms
from wellhead.chain.contracts.offering import State
from wellhead.cli import render, sale
from wellhead.cli.options import AccountArgument, NodeArgument, SharesArgument
from wellhead.cli.session import Reading, Sending, reads, sends
from wellhead.units import (
    format_amount,
    format_duration,
    format_time,
    format_usd,
    parse_address,
    parse_amount,
    parse_bps,
    parse_duration,
)

app = typer.Typer(
    help="Shares of a node: mint, offer, abandon, buy, close, withdraw, refund, sync, claim, payout, transfer, show.",
    no_args_is_help=True,
)

for verb in (sale.offer, sale.abandon, sale.buy, sale.close, sale.withdraw, sale.refund):
    app.command()(verb)


@app.command()
@sends("operator")
def mint(
    cli: Sending,
    node: NodeArgument,
    name: Annotated[str, typer.Option("--name", help="Name of the token.")],
    symbol: Annotated[str, typer.Option("--symbol", help="Symbol of the token.")],
    supply: Annotated[
        str | None, typer.Option("--supply", help="All shares to the operator, earning at once; no sale.")
    ] = None,
    tau: Annotated[str, typer.Option("--tau", help="Time constant of the income stream.")] = "1d",
    operator_cut: Annotated[
        str, typer.Option("--operator-cut", help="Percent of income to the operator.")
    ] = "10",
    eligibility: Annotated[
        str | None, typer.Option("--eligibility", help="Module that says who may hold.")
    ] = None,
) -> None:
    """Create the node's share token: for a sale, or with --supply all of it to the operator."""
    units = parse_amount(supply, "supply") if supply is not None else 0
    tau_seconds, cut_bps = parse_duration(tau, "tau"), parse_bps(operator_cut, "operator cut")
    module = parse_address(eligibility, "eligibility module") if eligibility else ADDRESS_ZERO
    session = cli.session
    session.registry.node(node)
    issuer = session.offering.address if supply is None else ADDRESS_ZERO
    terms = ShareTerms(name, symbol, tau_seconds, cut_bps, module, issuer, units)
    cli.perform(
        session.factory.create(node, terms),
        f"share token {symbol} of node {node}",
        details=lambda share: {"share": share},
    )


@app.command()
@sends("holder")
def sync(cli: Sending, node: NodeArgument) -> None:
    """Move income that has reached the share into its reservoir, in whole cents; anyone may."""
    cli.perform(
        cli.session.share(node).sync(),
        f"income of node {node} synced",
        details=lambda synced: {"synced": format_usd(synced), "synced_usd6": synced},
    )


@app.command()
@sends("holder")
def claim(
    cli: Sending,
    node: NodeArgument,
    account: Annotated[
        str | None, typer.Option("--for", help="Whose income; it is paid only to its owner.")
    ] = None,
    operator_cut: Annotated[
        bool,
        typer.Option("--operator-cut", help="The operator's cut of all income, in place of streamed income."),
    ] = False,
) -> None:
    """Take out the income that has streamed to your shares so far."""
    session = cli.session
    share = session.share(node)
    owner = session.address(account) if account is not None else cli.sender.address
    if operator_cut:
        owner = session.registry.node(node).operator
    cli.perform(
        share.claim_operator_credit() if operator_cut else share.claim_for(owner),
        f"income of {owner} on node {node} claimed",
        details=lambda paid: {"paid": format_usd(paid), "paid_usd6": paid, "paid_to": share.payout_of(owner)},
    )


@app.command()
@sends("holder")
def payout(cli: Sending, node: NodeArgument, to: AccountArgument) -> None:
    """Have your income of a node paid to another address from now on."""
    session = cli.session
    receiver = session.address(to)
    cli.perform(session.share(node).set_payout(receiver), f"income on node {node} goes to {receiver}")


@app.command()
@sends("holder")
def transfer(cli: Sending, node: NodeArgument, to: AccountArgument, shares: SharesArgument) -> None:
    """Transfer shares; income accrued so far stays with you."""
    units = parse_amount(shares, "shares")
    session = cli.session
    share = session.share(node)
    receiver = session.address(to)
    cli.perform(share.transfer(receiver, units), f"{shares} shares of node {node} to {receiver}")


@app.command()
@reads
def show(
    cli: Reading,
    node: NodeArgument,
    account: Annotated[
        str | None, typer.Option("--for", help="Also what this account holds and may claim.")
    ] = None,
) -> None:
    """Show a node's shares: sale, supply, income, and an account's part."""
    session = cli.session
    share = session.share(node)
    state = session.offering.state_of(node)
    data: dict[str, object] = {
        "node": node,
        "share": share.address,
        "symbol": share.symbol(),
        "phase": share.phase().name.lower(),
        "sale": state.name.lower(),
        "supply_units": share.total_supply(),
        "unsynced_usd6": share.unsynced_usd6(),
        "streaming_usd6": share.streaming_usd6(session.now()),
    }
    if state != State.NONE:
        data["terms"] = session.offering.terms_of(node)._asdict()
    if account is not None:
        holder = session.address(account)
        data |= {
            "account": holder,
            "balance_units": share.balance_of(holder),
            "claimable_usd6": share.claimable_usd6(holder),
        }
    render.emit(cli.as_json, data, lambda console: _draw(console, data))


def _draw(console: Console, data: dict[str, object]) -> None:
    pairs = []
    terms = data.get("terms")
    shown_terms = {f"sale {name}": value for name, value in terms.items()} if isinstance(terms, dict) else {}
    for name, value in {**data, **shown_terms}.items():
        if name == "terms":
            continue
        label, shown = name.replace("_", " "), str(value)
        if name.endswith("_usd6"):
            label, shown = label.removesuffix(" usd6"), format_usd(int(str(value)))
        elif "usd6_per" in name:
            label, shown = label.replace("usd6 ", ""), format_usd(int(str(value)))
        elif name.endswith(("_at", "_by", "_limit")) and value:
            shown = format_time(int(str(value)))
        elif name.endswith("_seconds"):
            label, shown = label.removesuffix(" seconds"), format_duration(int(str(value)))
        elif name.endswith("_units"):
            label, shown = label.removesuffix(" units"), f"{format_amount(int(str(value)))} shares"
        pairs.append((label, shown))
    console.print(render.facts(pairs))

"""wellhead usd: the stablecoin."""

from __future__ import annotations

from typing import Annotated

import typer

from wellhead.cli import render
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_NETWORK,
    AccountArgument,
    AsOption,
    DeploymentsOption,
    DryRunOption,
    JsonOption,
    NetworkOption,
)
from wellhead.cli.session import Session, perform
from wellhead.units import format_usd, parse_amount

app = typer.Typer(help="The stablecoin: faucet, balances, transfers.", no_args_is_help=True)


@app.command()
def faucet(
    to: AccountArgument,
    signer: AsOption = "customer",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Give test dollars to an account; the mock limits how often."""
    session = Session(network, deployments)
    account = session.address(to)
    call = session.usd.faucet(account)
    perform(session.sender(signer), call, f"test dollars to {account}", dry_run=dry_run, as_json=as_json)


@app.command()
def balance(
    account: AccountArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    as_json: JsonOption = False,
) -> None:
    """Show an account's dollars."""
    session = Session(network, deployments)
    address = session.address(account)
    usd6 = session.usd.balance_of(address)
    render.emit(as_json, {"account": address, "balance_usd6": usd6}, lambda c: c.print(f"{format_usd(usd6)}"))


@app.command()
def send(
    to: AccountArgument,
    amount: Annotated[str, typer.Argument(help="Dollars, at most six decimals.")],
    signer: AsOption = "customer",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Transfer dollars."""
    amount_usd6 = parse_amount(amount)
    session = Session(network, deployments)
    account = session.address(to)
    call = session.usd.transfer(account, amount_usd6)
    perform(
        session.sender(signer),
        call,
        f"{format_usd(amount_usd6)} to {account}",
        dry_run=dry_run,
        as_json=as_json,
    )

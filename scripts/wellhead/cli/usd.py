"""wellhead usd: the stablecoin."""

from __future__ import annotations

from typing import Annotated

import typer

from wellhead.cli import render
from wellhead.cli.options import AccountArgument
from wellhead.cli.session import Reading, Sending, reads, sends
from wellhead.units import format_usd, parse_amount

app = typer.Typer(help="The stablecoin: faucet, balances, transfers.", no_args_is_help=True)


@app.command()
@sends("customer")
def faucet(cli: Sending, to: AccountArgument) -> None:
    """Give test dollars to an account; the mock limits how often."""
    session = cli.session
    account = session.address(to)
    cli.perform(session.usd.faucet(account), f"test dollars to {account}")


@app.command()
@reads
def balance(cli: Reading, account: AccountArgument) -> None:
    """Show an account's dollars."""
    session = cli.session
    address = session.address(account)
    usd6 = session.usd.balance_of(address)
    render.emit(
        cli.as_json, {"account": address, "balance_usd6": usd6}, lambda c: c.print(f"{format_usd(usd6)}")
    )


@app.command()
@sends("customer")
def send(
    cli: Sending,
    to: AccountArgument,
    amount: Annotated[str, typer.Argument(help="Dollars, at most six decimals.")],
) -> None:
    """Transfer dollars."""
    amount_usd6 = parse_amount(amount)
    session = cli.session
    account = session.address(to)
    cli.perform(session.usd.transfer(account, amount_usd6), f"{format_usd(amount_usd6)} to {account}")

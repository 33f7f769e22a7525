"""wellhead infer: one paid call, each step in view."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape

from wellhead.cli import render
from wellhead.cli.options import DEFAULT_GATEWAY_URL
from wellhead.cli.session import Sending, sends
from wellhead.cli.spending import DEFAULT_PER_DAY, PerDayOption, SpentOption, open_limit
from wellhead.errors import Refused
from wellhead.units import format_duration, format_usd, parse_amount

if TYPE_CHECKING:
    from wellhead.customer.infer import PaidCall, Terms

SHOWN_NUMBERS = 4


@sends("customer")
def infer(
    cli: Sending,
    texts: Annotated[list[str], typer.Argument(help="Texts to embed.")],
    gateway: Annotated[str, typer.Option("--gateway", help="Root of the gateway.")] = DEFAULT_GATEWAY_URL,
    model: Annotated[str | None, typer.Option("--model", help="Default: the first that is served.")] = None,
    most: Annotated[str, typer.Option("--max", help="The dearest offer to accept, in dollars.")] = "0.01",
    deposit: Annotated[
        str,
        typer.Option(
            "--deposit", help="How much to deposit at a time, in dollars; unspent money can be had back."
        ),
    ] = "1",
    per_day: PerDayOption = DEFAULT_PER_DAY,
    spent: SpentOption = None,
    refund: Annotated[
        bool, typer.Option("--refund", help="Afterwards have what the channel has left given back.")
    ] = False,
) -> None:
    """Embed texts by one paid call, showing 402, voucher, answer and receipt."""
    # x402 takes a second to import: only those who pay wait for it.
    from wellhead.customer.clients import open_purse
    from wellhead.customer.infer import Customer

    most_usd6, deposit_usd6 = parse_amount(most, "--max"), parse_amount(deposit, "--deposit")
    session = cli.session
    account, limit = cli.sender.account, open_limit(session, spent, per_day)
    purse = open_purse(
        *(account, session.network.rpc_url, session.manifest.usd, most_usd6, deposit_usd6), limit=limit
    )
    with Customer(gateway, purse) as customer:
        chosen = model or _first(customer.models(), gateway)
        if cli.dry_run:
            terms = customer.quote(chosen, texts)
            quoted = {"would_pay": asdict(terms), "model": chosen, "from": account.address}
            render.emit(cli.as_json, quoted, lambda console: _draw_terms(console, terms))
            return
        call = customer.infer(chosen, texts)
        refunded_usd6 = customer.refund() if refund else 0
    facts = {**asdict(call), "refunded_usd6": refunded_usd6}
    render.emit(cli.as_json, facts, lambda console: _draw(console, call, refunded_usd6))


def _first(models: list[str], gateway: str) -> str:
    if not models:
        raise Refused(f"{gateway} serves no model")
    return models[0]


def _draw_terms(console: Console, terms: Terms) -> None:
    console.print("[bold]402[/] payment required")
    _facts(
        console,
        ("at most", format_usd(terms.ceiling_usd6)),
        ("to", terms.pay_to),
        ("in", f"{terms.asset} on {terms.network}"),
        ("scheme", f"{terms.scheme}, money back within {format_duration(terms.withdraw_delay_seconds)}"),
    )


def _draw(console: Console, call: PaidCall, refunded_usd6: int) -> None:
    _draw_terms(console, call.terms)
    console.print("[bold]voucher[/] signed" + (", with a deposit" if call.payment.deposit_usd6 else ""))
    deposit = [("deposit", format_usd(call.payment.deposit_usd6))] if call.payment.deposit_usd6 else []
    _facts(
        console,
        ("from", call.payment.payer),
        ("channel", call.payment.channel_id),
        *deposit,
        ("ceiling", f"{format_usd(call.payment.ceiling_usd6)} of the channel, in all"),
        ("signature", call.payment.signature),
    )
    console.print(f"[bold]200[/] {escape(call.answer.model)}")
    vectors = [_vector(item["embedding"]) for item in call.answer.body["data"]]
    _facts(
        console,
        ("tokens", str(call.answer.prompt_tokens)),
        *((f"vector {number}", vector) for number, vector in enumerate(vectors)),
    )
    console.print("[bold]receipt[/]")
    receipt = call.receipt
    shown = [
        ("charged", format_usd(receipt.charged_usd6)),
        (
            "channel",
            f"{format_usd(receipt.charged_in_all_usd6)} charged of {format_usd(receipt.channel_balance_usd6)}",
        ),
        ("transaction", receipt.transaction or "none: a signature was enough"),
    ]
    if refunded_usd6:
        shown.append(("given back", format_usd(refunded_usd6)))
    _facts(console, *shown)


def _vector(numbers: list[Any]) -> str:
    shown = ", ".join(f"{float(number):.4f}" for number in numbers[:SHOWN_NUMBERS])
    return f"[{shown}, …] {len(numbers)} numbers" if len(numbers) > SHOWN_NUMBERS else f"[{shown}]"


def _facts(console: Console, *pairs: tuple[str, str]) -> None:
    console.print(render.facts([(f"  {name}", value) for name, value in pairs]))

"""The customers' part of `wellhead gateway`: a local endpoint that pays."""

from __future__ import annotations

from typing import Annotated

import typer

from wellhead.chain import keys
from wellhead.cli import render
from wellhead.cli.options import DEFAULT_GATEWAY_HOST, DEFAULT_GATEWAY_PORT, DEFAULT_GATEWAY_URL, AsOption
from wellhead.cli.session import Reading, reads
from wellhead.cli.spending import DEFAULT_PER_DAY, PerDayOption, SpentOption, open_limit
from wellhead.units import parse_amount


@reads
def proxy(
    cli: Reading,
    gateway: Annotated[
        str, typer.Option("--gateway", help="Root of the gateway that is paid.")
    ] = DEFAULT_GATEWAY_URL,
    most: Annotated[str, typer.Option("--max", help="The dearest call to accept, in dollars.")] = "0.01",
    deposit: Annotated[str, typer.Option("--deposit", help="How much to deposit at a time.")] = "1",
    per_day: PerDayOption = DEFAULT_PER_DAY,
    spent: SpentOption = None,
    signer: AsOption = "customer",
    host: Annotated[
        str, typer.Option("--host", help="Whoever reaches it spends your money.")
    ] = DEFAULT_GATEWAY_HOST,
    port: Annotated[int, typer.Option("--port", min=1, max=65_535)] = DEFAULT_GATEWAY_PORT + 1,
) -> None:
    """A local endpoint that pays: point any OpenAI-compatible program's base URL at it, until Ctrl-C."""
    from wellhead.customer.clients import open_purse
    from wellhead.customer.proxy import create_proxy, serve_proxy

    session = cli.session
    limit = open_limit(session, spent, per_day)
    account = keys.load_signer(signer, local_chain=session.local)
    purse = open_purse(
        *(account, session.network.rpc_url, session.manifest.usd, parse_amount(most, "--max")),
        parse_amount(deposit, "--deposit"),
        limit=limit,
    )

    def announce(url: str) -> None:
        facts = {
            "base_url": f"{url}/v1",
            "gateway": gateway,
            "payer": account.address,
            "spent_today_usd6": limit.spent_usd6,
            "per_day_usd6": parse_amount(per_day, "--per-day"),
        }
        pairs = [render.fact(name, value) for name, value in facts.items()]
        render.emit(cli.as_json, facts, lambda console: console.print(render.facts(pairs)))

    serve_proxy(create_proxy(gateway, purse), host, port, announce)

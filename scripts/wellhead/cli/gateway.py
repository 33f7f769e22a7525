"""wellhead gateway: sell a node's inference by the call."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, NamedTuple

import typer
from pydantic import ValidationError
from rich.console import Console
from rich.table import Table

from wellhead.chain import keys
from wellhead.chain.contracts.compute_pool import ComputePool
from wellhead.cli import render
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_GATEWAY_HOST,
    DEFAULT_GATEWAY_PORT,
    DEFAULT_GATEWAY_URL,
    DEFAULT_NETWORK,
    AsOption,
    DeploymentsOption,
    DryRunOption,
    JsonOption,
    NetworkOption,
)
from wellhead.cli.proxy import proxy
from wellhead.cli.session import Reading, Session, reads
from wellhead.errors import Misused
from wellhead.gateway.config import GatewayConfig
from wellhead.units import format_usd, parse_amount, parse_duration

LedgerOption = Annotated[
    str | None,
    typer.Option(
        "--ledger", help="Database of the channels, as SQLAlchemy writes it; default: a file per node."
    ),
]

PaidNodeArgument = Annotated[
    int | None, typer.Argument(min=1, help="Node whose shares are paid; or see --pool.")
]
PoolOption = Annotated[
    str | None, typer.Option("--pool", help="Pool that is paid in place of one node: its name or address.")
]

app = typer.Typer(
    help="The x402 gateway before a node: run, settle, status; and proxy, for customers.",
    no_args_is_help=True,
)


@app.command()
def run(
    upstreams: Annotated[
        list[str],
        typer.Option(
            "--upstream",
            help="Root of an OpenAI-shaped server, of a pool NODE=ROOT; repeat it for several.",
        ),
    ],
    node: PaidNodeArgument = None,
    pool: PoolOption = None,
    price: Annotated[
        str | None, typer.Option("--price", help="Dollars per call of any model, at most six decimals.")
    ] = None,
    prices: Annotated[
        Path | None, typer.Option("--prices", help="A price file instead: per call and token, per model.")
    ] = None,
    signer: AsOption = "facilitator",
    authorizer: Annotated[
        str, typer.Option("--authorizer", help="Who signs claims and refunds for the receiver.")
    ] = "authorizer",
    ledger: LedgerOption = None,
    withdraw_delay: Annotated[
        str, typer.Option("--withdraw-delay", help="How long a payer waits to withdraw without the gateway.")
    ] = "1d",
    min_deposit: Annotated[
        str, typer.Option("--min-deposit", help="Least dollars of a deposit, whose gas the gateway pays.")
    ] = "0.01",
    claim_value: Annotated[
        str, typer.Option("--claim-value", help="Claim when so many dollars are charged and not claimed.")
    ] = "5",
    claim_age: Annotated[
        str, typer.Option("--claim-age", help="Claim what has waited so long, whatever it is.")
    ] = "1h",
    claim_channel: Annotated[
        str, typer.Option("--claim-channel", help="Less dollars in a channel wait for their age.")
    ] = "0.01",
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = DEFAULT_GATEWAY_HOST,
    port: Annotated[
        int, typer.Option("--port", min=0, max=65_535, help="0 takes any free one.")
    ] = DEFAULT_GATEWAY_PORT,
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Charge for every call to a node and pay its share contract, or a pool of nodes, until Ctrl-C.

    Whoever signs pays the gas of the settlements and must do nothing else with that key meanwhile.
    """
    # x402 and its server take a second to import: only those who run a gateway wait for it.
    from wellhead.gateway.facilitator import Facilitator
    from wellhead.gateway.pool.receipts import require_ours
    from wellhead.gateway.price_file import price_list
    from wellhead.gateway.serve import serve

    models = price_list(price, prices)
    session = Session(network, deployments)
    receiver = _receiver(session, node, pool)
    members, roots = _members_of(upstreams) if pool else ((), upstreams)
    try:
        config = GatewayConfig(
            host=host,
            port=port,
            upstreams=roots,  # type: ignore[arg-type]  # pydantic parses them
            members=members,
            rpc_url=session.network.rpc_url,
            chain_id=session.network.chain_id,
            asset=session.manifest.usd,
            pay_to=receiver.address,
            settle_router=session.manifest.address("SettleRouter"),
            models=models,
            ledger_url=ledger or _ledger_of(session, receiver),
            withdraw_delay_seconds=parse_duration(withdraw_delay, "--withdraw-delay"),
            min_deposit_usd6=parse_amount(min_deposit, "--min-deposit"),
            claim_value_usd6=parse_amount(claim_value, "--claim-value"),
            claim_age_seconds=parse_duration(claim_age, "--claim-age"),
            claim_channel_usd6=parse_amount(claim_channel, "--claim-channel"),
        )
    except ValidationError as error:
        problem = error.errors()[0]
        raise Misused(f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}") from None
    account, signing = (keys.load_signer(key, local_chain=session.local) for key in (signer, authorizer))
    facts = {
        **receiver.shown,
        "upstreams": upstreams,
        "models": [model.model_dump(exclude_none=True) for model in models],
        "pay_to": config.pay_to,
        "asset": config.asset,
        "network": config.network,
        "facilitator": account.address,
        "authorizer": signing.address,
        "ledger": config.ledger_url,
        "withdraw_delay_seconds": config.withdraw_delay_seconds,
        "min_deposit_usd6": config.min_deposit_usd6,
        "claim_value_usd6": config.claim_value_usd6,
        "claim_age_seconds": config.claim_age_seconds,
    }
    if dry_run:
        Facilitator(config, account)
        if members:
            require_ours(config, ComputePool(session.w3, config.pay_to), signing.address)
        _show({"would_serve": True, **facts}, as_json)
        return
    serve(config, account, signing, lambda url: _show({"url": url, **facts}, as_json))


app.command()(proxy)


@app.command()
def status(
    url: Annotated[str, typer.Argument(help="Root of the gateway.")] = DEFAULT_GATEWAY_URL,
    as_json: JsonOption = False,
) -> None:
    """Show what a running gateway sells for how much, who is paid, and what is still to be claimed."""
    from wellhead.gateway.status import ask

    _show({"url": url, **ask(url)}, as_json)


@app.command()
@reads
def settle(
    cli: Reading,
    node: PaidNodeArgument = None,
    pool: PoolOption = None,
    authorizer: Annotated[
        str, typer.Option("--authorizer", help="Who signs claims for the receiver and pays their gas.")
    ] = "authorizer",
    ledger: LedgerOption = None,
    patience: Annotated[str, typer.Option("--patience", help="How long to wait for it, like 2m.")] = "2m",
) -> None:
    """Claim everything that was charged, now. A gateway that runs over the same ledger does it, if there is one."""
    from wellhead.gateway.assembly import open_settler
    from wellhead.gateway.channels.ledger import Ledger

    session = cli.session
    url = ledger or _ledger_of(session, _receiver(session, node, pool))
    signing = keys.load_signer(authorizer, local_chain=session.local)
    settler = open_settler(session.w3, session.manifest.address("SettleRouter"), signing, Ledger(url), url)
    try:
        done = settler.settle_now(parse_duration(patience, "--patience"))
    finally:
        settler.stop()
    facts = {**done._asdict(), "unclaimed_usd6": settler.status().unclaimed_usd6}
    pairs = [_fact(name, value) for name, value in facts.items()]
    render.emit(cli.as_json, facts, lambda console: console.print(render.facts(pairs)))


class _Receiver(NamedTuple):
    """Who is paid: a node's share contract, or a pool."""

    address: str
    # In the name of the ledger's file.
    label: str
    shown: dict[str, Any]


def _receiver(session: Session, node: int | None, pool: str | None) -> _Receiver:
    if (node is None) == (pool is None):
        raise Misused("name who is paid: a node, or by --pool a pool, and not both")
    if pool is not None:
        address = session.pool(pool).address
        return _Receiver(address, f"pool-{address[2:10].lower()}", {"pool": pool})
    assert node is not None
    return _Receiver(session.share(node).address, str(node), {"node": node})


def _members_of(upstreams: list[str]) -> tuple[tuple[int, ...], list[str]]:
    """The members and their servers, in one order."""
    members, roots = [], []
    for text in upstreams:
        node, equals, root = text.partition("=")
        if not (equals and node.isascii() and node.isdigit()):
            raise Misused(
                f"--upstream {text!r}: of a pool say whose server it is, like 7=http://127.0.0.1:8600"
            )
        members.append(int(node))
        roots.append(root)
    return tuple(members), roots


def _ledger_of(session: Session, receiver: _Receiver) -> str:
    """A file per receiver and chain."""
    return f"sqlite:///{session.of_this_chain('gateway', f'{receiver.label}.db')}"


def _show(facts: dict[str, Any], as_json: bool) -> None:
    def draw(console: Console) -> None:
        console.print(render.facts([_fact(name, value) for name, value in facts.items() if name != "models"]))
        console.print(_price_table(facts["models"]))

    render.emit(as_json, facts, draw)


def _fact(name: str, value: Any) -> tuple[str, str]:
    if name == "nodes":
        return name, "; ".join(f"{node['url']}, {node['under_way']} calls under way" for node in value)
    return render.fact(name, value)


def _price_table(models: list[dict[str, Any]]) -> Table:
    rates = ("usd6_per_call", "usd6_per_million_input_tokens", "usd6_per_million_output_tokens")
    rows = [[model["id"], *(format_usd(model[rate]) for rate in rates)] for model in models]
    return render.table(("model", "per call", "per million tokens in", "out"), rows)

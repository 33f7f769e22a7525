"""wellhead pool: many nodes of one class behind one receiver, paid by their work."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Annotated, Any

import typer
from requests.exceptions import RequestException
from rich.console import Console
from web3.exceptions import Web3Exception

from wellhead.chain.contracts.compute_pool import ComputePool, PoolTerms
from wellhead.cli import render
from wellhead.cli.options import DEFAULT_GATEWAY_URL, AccountArgument, AsOption, NodeArgument, PoolArgument
from wellhead.cli.session import Reading, Sending, reads, sends
from wellhead.errors import Misused
from wellhead.units import format_duration, format_usd, parse_amount, parse_duration

app = typer.Typer(
    help="Pools of nodes: create, list, show, admit, join, resign, dismiss, expel, set-gateway, keep.",
    no_args_is_help=True,
)


@app.command()
@sends("owner")
def create(
    cli: Sending,
    name: Annotated[str, typer.Argument(help="What to call it here; at most 32 characters.")],
    gpu_class: Annotated[str, typer.Option("--class", help="Only nodes of this GPU class may join.")],
    gateway: Annotated[
        str, typer.Option("--gateway", help="Whose receipts count: the key that signs for the gateway.")
    ] = "authorizer",
    tau: Annotated[str, typer.Option("--tau", help="Time constant with which income drains.")] = "7d",
    period: Annotated[str, typer.Option("--period", help="Length of a period: whole windows.")] = "1d",
    collecting: Annotated[
        str, typer.Option("--collecting", help="Time to record the work of a period.")
    ] = "12h",
) -> None:
    """Make a pool that belongs to whoever signs; the terms cannot change after."""
    from wellhead.deploy.pool import gas_of_pool, make_pool

    session = cli.session
    length, window = parse_duration(period, "--period"), session.oracle.window_seconds()
    if length % window:
        raise Misused(f"--period {period} is not a whole number of windows of {format_duration(window)}")
    terms = PoolTerms(
        gpu_class, parse_duration(tau, "--tau"), length // window, parse_duration(collecting, "--collecting")
    )
    sender, key = cli.sender, session.address(gateway)
    data: dict[str, Any] = {"name": name, "gpu_class": gpu_class, "gateway": key, "owner": sender.address}
    if cli.dry_run:
        data["gas_estimate"] = gas_of_pool(sender, session.manifest, name, key, terms)
    else:
        made = make_pool(sender, session.manifest, cli.deployments, name, key, terms)
        data |= {"pool": made.address, "transaction": made.transaction or "none: it is there"}
    _show(data, cli.as_json)


@app.command("list")
@reads
def list_pools(cli: Reading) -> None:
    """List the pools that were made on this deployment from here."""
    session = cli.session
    pools: list[dict[str, Any]] = [
        {
            "name": name,
            "pool": entry.address,
            "gpu_class": session.pool(name).terms().gpu_class,
            "level_usd6": session.pool(name).flow().level_usd6,
        }
        for name, entry in session.manifest.pools.items()
    ]
    rows = [[pool["name"], pool["pool"], pool["gpu_class"], format_usd(pool["level_usd6"])] for pool in pools]
    render.emit(
        cli.as_json,
        {"pools": pools},
        lambda console: console.print(render.table(("pool", "address", "class", "not released"), rows)),
    )


@app.command()
@reads
def show(cli: Reading, pool: PoolArgument) -> None:
    """Show a pool's money, its periods and what its members have earned."""
    session = cli.session
    found = session.pool(pool)
    now, schedule, flow = session.now(), found.schedule(), found.flow()
    period = schedule.period_at(now)
    facts: dict[str, Any] = {
        "pool": found.address,
        "gpu_class": found.terms().gpu_class,
        "owner": found.owner(),
        "gateway": found.gateway(),
        "tau_seconds": schedule.tau_seconds,
        "period_seconds": schedule.period_seconds,
        "current_period": period,
        "current_period_ends_at": schedule.end_of(period),
        "unsynced_usd6": found.unsynced_usd6(),
        "level_usd6": flow.level_usd6,
        "to_be_paid_usd6": flow.accounted_usd6 - flow.level_usd6,
        "open_period": flow.open_period,
    }
    members = [_member(found, node, period) for node in found.joined_nodes()]
    columns = ("node", "member", "work recorded", "of period", "claimable")
    rows = [
        [
            *(str(member["node"]), "yes" if member["member"] else "no", f"{member['work_units']:,}"),
            *(str(member["work_period"]), format_usd(member["claimable_usd6"])),
        ]
        for member in members
    ]

    def draw(console: Console) -> None:
        console.print(render.facts([render.fact(*fact) for fact in facts.items()]))
        console.print(render.table(columns, rows))

    render.emit(cli.as_json, {**facts, "members": members}, draw)


def _member(pool: ComputePool, node: int, period: int) -> dict[str, Any]:
    account = pool.account_of(node)
    return {
        "node": node,
        "member": pool.membership_of(node).covers(max(1, period)),
        "work_units": account.work_units,
        "work_period": account.period,
        "claimable_usd6": pool.claimable_usd6(node),
        "share": pool.share_of(node),
    }


# Members --------------------------------------------------------------------------------------------


def _node_verb(verb: str, role: str, did: str) -> Callable[..., None]:
    """The command that calls the pool's function `verb` for a node; `role` signs where nobody else is named."""

    @sends(role)
    def command(cli: Sending, pool: PoolArgument, node: NodeArgument) -> None:
        session = cli.session
        session.registry.node(node)
        cli.perform(session.pool(pool).call(verb, node), f"node {node} {did} {pool}")

    return command


for _verb, _role, _did, _help in (
    ("admit", "owner", "is admitted to", "Let a node's operator join it; the pool's owner only."),
    (
        "join",
        "operator",
        "joins",
        "Make an admitted node a member from the next period on; its operator only.",
    ),
    ("resign", "operator", "resigns from", "End a membership with the period under way; its operator only."),
    ("dismiss", "owner", "is dismissed from", "End a membership and the admission; the pool's owner only."),
    (
        "expel",
        "operator",
        "is expelled from",
        "End the membership of a node that is not active any more; anyone.",
    ),
):
    app.command(_verb, help=_help)(_node_verb(_verb, _role, _did))


@app.command("set-gateway")
@sends("owner")
def set_gateway(cli: Sending, pool: PoolArgument, gateway: AccountArgument) -> None:
    """Name another key whose receipts count, as after the loss of a key or of a ledger; the pool's owner only."""
    session = cli.session
    key = session.address(gateway)
    cli.perform(session.pool(pool).set_gateway(key), f"{key} signs for {pool}")


# Keeping --------------------------------------------------------------------------------------------


@app.command()
@reads
def keep(
    cli: Reading,
    pool: PoolArgument,
    gateway: Annotated[
        str, typer.Option("--gateway", help="Root of the gateway that signs the pool's receipts.")
    ] = DEFAULT_GATEWAY_URL,
    proofs: Annotated[
        str | None,
        typer.Option(
            "--proofs", help="Root of a reporter that serves the records of rounds that only name a root."
        ),
    ] = None,
    least: Annotated[
        str, typer.Option("--least", help="Less dollars than this are not worth the gas to move them.")
    ] = "1",
    every: Annotated[str, typer.Option("--every", help="How often to look.")] = "5m",
    once: Annotated[bool, typer.Option("--once", help="Look once, as from cron.")] = False,
    signer: AsOption = "operator",
) -> None:
    """Bring income, evidence and payouts through a pool as they are due, until Ctrl-C. Anyone may.

    Whoever signs pays the gas and must do nothing else with that key meanwhile.
    """
    from wellhead.oracle.records.peer import RecordPeer
    from wellhead.pool.keeper import Keeper, Look

    min_usd6, pause = max(1, parse_amount(least, "--least")), parse_duration(every, "--every")
    session = cli.session
    peer = None if proofs is None else RecordPeer(proofs)
    keeper = Keeper(session.pool(pool), session.sender(signer), gateway, min_usd6, peer)
    while True:
        try:
            look = keeper.look()
        except (RequestException, Web3Exception) as error:
            if once:
                raise
            look = Look(0, [], [f"the chain does not answer: {type(error).__name__}"])
        data = {"period": look.period, "steps": [step._asdict() for step in look.steps]}
        data["problems"] = look.problems
        render.emit(cli.as_json, data, lambda console, look=look: _draw_look(console, look))  # type: ignore[misc]
        if once:
            return
        time.sleep(pause)


def _draw_look(console: Console, look: Any) -> None:
    console.print(f"period {look.period}: {len(look.steps)} steps")
    for step in look.steps:
        amount = f"{step.work_units:,} tokens" if step.work_units else format_usd(step.amount_usd6)
        about = "" if step.node is None else f" node {step.node}"
        of = "" if step.period is None else f" of period {step.period}"
        console.print(render.plain(f"  {step.what}{about}{of}: {amount}"))
    for problem in look.problems:
        console.print(render.plain(f"  not done: {problem}"))


def _show(data: dict[str, Any], as_json: bool) -> None:
    pairs = [render.fact(name, value) for name, value in data.items()]
    render.emit(as_json, data, lambda console: console.print(render.facts(pairs)))

"""wellhead node: list a node, have it attested, bond it, follow its life."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wellhead import attestation
from wellhead.chain.contracts.node_registry import Node
from wellhead.cli import render
from wellhead.cli.options import NodeArgument
from wellhead.cli.session import Reading, Sending, reads, refuse_early, sends
from wellhead.node_spec import read_spec
from wellhead.units import format_time, format_usd, parse_amount

app = typer.Typer(
    help="Nodes: register, attest, bond, activate, suspend, retire, list, show.", no_args_is_help=True
)

SpecArgument = Annotated[Path, typer.Argument(help="JSON spec of the node.")]


@app.command()
@sends("operator")
def register(
    cli: Sending,
    spec: SpecArgument,
    uri: Annotated[
        str | None, typer.Option("--uri", help="Where the spec is published; else it is inlined.")
    ] = None,
) -> None:
    """Register a node; whoever signs becomes its operator."""
    document = read_spec(spec)
    cli.perform(
        cli.session.registry.register(document.on_chain(), uri or document.data_uri()),
        f"registered {document.name}, {document.gpu_count} x {document.gpu_class}",
        details=lambda node: {"node": node, "spec_sha256": document.hash().hex()},
    )


@app.command()
@sends("operator")
def attest(
    cli: Sending,
    node: NodeArgument,
    spec: SpecArgument,
    attestors: Annotated[
        list[str], typer.Option("--by", help="An attestor's keystore file or local role; once for each.")
    ],
) -> None:
    """Have a quorum of attestors vouch for a node's spec.

    Each signs only what the spec file says; a node that states something else on-chain is refused.
    """
    document = read_spec(spec)
    session = cli.session
    signatures = attestation.sign_all(
        session.registry, node, document, [session.sender(reference).account for reference in attestors]
    )
    cli.perform(session.registry.attest(node, signatures), f"node {node} attested")


@app.command()
@sends("operator")
def bond(
    cli: Sending,
    node: NodeArgument,
    amount: Annotated[str, typer.Argument(help="Dollars.")],
) -> None:
    """Put a bond behind a node; allows the registry to take exactly the amount if it may not yet."""
    amount_usd6 = parse_amount(amount, "bond")
    session = cli.session
    session.registry.node(node)
    sender = cli.sender
    what = f"bond of {format_usd(amount_usd6)} behind node {node}"
    deposit = session.registry.deposit_bond(node, amount_usd6)
    if session.usd.allowance(sender.address, session.registry.address) < amount_usd6:
        refuse_early(sender, deposit, session.usd, amount_usd6)
        approve = session.usd.approve(session.registry.address, amount_usd6)
        if cli.dry_run:
            cli.perform(approve, f"allow {format_usd(amount_usd6)}, then {what}")
            return
        sender.send(approve)
    cli.perform(deposit, what)


@app.command()
@sends("operator")
def unbond(
    cli: Sending,
    node: NodeArgument,
    amount: Annotated[
        str | None, typer.Argument(help="Dollars to ask for; leave out to take what is ripe.")
    ] = None,
) -> None:
    """Ask for a part of the bond, and after the delay take it."""
    session = cli.session
    session.registry.node(node)
    sender = cli.sender
    if amount is None:
        call = session.registry.withdraw_bond(node, sender.address)
        what = f"bond of node {node} withdrawn"
    else:
        call = session.registry.request_bond_withdrawal(node, parse_amount(amount, "bond"))
        what = f"withdrawal of ${amount} from the bond of node {node} requested"
    cli.perform(call, what)


@app.command()
@sends("operator")
def activate(cli: Sending, node: NodeArgument) -> None:
    """Put an attested and bonded node to work."""
    registry = cli.session.registry
    registry.node(node)
    cli.perform(registry.activate(node), f"node {node} active")


@app.command()
@sends("operator")
def suspend(cli: Sending, node: NodeArgument) -> None:
    """Take a node out of work; what the guardian suspends, the guardian resumes."""
    registry = cli.session.registry
    registry.node(node)
    cli.perform(registry.suspend(node), f"node {node} suspended")


@app.command()
@sends("operator")
def retire(cli: Sending, node: NodeArgument) -> None:
    """End a node's life, once nobody counts on it any more."""
    registry = cli.session.registry
    registry.node(node)
    cli.perform(registry.retire(node), f"node {node} retired")


@app.command("list")
@reads
def list_nodes(cli: Reading) -> None:
    """List every node."""
    session = cli.session
    nodes = [(number, session.registry.node(number)) for number in range(1, session.registry.count() + 1)]
    rows = [
        (
            str(number),
            node.spec.gpu_class,
            str(node.spec.gpu_count),
            node.spec.region,
            node.status.name.lower(),
            f"{node.spec.sla_bps / 100:.2f} %",
            format_usd(node.bond_usd6),
        )
        for number, node in nodes
    ]
    columns = ["node", "class", "GPUs", "region", "status", "SLA", "bond"]
    render.emit(
        cli.as_json,
        {"nodes": [_data(number, node) for number, node in nodes]},
        lambda console: console.print(
            render.table(columns, rows) if rows else "no nodes yet: `wellhead node register SPEC.json`"
        ),
    )


@app.command()
@reads
def show(cli: Reading, node: NodeArgument) -> None:
    """Show one node: spec, status, bond, obligations, last oracle record."""
    session = cli.session
    data = _data(node, session.registry.node(node))
    record = session.oracle.latest_record(node)
    data["latest_record"] = asdict(record)
    if session.factory.has_share(node):
        data["share"] = session.factory.share_of(node).address
    pairs = [(name.replace("_", " "), _show(name, value)) for name, value in data.items()]
    render.emit(cli.as_json, data, lambda console: console.print(render.facts(pairs)))


def _show(name: str, value: object) -> str:
    if name.endswith("_usd6"):
        return format_usd(int(str(value)))
    if name in ("registered_at", "committed_until"):
        return format_time(int(str(value))) if value else "not"
    if isinstance(value, dict):
        return ", ".join(f"{key.replace('_', ' ')} {part}" for key, part in value.items())
    return str(value)


def _data(number: int, node: Node) -> dict[str, object]:
    return {
        "node": number,
        "operator": node.operator,
        "status": node.status.name.lower(),
        "gpu_class": node.spec.gpu_class,
        "gpu_count": node.spec.gpu_count,
        "region": node.spec.region,
        "power_watts": node.spec.power_watts,
        "sla_bps": node.spec.sla_bps,
        "spec_sha256": node.spec.spec_hash.hex(),
        "bond_usd6": node.bond_usd6,
        "registered_at": node.registered_at,
        "committed_until": node.committed_until,
        "holds": node.holds,
    }

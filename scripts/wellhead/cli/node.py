"""wellhead node: list a node, have it attested, bond it, follow its life."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from wellhead import attestation
from wellhead.chain.contracts.node_registry import Node
from wellhead.cli import render
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_NETWORK,
    AsOption,
    DeploymentsOption,
    DryRunOption,
    JsonOption,
    NetworkOption,
    NodeArgument,
)
from wellhead.cli.session import Session, perform, refuse_early
from wellhead.node_spec import read_spec
from wellhead.units import format_time, format_usd, parse_amount

app = typer.Typer(
    help="Nodes: register, attest, bond, activate, suspend, retire, list, show.", no_args_is_help=True
)

SpecArgument = Annotated[Path, typer.Argument(help="JSON spec of the node.")]


@app.command()
def register(
    spec: SpecArgument,
    uri: Annotated[
        str | None, typer.Option("--uri", help="Where the spec is published; else it is inlined.")
    ] = None,
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Register a node; whoever signs becomes its operator."""
    document = read_spec(spec)
    session = Session(network, deployments)
    perform(
        session.sender(signer),
        session.registry.register(document.on_chain(), uri or document.data_uri()),
        f"registered {document.name}, {document.gpu_count} x {document.gpu_class}",
        dry_run=dry_run,
        as_json=as_json,
        details=lambda node: {"node": node, "spec_sha256": document.hash().hex()},
    )


@app.command()
def attest(
    node: NodeArgument,
    spec: SpecArgument,
    attestors: Annotated[
        list[str], typer.Option("--by", help="An attestor's keystore file or local role; once for each.")
    ],
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Have a quorum of attestors vouch for a node's spec.

    Each signs only what the spec file says; a node that states something else on-chain is refused.
    """
    document = read_spec(spec)
    session = Session(network, deployments)
    signatures = attestation.sign_all(
        session.registry, node, document, [session.sender(reference).account for reference in attestors]
    )
    call = session.registry.attest(node, signatures)
    perform(session.sender(signer), call, f"node {node} attested", dry_run=dry_run, as_json=as_json)


@app.command()
def bond(
    node: NodeArgument,
    amount: Annotated[str, typer.Argument(help="Dollars.")],
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put a bond behind a node; allows the registry to take exactly the amount if it may not yet."""
    amount_usd6 = parse_amount(amount, "bond")
    session = Session(network, deployments)
    session.registry.node(node)
    sender = session.sender(signer)
    what = f"bond of {format_usd(amount_usd6)} behind node {node}"
    deposit = session.registry.deposit_bond(node, amount_usd6)
    if session.usd.allowance(sender.address, session.registry.address) < amount_usd6:
        refuse_early(sender, deposit, session.usd, amount_usd6)
        approve = session.usd.approve(session.registry.address, amount_usd6)
        if dry_run:
            perform(
                sender,
                approve,
                f"allow {format_usd(amount_usd6)}, then {what}",
                dry_run=True,
                as_json=as_json,
            )
            return
        sender.send(approve)
    perform(sender, deposit, what, dry_run=dry_run, as_json=as_json)


@app.command()
def unbond(
    node: NodeArgument,
    amount: Annotated[
        str | None, typer.Argument(help="Dollars to ask for; leave out to take what is ripe.")
    ] = None,
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Ask for a part of the bond, and after the delay take it."""
    session = Session(network, deployments)
    session.registry.node(node)
    sender = session.sender(signer)
    if amount is None:
        call = session.registry.withdraw_bond(node, sender.address)
        what = f"bond of node {node} withdrawn"
    else:
        call = session.registry.request_bond_withdrawal(node, parse_amount(amount, "bond"))
        what = f"withdrawal of ${amount} from the bond of node {node} requested"
    perform(sender, call, what, dry_run=dry_run, as_json=as_json)


@app.command()
def activate(
    node: NodeArgument,
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Put an attested and bonded node to work."""
    session = Session(network, deployments)
    session.registry.node(node)
    call = session.registry.activate(node)
    perform(session.sender(signer), call, f"node {node} active", dry_run=dry_run, as_json=as_json)


@app.command()
def suspend(
    node: NodeArgument,
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """Take a node out of work; what the guardian suspends, the guardian resumes."""
    session = Session(network, deployments)
    session.registry.node(node)
    call = session.registry.suspend(node)
    perform(session.sender(signer), call, f"node {node} suspended", dry_run=dry_run, as_json=as_json)


@app.command()
def retire(
    node: NodeArgument,
    signer: AsOption = "operator",
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    dry_run: DryRunOption = False,
    as_json: JsonOption = False,
) -> None:
    """End a node's life, once nobody counts on it any more."""
    session = Session(network, deployments)
    session.registry.node(node)
    call = session.registry.retire(node)
    perform(session.sender(signer), call, f"node {node} retired", dry_run=dry_run, as_json=as_json)


@app.command("list")
def list_nodes(
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    as_json: JsonOption = False,
) -> None:
    """List every node."""
    session = Session(network, deployments)
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
        as_json,
        {"nodes": [_data(number, node) for number, node in nodes]},
        lambda console: console.print(
            render.table(columns, rows) if rows else "no nodes yet: `wellhead node register SPEC.json`"
        ),
    )


@app.command()
def show(
    node: NodeArgument,
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
    as_json: JsonOption = False,
) -> None:
    """Show one node: spec, status, bond, obligations, last oracle record."""
    session = Session(network, deployments)
    data = _data(node, session.registry.node(node))
    record = session.oracle.latest_record(node)
    data["latest_record"] = asdict(record)
    if session.factory.has_share(node):
        data["share"] = session.factory.share_of(node).address
    pairs = [(name.replace("_", " "), _show(name, value)) for name, value in data.items()]
    render.emit(as_json, data, lambda console: console.print(render.facts(pairs)))


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

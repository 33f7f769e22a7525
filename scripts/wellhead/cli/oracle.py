"""wellhead oracle: measure a node by a quorum of reporters and post what they agree on."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console

from wellhead.chain import keys
from wellhead.cli import render
from wellhead.cli.options import JsonOption, NodeArgument
from wellhead.cli.oracle_push import push
from wellhead.cli.oracle_status import status
from wellhead.cli.reporter import run
from wellhead.cli.session import Sending, Session, sends
from wellhead.errors import Misused, Refused
from wellhead.units import parse_duration

if TYPE_CHECKING:
    from wellhead.oracle.report import Report

DEFAULT_RUNTIME = "http://127.0.0.1:8600"
DEFAULT_INTERVAL_MS = 1_000
MAX_FACTOR = 86_400  # a second for a day: beyond that one sample decides a week
DEFAULT_REPORTERS = tuple(f"reporter-{number}" for number in range(5))

app = typer.Typer(
    help="What nodes did, as a quorum of reporters saw it: run, observe, report, push, status.",
    no_args_is_help=True,
)
app.command()(run)
app.command()(push)
app.command()(status)


@app.command()
@sends("reporter-0")
def report(
    cli: Sending,
    node: NodeArgument,
    runtime: Annotated[
        str, typer.Option("--runtime", help="Root of the node's server, with /healthz and /metrics.")
    ] = DEFAULT_RUNTIME,
    duration: Annotated[str, typer.Option("--for", help="How long to watch, like 20s.")] = "20s",
    every: Annotated[
        int, typer.Option("--every", help="Milliseconds between samples.")
    ] = DEFAULT_INTERVAL_MS,
    factor: Annotated[
        int,
        typer.Option(
            "--factor", min=1, max=MAX_FACTOR, help="Chain seconds that one observed second stands for."
        ),
    ] = 1,
    by: Annotated[
        list[str] | None, typer.Option("--by", help="A reporter's role or keystore file; once for each.")
    ] = None,
) -> None:
    """Watch a node for a while and post the round that is due, on a local chain.

    All reporters run here, each with its own key and its own samples; whoever signs only transmits. With a
    factor above 1 observed time stands for more chain time; tokens and energy are never multiplied.
    """
    # The probes' HTTP client and the metrics parser take a moment: only those who watch wait for them.
    from wellhead.oracle.onchain import basis_of, due_round
    from wellhead.oracle.report import co_sign
    from wellhead.oracle.round import TimeScale
    from wellhead.oracle.sampler import Canary, Reporter, Target
    from wellhead.oracle.watch import Watch

    address = urlsplit(runtime)
    if address.scheme not in ("http", "https") or not address.hostname:
        raise Misused(
            f"--runtime {runtime!r} is no http address: a typing error would count as the node's downtime"
        )
    scale = TimeScale(every, factor)
    slots = parse_duration(duration, "--for") * 1000 // every
    if slots < 1:
        raise Misused(f"--for {duration} is shorter than one sample of {every} ms")
    session = cli.session
    if not session.local:
        raise Refused(
            f"reporters of {cli.network} run apart, each on its own line; one machine is no quorum there"
        )
    gpu_count = session.registry.node(node).spec.gpu_count
    accounts = [keys.load_signer(name, local_chain=True) for name in by or DEFAULT_REPORTERS]
    _require_reporters(session, [account.address for account in accounts])
    due_round(session.oracle)
    canary = Canary(session.network.rpc_url, session.network.chain_id)
    target = Target(node, runtime.rstrip("/"))
    watch = Watch([Reporter(account, [target], canary, every) for account in accounts])
    with Console(stderr=True).status(f"{len(accounts)} reporters watch node {node} for {duration}; {scale}"):
        seen = watch.run(slots)
    agreed = co_sign(basis_of(session.oracle, seen, {node: gpu_count}, scale), accounts)

    call, sender = session.oracle.report(*agreed.arguments), cli.sender
    data = _report_data(agreed, node) | {"chain_seconds_per_observed_second": factor}
    if cli.dry_run:
        data |= {"would": f"post round {agreed.round}", "gas_estimate": sender.simulate(call).gas}
    else:
        mined = sender.send(call)
        data |= {"transaction": mined.transaction, "gas": mined.receipt["gasUsed"]}
    render.emit(cli.as_json, data, lambda console: _draw_report(console, data))


@app.command()
def observe(
    node: NodeArgument,
    sources: Annotated[
        Path | None, typer.Option("--sources", help="What the reporter watches and how: TOML or JSON.")
    ] = None,
    prometheus: Annotated[
        str | None, typer.Option("--prometheus", help="Instead of a file: root of the reporter's Prometheus.")
    ] = None,
    instance: Annotated[
        str | None, typer.Option("--instance", help="The node's runtime, by its `instance` label there.")
    ] = None,
    dcgm: Annotated[
        str | None, typer.Option("--dcgm", help="Of a GPU server: its DCGM exporter's `instance` label.")
    ] = None,
    vllm: Annotated[str | None, typer.Option("--vllm", help="And its vLLM's.")] = None,
    canary: Annotated[
        str, typer.Option("--canary", help="Series that tells whether this Prometheus reaches anything else.")
    ] = 'up{job="prometheus"}',
    duration: Annotated[str, typer.Option("--for", help="How long to look, back or from now on.")] = "10m",
    every: Annotated[
        int, typer.Option("--every", min=100, help="Milliseconds of a slot: at least two scrapes.")
    ] = 30_000,
    as_json: JsonOption = False,
) -> None:
    """Show what one reporter sees of a node, and the evidence from which it follows.

    What a Prometheus saw is asked for at once; other sources look for as long as told.
    """
    from wellhead.oracle.fleet_file import read_fleet
    from wellhead.oracle.observing import observe_now, scraped_node

    if (sources is None) == (prometheus is None):
        raise Misused("name either a file of sources or a Prometheus")
    if sources is not None:
        settings = read_fleet(sources)
    else:
        instances = {"runtime": instance, "dcgm": dcgm, "vllm": vllm}
        given = {kind: label for kind, label in instances.items() if label is not None}
        if set(given) not in ({"runtime"}, {"dcgm", "vllm"}):
            raise Misused(
                "name the node's series: by --instance a runtime's, or by --dcgm and --vllm a server's"
            )
        settings = scraped_node(node, prometheus or "", canary, given, every)
    if node not in (one.id for one in settings.nodes):
        known = ", ".join(str(one.id) for one in settings.nodes) or "none"
        raise Misused(f"{sources} tells nothing of node {node}; its nodes: {known}")
    slot_ms = settings.slot_ms
    slots = parse_duration(duration, "--for") * 1000 // slot_ms
    if slots < 1:
        raise Misused(f"--for {duration} is shorter than one slot of {slot_ms} ms")
    with Console(stderr=True).status(f"looking at node {node} for {duration}"):
        seen = asyncio.run(observe_now(settings, slots))[node]
    observation, took = seen.observation, sorted(seen.took_ms)
    data: dict[str, Any] = {
        "node": node,
        "from_ms": observation.window.first_slot * slot_ms,
        "slot_ms": slot_ms,
        "slots": slots,
        "covered_slots": observation.live_slots,
        "up_slots": observation.up_slots,
        "states": observation.states,
        "gained": asdict(observation.gained),
        "answered_in_ms": {"median": took[len(took) // 2], "longest": took[-1]} if took else None,
        "evidence_hash": f"0x{seen.evidence.hash.hex()}",
    }
    pairs = [render.fact(name, value) for name, value in data.items()]
    evidence = [{"asked": one.asked, "answer": one.body.decode()} for one in seen.evidence.exhibits]

    def draw(console: Console) -> None:
        console.print(render.facts(pairs))
        for fault in seen.faults:
            console.print(f"noted: {fault}", markup=False)

    render.emit(as_json, data | {"faults": list(seen.faults), "evidence": evidence}, draw)


def _require_reporters(session: Session, addresses: list[str]) -> None:
    known, k = session.oracle.reporters(), session.oracle.quorum()
    strangers = [address for address in addresses if address not in known]
    if strangers:
        raise Misused(f"{strangers[0]} is no reporter of this oracle; they are {', '.join(known)}")
    different = len(set(addresses))
    if different < max(k, len(addresses)):
        raise Misused(f"{different} different reporters of {len(addresses)} given; {k} are needed, each once")


def _report_data(agreed: Report, node: int) -> dict[str, Any]:
    return {
        "round": agreed.round,
        "root": f"0x{agreed.root.hex()}",
        "evidence_hash": f"0x{agreed.draft.evidence_hash.hex()}",
        "record": asdict(agreed.records[node]),
        "samples": agreed.draft.aggregates[node].states,
        "notes": list(agreed.notes),
        "reporters": [
            {
                "reporter": figures.reporter,
                "samples": figures.observations[node].states,
                "gained": asdict(figures.observations[node].gained),
                "signed": figures.signed,
                "objection": figures.objection,
            }
            for figures in agreed.figures
        ],
    }


def _draw_report(console: Console, data: dict[str, Any]) -> None:
    columns = ["reporter", "samples", "tokens", "busy", ""]
    rows = [
        (
            entry["reporter"],
            entry["samples"],
            str(entry["gained"]["tokens"]),
            f"{entry['gained']['busy_micros'] / 1_000_000:.3f} s",
            "agrees" if entry["signed"] else entry["objection"],
        )
        for entry in data["reporters"]
    ]
    console.print(render.table(columns, rows, title="U up, D down, ? not able to measure"))
    shown = {name: value for name, value in data.items() if name not in ("reporters", "samples", "notes")}
    console.print(render.facts([render.fact(name, value) for name, value in shown.items()]))
    for note in data["notes"]:
        console.print(f"cut: {note}", markup=False)

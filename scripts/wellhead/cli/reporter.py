"""wellhead oracle run: one reporter's daemon."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wellhead.chain import keys
from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.chain.outbox.policy import GWEI, SendingPolicy
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_NETWORK,
    DeploymentsOption,
    NetworkOption,
)
from wellhead.cli.session import Session
from wellhead.errors import Misused
from wellhead.oracle.pushing import DEFAULT_MAX_PUSHED
from wellhead.units import parse_address, parse_bps, parse_duration

DEFAULT_DEVIATION = "5%"


def run(
    fleet: Annotated[Path, typer.Argument(help="File that tells which nodes are watched, and how.")],
    signer: Annotated[
        str | None,
        typer.Option(
            "--as",
            help="Who signs what is seen: a keystore file, or a local role. Without it nothing is said, only logged.",
        ),
    ] = None,
    peers: Annotated[
        list[str] | None,
        typer.Option("--peer", help="Another reporter, ADDRESS=URL of its daemon; once for each."),
    ] = None,
    gas: Annotated[
        str | None,
        typer.Option("--gas", help="Who pays for transmitting, with a key of its own; else others transmit."),
    ] = None,
    folder: Annotated[Path, typer.Option("--data", help="Folder of its books and records.")] = Path(
        "reporter-data"
    ),
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65_535, help="0 takes any free one.")] = 8700,
    settle: Annotated[
        str, typer.Option("--settle", help="After a window's end, until its last scrapes are in.")
    ] = "15s",
    step: Annotated[
        str, typer.Option("--step", help="How long others are waited for in each step of a round.")
    ] = "20s",
    poll: Annotated[str, typer.Option("--poll", help="How often the chain is asked.")] = "5s",
    max_gwei: Annotated[
        int,
        typer.Option(
            "--max-gwei",
            min=1,
            help="The most that --gas pays for a unit of gas; dearer reports wait.",
        ),
    ] = SendingPolicy().max_fee_wei // GWEI,
    push_nodes: Annotated[
        int,
        typer.Option(
            "--push-nodes",
            min=0,
            help="--gas pays for records that a report has no room for, in rounds of up to so many nodes; 0 for none.",
        ),
    ] = DEFAULT_MAX_PUSHED,
    heartbeat: Annotated[
        str | None,
        typer.Option(
            "--heartbeat",
            help="Leave quiet windows out, but report one so often, like 6h. Consumers can begin and end at reported "
            "windows alone. Without it every window is reported. Alike at all reporters.",
        ),
    ] = None,
    deviation: Annotated[
        str | None,
        typer.Option(
            "--deviation",
            help="With --heartbeat: also report when a node's part up or busy differs by so many percent from the last "
            f"report's; {DEFAULT_DEVIATION} unless given.",
        ),
    ] = None,
    batch_rounds: Annotated[
        int,
        typer.Option(
            "--score-every", min=1, help="Rounds whose scores are posted at once; as all reporters have it."
        ),
    ] = 24,
    factor: Annotated[
        int, typer.Option("--factor", min=1, help="Local chains: seconds that an observed one stands for.")
    ] = 1,
    anchor_ms: Annotated[
        int | None,
        typer.Option(
            "--anchor-ms", help="Local chains: Unix milliseconds that stand for the oracle's genesis."
        ),
    ] = None,
    network: NetworkOption = DEFAULT_NETWORK,
    deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
) -> None:
    """Watch nodes, agree with the other reporters and see windows reported, until Ctrl-C; only watch without --as.

    What it has seen and said is in its data folder before anybody hears of it; started again, it goes on from there.
    """
    if signer is None and (gas or peers):
        raise Misused("--gas and --peer are for a reporter that signs what it sees: name its key with --as")
    if signer is not None and not peers:
        raise Misused("a reporter alone reports nothing: name the others, each with --peer ADDRESS=URL")
    if deviation is not None and heartbeat is None:
        raise Misused(
            "--deviation tells which windows are reported beside the heartbeat's: give a --heartbeat too"
        )
    if heartbeat is not None and signer is None:
        raise Misused("--heartbeat is for a reporter that reports: name its key with --as")
    # The servers and clients take a second to import: only those who run a reporter wait for them.
    from wellhead.exclusive import exclusive
    from wellhead.json_logs import log_json
    from wellhead.listener import listen
    from wellhead.oracle.daemon.assembly import Settings, assemble, assemble_dry
    from wellhead.oracle.daemon.listening import serve
    from wellhead.oracle.daemon.pusher import PushPolicy
    from wellhead.oracle.daemon.reporter import Pace
    from wellhead.oracle.exchange.play import Patience
    from wellhead.oracle.fleet_file import read_fleet
    from wellhead.oracle.trigger import Trigger

    watched = read_fleet(fleet)
    session = Session(network, deployments)
    if not session.local and (factor != 1 or anchor_ms is not None):
        raise Misused(f"{network} has everybody's time: --factor and --anchor-ms are for local chains")
    account = None if signer is None else keys.load_signer(signer, local_chain=session.local)
    payer = None if gas is None else keys.load_signer(gas, local_chain=session.local)
    if account is not None and payer is not None and payer.address == account.address:
        raise Misused(
            "the key that signs what is seen is kept apart from the one that pays gas: name another --gas"
        )
    seconds = float(parse_duration(step, "--step"))
    settings = Settings(
        watched,
        dict(_peer(one) for one in peers or []),
        folder,
        Patience(seconds, seconds, seconds),
        Pace(
            settle=parse_duration(settle, "--settle"),
            poll=parse_duration(poll, "--poll"),
            transmit=seconds,
        ),
        sending=SendingPolicy(max_fee_wei=max_gwei * GWEI),
        pushing=PushPolicy(max_nodes=push_nodes),
        trigger=None
        if heartbeat is None
        else Trigger(
            parse_duration(heartbeat, "--heartbeat"), parse_bps(deviation or DEFAULT_DEVIATION, "--deviation")
        ),
        batch_rounds=batch_rounds,
        factor=factor,
        anchor_ms=anchor_ms,
    )
    if account is None:
        with listen(host, port) as listener:
            app = assemble_dry(settings, session.oracle, session.registry)
            log_json()
            serve(app, listener, lambda url: typer.echo(f"watching, dry, at {url}"))
        return
    busy = f"another reporter keeps its books in {folder}: name another --data"
    with exclusive(folder / "lock", busy), listen(host, port) as listener:
        scores = ReporterScores(session.w3, session.manifest.address("ReporterScores"))
        app = assemble(settings, session.oracle, session.registry, scores, account, payer)
        log_json()
        serve(app, listener, lambda url: typer.echo(f"reporter {account.address} listens at {url}"))


def _peer(given: str) -> tuple[str, str]:
    address, separator, url = given.partition("=")
    if not separator or not url.startswith(("http://", "https://")):
        raise Misused(f"--peer {given!r} is not ADDRESS=URL, like 0x…=http://10.0.0.2:8700")
    return parse_address(address, "--peer"), url

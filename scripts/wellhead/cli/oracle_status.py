"""wellhead oracle status: how the oracle stands, on the chain and at its reporters."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Console

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.cli import render
from wellhead.cli.session import Reading, Session, reads
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.errors import Misused

SHOWN_ROUNDS = 5


@reads
def status(
    cli: Reading,
    node: Annotated[int | None, typer.Argument(min=1, help="Also show this node's last record.")] = None,
    daemons: Annotated[
        list[str] | None, typer.Option("--daemon", help="Root of a reporter's daemon to ask; repeatable.")
    ] = None,
) -> None:
    """Show who reports, the last rounds, how much of each node is known, and how reporters fare."""
    from wellhead.oracle import standing

    session = cli.session
    oracle = session.oracle
    latest = oracle.latest_round()
    data: dict[str, Any] = {
        "oracle": oracle.address,
        "window_seconds": oracle.window_seconds(),
        "finality_delay_seconds": oracle.finality_delay_seconds(),
        "signatures_needed": oracle.quorum(),
        "chain_time": session.now(),
        "latest_round": latest,
        "next_due_at": oracle.window_end_of(latest + 1),
    }
    scores = ReporterScores(session.w3, session.manifest.address("ReporterScores"))
    scored_up_to = scores.scored_up_to()
    data |= {"scored_up_to": scored_up_to, "rounds_to_be_scored": latest - scored_up_to}
    if node is not None:
        session.registry.node(node)
        record = oracle.latest_record(node)
        data |= {"latest_record": asdict(record), **_income(session, node, record.work_units)}
    pairs = [render.fact(name, value) for name, value in data.items()]
    reporters = []
    for address in oracle.reporters():
        score = scores.score_of(address)
        mean = scores.mean_deviation_bps_up(address) if score.rounds else None
        reporters.append(
            {
                "reporter": address,
                "scored_rounds": score.rounds,
                "mean_deviation_bps": mean,
            }
        )
    data["reporters"] = reporters
    data["rounds"] = [one._asdict() for one in standing.newest_rounds(oracle, SHOWN_ROUNDS)]
    data["nodes"] = [one._asdict() for one in standing.newest_records(oracle)]
    data["daemons"] = [{"url": url, **standing.ask_daemon(url)} for url in daemons or ()]

    def draw(console: Console) -> None:
        console.print(render.facts(pairs))
        for title, rows in (
            ("reporters", reporters),
            ("rounds, the newest first", data["rounds"]),
            ("nodes, between their two newest records", data["nodes"]),
            ("daemons", [_short(one) for one in data["daemons"]]),
        ):
            if rows:
                columns = [_cell(name, value)[0] for name, value in rows[0].items()]
                cells = [[_cell(name, value)[1] for name, value in row.items()] for row in rows]
                console.print(render.table(columns, cells, title=title))

    render.emit(cli.as_json, data, draw)


def _income(session: Session, node: int, work_units: int) -> dict[str, Any]:
    """What vouchers brought the node's share so far, held against its work; nothing while it has no share."""
    from wellhead.oracle.plausibility import income_flags

    try:
        share = session.share(node).address
    except Misused:
        return {}
    settled_usd6 = BatchSettlement(session.w3, SETTLEMENT.address).settled(share, session.manifest.usd)
    return {"vouchers_settled_usd6": settled_usd6, "flags": list(income_flags(settled_usd6, work_units))}


def _cell(name: str, value: Any) -> tuple[str, str]:
    if name.endswith("_bps") and value is not None:
        return render.fact(name.removesuffix("_bps"), f"{value / 100:.2f} %")
    return render.fact(name.removesuffix("_bps"), "-" if value is None else value)


def _short(daemon: dict[str, Any]) -> dict[str, Any]:
    shown = (
        "url",
        "reporter",
        "healthy",
        "last_round",
        "lag_seconds",
        "last_end",
        "last_decision",
        "scores_due",
        "problem",
    )
    return {name: daemon.get(name, "-") for name in shown}

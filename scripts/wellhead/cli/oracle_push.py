"""wellhead oracle push: bring a large round's records into the contract's slots, in as many parts as it takes."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

import typer
from rich.console import Console

from wellhead.cli import render
from wellhead.cli.session import Sending, sends
from wellhead.errors import Refused
from wellhead.oracle.pushing import DEFAULT_BUDGET


@sends("transmitter-0")
def push(
    cli: Sending,
    round_number: Annotated[int, typer.Argument(min=1, help="A reported round.", metavar="ROUND")],
    proofs: Annotated[
        str, typer.Option("--proofs", help="Root of a reporter's daemon that keeps the round.")
    ],
    budget: Annotated[
        int, typer.Option("--budget", min=100_000, help="Gas that one transaction may take.")
    ] = DEFAULT_BUDGET,
) -> None:
    """Push the records of a round whose report named only their root, for display and price curves.

    Anyone may: each part is proven by the round's root. What is there already stays as it is.
    """
    from wellhead.oracle.pushing import split
    from wellhead.oracle.records.peer import RecordPeer
    from wellhead.oracle.records.store import RecordStore
    from wellhead.reference.merkle import RecordTree
    from wellhead.reference.record import unpack_entries

    oracle = cli.session.oracle
    posted = oracle.round_info(round_number)
    if not posted.posted_at:
        raise Refused(
            f"round {round_number} was never reported, or is forgotten; the newest is {oracle.latest_round()}"
        )
    if posted.vetoed:
        raise Refused(f"round {round_number} was vetoed: its records are worth nothing")
    with TemporaryDirectory(prefix="wellhead-") as folder:
        store = RecordStore(Path(folder), 1)
        RecordPeer(proofs).fetch(store, round_number, posted.root)
        records = dict(store.records(round_number))
    window_end = oracle.window_end_of(round_number)
    held = {node: oracle.latest_record(node).window_end for node in records}
    missing = {node for node, ends in held.items() if ends < window_end}
    branches = split(RecordTree(records.items()), {node for node, ends in held.items() if ends}, budget)
    # A branch of which everything is there needs no transaction.
    parts = [part for part in branches if missing & {node for node, _ in unpack_entries(part.entries)}]
    data: dict[str, Any] = {"round": round_number, "nodes": len(records), "missing": len(missing)}
    if cli.dry_run:
        data |= {"would_send": len(parts)}
    else:
        mined = [cli.sender.send(oracle.push(round_number, *part)) for part in parts]
        data |= {
            "transactions": [one.transaction for one in mined],
            "gas": sum(one.receipt["gasUsed"] for one in mined),
        }
    pairs = [render.fact(name, value) for name, value in data.items()]

    def draw(console: Console) -> None:
        console.print(render.facts(pairs))

    render.emit(cli.as_json, data, draw)

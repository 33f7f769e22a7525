"""The command line: one file per noun. `main` turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import sys

import typer
from rich.console import Console

from wellhead.cli import (
    bench,
    clock,
    demo,
    deploy,
    doctor,
    gateway,
    infer,
    node,
    oracle,
    pool,
    shares,
    up,
    usd,
)
from wellhead.errors import WellheadError

EXIT_INTERRUPTED = 130

app = typer.Typer(
    name="wellhead",
    help="Tokenized compute: GPU nodes as tokens, inference paid per call, income streamed to the holders.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
app.command("up")(up.up)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command("deploy")(deploy.deploy)
app.command("infer")(infer.infer)
app.add_typer(clock.app, name="clock")
app.add_typer(usd.app, name="usd")
app.add_typer(node.app, name="node")
app.add_typer(shares.app, name="shares")
app.add_typer(gateway.app, name="gateway")
app.add_typer(pool.app, name="pool")
app.add_typer(oracle.app, name="oracle")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Exit codes: 0 done, 1 refused by a chain or a peer, 2 misused."""
    try:
        app()  # misuse that typer itself finds ends with exit code 2
    except WellheadError as error:
        Console(stderr=True, soft_wrap=True).print("[bold red]wellhead:[/]", end=" ")
        Console(stderr=True, soft_wrap=True).print(str(error), markup=False, highlight=False)
        sys.exit(error.exit_code)
    except OSError as error:  # a folder that is a file, a file that may not be written
        Console(stderr=True, soft_wrap=True).print(f"wellhead: {error}", markup=False, highlight=False)
        sys.exit(1)
    except KeyboardInterrupt:
        sys.exit(EXIT_INTERRUPTED)

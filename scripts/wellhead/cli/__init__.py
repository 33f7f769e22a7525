"""The command line: one file per noun. `main` turns what goes wrong into one line and an exit code."""

from __future__ import annotations

import sys

import click
import typer
from rich.console import Console

from wellhead.cli import bench, demo, deploy, doctor, node, shares, up, usd
from wellhead.errors import WellheadError

EXIT_MISUSED = 2
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
app.add_typer(usd.app, name="usd")
app.add_typer(node.app, name="node")
app.add_typer(shares.app, name="shares")
app.add_typer(bench.app, name="bench")


def main() -> None:
    """Exit codes: 0 done, 1 refused by a chain or a peer, 2 misused."""
    problems = Console(stderr=True, soft_wrap=True)
    try:
        app(standalone_mode=False)
    except WellheadError as error:
        problems.print(f"[bold red]wellhead:[/] {error}", markup=True, highlight=False)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(EXIT_MISUSED)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(EXIT_INTERRUPTED)

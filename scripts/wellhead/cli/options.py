"""Options that commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

NetworkOption = Annotated[
    str,
    typer.Option(
        "--network", envvar="WELLHEAD_NETWORK", help="Network by name, or the URL of a local chain."
    ),
]
DeploymentsOption = Annotated[
    Path,
    typer.Option("--deployments", envvar="WELLHEAD_DEPLOYMENTS", help="Folder of the deployment manifests."),
]
AsOption = Annotated[
    str,
    typer.Option("--as", help="Who signs: a keystore file, or on a local chain a role such as `operator`."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Simulate and show what would happen; send nothing.")
]
NodeArgument = Annotated[int, typer.Argument(min=1, help="Node id, as `wellhead node list` shows it.")]
SharesArgument = Annotated[str, typer.Argument(help="Shares, at most six decimals.")]
AccountArgument = Annotated[str, typer.Argument(help="An address, or on a local chain a role.")]

PoolArgument = Annotated[
    str, typer.Argument(help="Name of a pool, as `wellhead pool list` shows it, or its address.")
]

DEFAULT_NETWORK = "local"
DEFAULT_DEPLOYMENTS = Path("deployments")
DEFAULT_GATEWAY_HOST, DEFAULT_GATEWAY_PORT = "127.0.0.1", 8700
DEFAULT_GATEWAY_URL = f"http://{DEFAULT_GATEWAY_HOST}:{DEFAULT_GATEWAY_PORT}"

"""How a reporter of a local chain is started as a process of its own, by its number: keys are the public test ones."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from wellhead.chain import keys

POLL_SECONDS = 1


class LocalRound(NamedTuple):
    """How rounds go on a local chain: the time that stands for its genesis, how much faster it passes, and how patient
    reporters are."""

    anchor_ms: int
    factor: int
    settle_seconds: int
    step_seconds: int
    # As `oracle run` has it by itself.
    batch_rounds: int = 24


def command(
    number: int,
    urls: Mapping[int, str],
    fleet_file: Path,
    data: Path,
    rounds: LocalRound,
    rpc_url: str,
    deployments: Path,
) -> list[str]:
    """`wellhead oracle run` of reporter `number`, of those that listen at `urls` by their numbers."""
    peers = {keys.local_account(f"reporter-{one}").address: url for one, url in urls.items() if one != number}
    return [
        *(sys.executable, "-m", "wellhead", "oracle", "run", str(fleet_file)),
        *(f"--peer={address}={url}" for address, url in peers.items()),
        *("--as", f"reporter-{number}", "--gas", f"transmitter-{number}"),
        *("--data", str(data), "--port", str(urlsplit(urls[number]).port)),
        *("--settle", f"{rounds.settle_seconds}s", "--step", f"{rounds.step_seconds}s"),
        *("--poll", f"{POLL_SECONDS}s", "--score-every", str(rounds.batch_rounds)),
        *("--factor", str(rounds.factor), "--anchor-ms", str(rounds.anchor_ms)),
        *("--network", rpc_url, "--deployments", str(deployments)),
    ]

"""A Prometheus of one's own, a process beside us, where one is installed."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import httpx

from wellhead.chain import local
from wellhead.errors import Refused
from wellhead.processes import ManagedProcess

PROGRAM = "prometheus"


def is_installed() -> bool:
    """Whether it is on PATH."""
    return shutil.which(PROGRAM) is not None


class Prometheus:
    """Scrapes what it is told, and itself as job "prometheus", and keeps it in a folder."""

    def __init__(self, folder: Path, jobs: Mapping[str, Sequence[str]], scrape_ms: int) -> None:
        """`jobs` are the instances to scrape, HOST:PORT each, by the name of their job; `folder` is for it alone.

        Returns at once. Raises Refused when it is not installed.
        """
        program = shutil.which(PROGRAM)
        if program is None:
            raise Refused(f"no {PROGRAM} on PATH: `apt-get install prometheus`")
        folder.mkdir(parents=True, exist_ok=True)
        address = f"{local.HOST}:{local.free_port()}"
        self.url = f"http://{address}"
        every = f"{scrape_ms}ms"
        config = folder / "prometheus.yml"
        config.write_text(  # which JSON is, too
            json.dumps(
                {
                    "global": {"scrape_interval": every, "scrape_timeout": every},
                    "scrape_configs": [
                        {"job_name": job, "static_configs": [{"targets": list(instances)}]}
                        for job, instances in {PROGRAM: [address], **jobs}.items()
                    ],
                },
                indent=1,
            )
        )
        options = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
        self.process = ManagedProcess(
            [program, f"--config.file={config}", *options], folder / "prometheus.log"
        )

    @property
    def is_ready(self) -> bool:
        """Whether it answers."""
        try:
            return httpx.get(f"{self.url}/-/ready", timeout=1).status_code == 200
        except httpx.TransportError:
            return False

    def stop(self) -> None:
        """End it; harmless when it has ended."""
        self.process.stop()

"""Debian's Prometheus, started for a test: it scrapes what it is told, twice a second, and itself."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from wellhead.chain import local
from wellhead.processes import ManagedProcess

START_SECONDS = 60
SCRAPE_MILLISECONDS = 500


@contextmanager
def running_prometheus(folder: Path, instances: Sequence[str]) -> Iterator[str]:
    """Its root, while it scrapes `instances` as job "node". Fails the test if it is not installed."""
    program = shutil.which("prometheus")
    if program is None:
        pytest.fail("no Prometheus here: `apt-get install prometheus`")
    address = f"{local.HOST}:{local.free_port()}"
    config = folder / "prometheus.yml"
    targets = ", ".join(f'"{instance}"' for instance in instances)
    config.write_text(
        f"""
global: {{scrape_interval: {SCRAPE_MILLISECONDS}ms, scrape_timeout: {SCRAPE_MILLISECONDS}ms}}
scrape_configs:
  - {{job_name: prometheus, static_configs: [{{targets: ["{address}"]}}]}}
  - {{job_name: node, static_configs: [{{targets: [{targets}]}}]}}
"""
    )
    options = [f"--storage.tsdb.path={folder / 'data'}", f"--web.listen-address={address}"]
    process = ManagedProcess([program, f"--config.file={config}", *options], folder / "prometheus.log")
    url = f"http://{address}"
    try:
        deadline = time.monotonic() + START_SECONDS
        while not _is_ready(url):
            assert process.running, process.log_tail()
            assert time.monotonic() < deadline, process.log_tail()
            time.sleep(0.05)  # a process of its own has no event to wait for
        yield url
    finally:
        process.stop()


def _is_ready(url: str) -> bool:
    try:
        return httpx.get(f"{url}/-/ready", timeout=1).status_code == 200
    except httpx.TransportError:
        return False

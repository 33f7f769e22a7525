"""Debian's Prometheus, started for a test: it scrapes what it is told, twice a second, and itself."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from wellhead.demo import prometheus

START_SECONDS = 60
SCRAPE_MILLISECONDS = 500


@contextmanager
def running_prometheus(folder: Path, instances: Sequence[str]) -> Iterator[str]:
    """Its root, while it scrapes `instances` as job "node". Fails the test if it is not installed."""
    if not prometheus.is_installed():
        pytest.fail("no Prometheus here: `apt-get install prometheus`")
    server = prometheus.Prometheus(folder, {"node": instances}, SCRAPE_MILLISECONDS)
    try:
        deadline = time.monotonic() + START_SECONDS
        while not server.is_ready:
            assert server.process.running, server.process.log_tail()
            assert time.monotonic() < deadline, server.process.log_tail()
            time.sleep(0.05)  # a process of its own has no event to wait for
        yield server.url
    finally:
        server.stop()

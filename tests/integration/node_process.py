"""A node's runtime as a process of its own, with the real model."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from wellhead.chain import local
from wellhead.processes import ManagedProcess

START_TIMEOUT_SECONDS = 60


@contextmanager
def serving_node(log: Path) -> Iterator[str]:
    """The root of a node that serves until the block is over."""
    port = local.free_port()
    process = ManagedProcess([sys.executable, "-m", "wellhead.runtime", "--port", str(port)], log)
    url = f"http://{local.HOST}:{port}"
    try:
        wait_until_up(url, process)
        yield url
    finally:
        process.stop()


def wait_until_up(url: str, process: ManagedProcess) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        assert process.running, process.log_tail()
        try:
            if httpx.get(f"{url}/healthz", timeout=1).status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.02)  # a process of its own has no event to wait for
    pytest.fail(f"no answer within {START_TIMEOUT_SECONDS} s: {process.log_tail()}")

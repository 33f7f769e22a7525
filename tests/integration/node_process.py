"""A node's runtime as a process of its own, with the real model."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from wellhead.chain import local
from wellhead.processes import ManagedProcess
from wellhead.runtime.embedder import MODEL_NAME

START_TIMEOUT_SECONDS = 60


class Runtime:
    """A node that serves, and can be stopped, killed, frozen and started again on the same port."""

    def __init__(self, log: Path) -> None:
        self._log, self._port = log, local.free_port()
        self.url = f"http://{local.HOST}:{self._port}"
        # What its customers were told that they had used.
        self.told_tokens = 0
        self.start()

    @property
    def is_running(self) -> bool:
        return self._process.running

    def start(self) -> None:
        """Returns when it answers."""
        command = [sys.executable, "-m", "wellhead.runtime", "--port", str(self._port)]
        self._process = ManagedProcess(command, self._log)
        wait_until_up(self.url, self._process)

    def stop(self) -> None:
        self._process.stop()

    def kill(self) -> None:
        os.kill(self._process.child_pid, signal.SIGKILL)

    def freeze(self) -> None:
        os.kill(self._process.child_pid, signal.SIGSTOP)

    def thaw(self) -> None:
        os.kill(self._process.child_pid, signal.SIGCONT)

    def serve(self, texts: Sequence[str]) -> None:
        asked = {"model": MODEL_NAME, "input": list(texts)}
        answer = httpx.post(f"{self.url}/v1/embeddings", json=asked, timeout=60).raise_for_status()
        self.told_tokens += answer.json()["usage"]["prompt_tokens"]


@contextmanager
def serving_node(log: Path) -> Iterator[str]:
    """The root of a node that serves until the block is over."""
    runtime = Runtime(log)
    try:
        yield runtime.url
    finally:
        runtime.stop()


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

"""`wellhead` as people type it: a command within this process, or one that runs beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from wellhead.cli import app

START_TIMEOUT_SECONDS = 60
WELLHEAD = [sys.executable, "-c", "from wellhead.cli import main; main()"]


class Running(NamedTuple):
    """A command that goes on, and the object that it printed when it was ready."""

    announced: dict[str, Any]
    process: subprocess.Popen[str]


def wellhead(*arguments: str) -> str:
    """What a command prints; raises what it raises."""
    outcome = CliRunner().invoke(app, arguments, standalone_mode=False)
    if outcome.exception is not None:
        raise outcome.exception
    return outcome.stdout


@contextmanager
def running(arguments: Sequence[str], log: Path) -> Iterator[Running]:
    """The command with --json beside this process, from its announcement until the block is over."""
    with log.open("w") as file:
        process = subprocess.Popen(
            [*WELLHEAD, *arguments, "--json"], stdout=subprocess.PIPE, stderr=file, text=True
        )
    try:
        yield Running(_read_object(process, log), process)
    finally:
        process.kill()
        process.wait()


def _read_object(process: subprocess.Popen[str], log: Path) -> dict[str, Any]:
    assert process.stdout is not None
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    text = ""
    while time.monotonic() < deadline:
        line = process.stdout.readline()
        assert line, log.read_text()
        text += line
        if line.startswith("}"):
            return dict(json.loads(text))
    pytest.fail(f"no announcement: {text}")

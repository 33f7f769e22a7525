"""The command line in a process that has imported it once: each command is a fork of it, with an end of its own.

Importing takes longer than most commands; that `python -m wellhead` starts is seen wherever `up` runs.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

TIMEOUT_SECONDS = 60


class WarmCli:
    """Runs commands one after another, in a folder for what they print."""

    def __init__(self, folder: Path) -> None:
        self._out, self._err = folder / "stdout", folder / "stderr"
        self._process = subprocess.Popen(
            [sys.executable, __file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """What `python -m wellhead` does with `command`; one that hangs ends by SIGALRM."""
        orders, answers = self._process.stdin, self._process.stdout
        assert orders is not None
        assert answers is not None
        orders.write(json.dumps([["wellhead", *command], environment, str(self._out), str(self._err)]) + "\n")
        orders.flush()
        code = int(answers.readline())
        return subprocess.CompletedProcess(command, code, self._out.read_text(), self._err.read_text())

    def close(self) -> None:
        self._process.communicate(timeout=TIMEOUT_SECONDS)


def _serve() -> None:
    from wellhead.cli import main

    while line := sys.stdin.readline():
        if (child := os.fork()) == 0:
            signal.alarm(TIMEOUT_SECONDS)
            sys.argv, environment, out, err = json.loads(line)
            os.environ.clear()
            os.environ.update(environment)
            for descriptor, file in ((0, os.devnull), (1, out), (2, err)):
                os.dup2(os.open(file, os.O_RDWR | os.O_CREAT | os.O_TRUNC), descriptor)
            main()
            return
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


if __name__ == "__main__":
    _serve()

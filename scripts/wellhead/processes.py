"""Child processes that never outlive us, not even when we are killed with SIGKILL.

Each child runs below a small supervisor (this module, run with -m) that holds the read end of a pipe.
When our end closes, for whatever reason, the supervisor ends the child. Unlike a parent-death signal
this works from any thread and on any Unix.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path

STOP_GRACE_SECONDS = 5


class ManagedProcess:
    """A running child and its log file."""

    def __init__(self, command: Sequence[str], log: Path, env: Mapping[str, str] | None = None) -> None:
        """Start `command`, its output appended to `log`; `env` is added to our own environment."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self.command = list(command)
        self.log = log
        with log.open("ab") as output:
            self._supervisor = subprocess.Popen(
                [sys.executable, "-m", "wellhead.processes", *command],
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                start_new_session=True,  # a Ctrl-C in the terminal reaches us alone: we stop in order
            )

    @property
    def running(self) -> bool:
        """Whether the child still runs."""
        return self._supervisor.poll() is None

    @property
    def child_pid(self) -> int:
        """The child's process id, below its supervisor. Linux only."""
        supervisor = self._supervisor.pid
        return int(Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()[0])

    def stop(self) -> None:
        """End the child and wait until it is gone; harmless when it is gone already."""
        if self._supervisor.stdin is not None:
            self._supervisor.stdin.close()
        try:
            self._supervisor.wait(STOP_GRACE_SECONDS * 2)
        except subprocess.TimeoutExpired:
            self._supervisor.kill()
            self._supervisor.wait()

    def log_tail(self, lines: int = 20) -> str:
        """The last lines that the child printed, for error messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


def _die_with_parent() -> None:
    """Linux only: should even the supervisor be killed, the kernel ends the child."""
    pr_set_pdeathsig = 1
    ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def _end(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(STOP_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        child.kill()


def _supervise(command: Sequence[str]) -> int:
    on_linux = sys.platform == "linux"
    try:
        child = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent if on_linux else None
        )
    except OSError as error:
        print(f"cannot start {command[0]}: {error}", file=sys.stderr)
        return 127

    def end_when_orphaned() -> None:
        while os.read(0, 1):  # unbuffered: a lock held by this thread would abort the exit
            pass
        _end(child)

    signal.signal(signal.SIGTERM, lambda *_: _end(child))
    threading.Thread(target=end_when_orphaned, daemon=True).start()
    code = child.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(_supervise(sys.argv[1:]))

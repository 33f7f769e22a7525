"""The command line in a process that has imported it once: each command is a fork of it, with an end of its own.

Importing takes longer than most commands; that `python -m wellhead` starts is seen wherever `up` runs. A program in
the place of `wellhead` hands the fork its arguments, environment, folder and standard streams, and ends as it ends.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

TIMEOUT_SECONDS = 150
SOCKET = "WARM_CLI_SOCKET"
# Without site it starts in a moment. A gateway is started as installed: signals that end it must reach itself.
PROGRAM = f"""#!{sys.executable} -IS
import json, os, socket, sys
if sys.argv[1:3] == ["gateway", "run"]:
    os.execv({str(Path(sys.prefix, "bin", "wellhead"))!r}, sys.argv)
mine, given = socket.socketpair()
socket.send_fds(socket.socket(fileno=int(os.environ[{SOCKET!r}])), [b"."], [0, 1, 2, given.fileno()])
given.close()
mine.sendall(json.dumps([sys.argv, dict(os.environ), os.getcwd()]).encode() + b"\\n")
sys.exit(int(mine.makefile().readline()))
"""


class WarmCli:
    """Runs commands one after another. `program` finds it by `environment`, where `descriptor` is open."""

    def __init__(self, program: Path) -> None:
        self.program = program
        self._socket, given = socket.socketpair()
        self.descriptor = self._socket.fileno()
        self.environment = {SOCKET: str(self.descriptor)}
        program.write_text(PROGRAM)
        program.chmod(0o755)
        with given:
            self._process = subprocess.Popen([sys.executable, __file__], stdin=given)

    def run(self, command: list[str], environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
        """What `python -m wellhead` does with `command`; one that hangs ends by SIGALRM."""
        return subprocess.run(
            [self.program, *command],
            env={**environment, **self.environment},
            pass_fds=[self.descriptor],
            capture_output=True,
            text=True,
            check=False,
        )

    def close(self) -> None:
        self._socket.close()
        self._process.wait(TIMEOUT_SECONDS)


def _serve() -> None:
    from wellhead.cli import main

    orders = socket.socket(fileno=os.dup(0))
    while (received := socket.recv_fds(orders, 1, 4))[0]:
        *streams, last = received[1]
        with socket.socket(fileno=last) as order:
            argv, environment, folder = json.loads(order.makefile().readline())
            if (child := os.fork()) == 0:
                signal.alarm(TIMEOUT_SECONDS)
                sys.argv = argv
                os.environ.clear()
                os.environ.update(environment)
                os.chdir(folder)
                for number, stream in enumerate(streams):
                    os.dup2(stream, number)
                main()
                return
            for stream in streams:
                os.close(stream)
            _, status = os.waitpid(child, 0)
            order.sendall(b"%d\n" % os.waitstatus_to_exitcode(status))


if __name__ == "__main__":
    _serve()

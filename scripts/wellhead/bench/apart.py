"""What a process of its own measures of itself: its memory and its time are nobody else's."""

from __future__ import annotations

import json
import subprocess
import sys

from wellhead.errors import Refused

TIMEOUT_SECONDS = 600


def figures_of(module: str, *arguments: str) -> dict[str, float]:
    """The JSON object that the module prints when it is run. Raises Refused with its last words when it fails."""
    command = [sys.executable, "-m", module, *arguments]
    try:
        done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise Refused(f"{' '.join(command[1:])} takes more than {TIMEOUT_SECONDS} s") from None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        raise Refused(f"{' '.join(command[1:])} failed: {said[-1] if said else done.returncode}")
    figures: dict[str, float] = json.loads(done.stdout)
    return figures

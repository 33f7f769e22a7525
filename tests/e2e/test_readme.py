"""The README's tour, typed as it stands, from top to bottom."""

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

from warm_cli import WarmCli

from wellhead.chain import local

ROOT = Path(__file__).resolve().parents[2]
# Shown in the README and tested elsewhere: they take minutes, or start what does not end by itself.
ELSEWHERE = ("wellhead up", "brownie", "bench gas", "bench oracle", "make ")
# Four thousand paid calls say no more about whether it works, and take half a minute.
SHORTER = ("bench gateway", "bench gateway --calls 80")
README_PORTS = (8_600, 8_700)
# A person types the next line some seconds later.
READY = "\ncurl -sf --retry 60 --retry-connrefused --retry-delay 1 -o /dev/null http://127.0.0.1:8700/healthz"


def _tour() -> str:
    section = (
        (ROOT / "README.md").read_text().split("## Five minutes as …")[1].split("## Where things live")[0]
    )
    blocks = re.findall(r"```(\w*)\n(.*?)```", section, flags=re.DOTALL)
    lines = "".join(block for language, block in blocks if language == "").splitlines()
    kept = [line for line in lines if not any(words in line for words in ELSEWHERE)]
    return "\n".join(line + READY if "gateway run" in line else line for line in kept).replace(*SHORTER)


def _environment(folder: Path) -> Path:
    """The environment's programs under `folder`, where the README looks for them; `wellhead` is to be added."""
    programs = folder / "bin"
    programs.mkdir(parents=True)
    for entry in Path(sys.prefix).iterdir():
        if entry.name != programs.name:
            (folder / entry.name).symlink_to(entry)
    for program in Path(sys.prefix, programs.name).iterdir():
        if program.name != "wellhead":
            (programs / program.name).symlink_to(program)
    return programs


def test_the_tour_works_as_written(tmp_path: Path) -> None:
    for port in README_PORTS:
        with socket.socket() as probe:
            taken = probe.connect_ex((local.HOST, port)) == 0
        assert not taken, f"something listens at port {port}, which the README's tour uses"
    tour = _tour()
    assert tour.count(".venv/bin/wellhead") >= 10
    cli = WarmCli(_environment(tmp_path / ".venv") / "wellhead")
    port = local.free_port()
    environment = {
        **os.environ,
        "WELLHEAD_NETWORK": f"http://{local.HOST}:{port}",
        "WELLHEAD_DEPLOYMENTS": str(tmp_path / "deployments"),
        **cli.environment,
    }
    up = subprocess.Popen(
        [sys.executable, "-m", "wellhead", "up", "--json", "--port", str(port)],
        cwd=tmp_path,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert up.stdout is not None
        for line in up.stdout:
            if line == "}\n":
                break
        log = tmp_path / "tour.log"
        script = f"trap 'kill $(jobs -p) 2>/dev/null' EXIT\n{tour}"
        with log.open("w") as output:
            run = subprocess.run(
                ["bash", "-euo", "pipefail", "-c", script],
                cwd=tmp_path,
                env=environment,
                stdout=output,
                stderr=output,
                timeout=280,
                pass_fds=[cli.descriptor],
                check=False,
            )
        assert run.returncode == 0, log.read_text()
    finally:
        up.terminate()
        up.wait(30)
        cli.close()

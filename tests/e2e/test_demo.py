"""The whole story as a machine sees it: one object, every check true, on both local chains, with a Prometheus and
without; and nothing is left of it when it is killed."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from wellhead.chain import local

EXPECTED = {
    "chain": {"client", "chain_id"},
    "node": {"id", "share", "gpu_class"},
    "offering": {"raised_usd6", "buyers"},
    "inference": {"model", "calls", "tokens", "paid_usd6", "scheme", "sample"},
    "oracle": {"round", "signers", "covered_seconds", "up_seconds", "busy_gpu_seconds"},
    "income": {
        "received_usd6",
        "operator_usd6",
        "protocol_usd6",
        "level_usd6",
        "claimed_usd6",
        "claimable_usd6",
    },
}


DEMO = [sys.executable, "-m", "wellhead", "demo"]
END_SECONDS = 30


def without_prometheus(folder: Path) -> dict[str, str]:
    """The environment of a machine that has Ganache, and no more than it needs."""
    for program in ("ganache", "node"):
        found = shutil.which(program)
        assert found is not None
        (folder / program).symlink_to(found)
    return {**os.environ, "PATH": str(folder)}


@pytest.fixture(params=local.CLIENTS, scope="module")
def story(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    command = [*DEMO, "--json", "--chain", request.param]
    anvil = request.param == "anvil"
    assert shutil.which("prometheus"), "no Prometheus here: `apt-get install prometheus`"
    environment = dict(os.environ) if anvil else without_prometheus(tmp_path_factory.mktemp("programs"))
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert run.returncode == 0, run.stderr + run.stdout
    told: dict[str, Any] = json.loads(run.stdout)
    assert told["chain"]["client"] == request.param
    return told


def test_the_object_has_what_was_promised(story: dict[str, Any]) -> None:
    for part, fields in EXPECTED.items():
        assert fields <= story[part].keys(), part
    assert {"name", "shares", "claimed_usd6", "claimable_usd6"} <= story["holders"][0].keys()
    assert story["seconds"] > 0


def test_every_check_holds(story: dict[str, Any]) -> None:
    assert len(story["checks"]) >= 16
    assert [check for check in story["checks"] if not check["holds"]] == []


def test_the_figures_agree_with_each_other(story: dict[str, Any]) -> None:
    income, oracle = story["income"], story["oracle"]
    parts = sum(amount for name, amount in income.items() if name != "received_usd6")
    assert 0 <= income["received_usd6"] - parts <= 5
    assert income["received_usd6"] == story["inference"]["paid_usd6"]
    assert income["claimed_usd6"] == sum(holder["claimed_usd6"] for holder in story["holders"])
    assert 0 < oracle["busy_gpu_seconds"] <= oracle["up_seconds"] < oracle["covered_seconds"]
    assert len(set(oracle["signers"])) == 3


def processes_with(mark: str) -> list[str]:
    """Commands of all processes that have `mark` in their environment, which children inherit."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark.encode() in (process / "environ").read_bytes():
                found.append((process / "cmdline").read_text().replace("\0", " "))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def test_no_process_is_left_when_it_is_killed() -> None:
    mark = f"WELLHEAD_TEST_MARK={uuid4()}"
    name, _, value = mark.partition("=")
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, text=True, env={**os.environ, name: value}) as demo:
        assert demo.stdout is not None
        for line in demo.stdout:
            if line.startswith("  reporters"):
                break
        running = processes_with(mark)
        for program in ("anvil", "wellhead.runtime", "gateway run", "oracle run", "prometheus"):
            assert any(program in command for command in running), (program, running)
        demo.send_signal(signal.SIGKILL)
    deadline = time.monotonic() + END_SECONDS
    while left := processes_with(mark):
        assert time.monotonic() < deadline, left
        time.sleep(0.1)  # nobody tells us of processes that are not our children

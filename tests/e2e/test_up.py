"""`wellhead up` as a person uses it: everything there, and nothing left behind however it ends."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from warm_cli import WarmCli
from web3 import Web3

from wellhead.chain import local
from wellhead.chain.contracts.usd import MockUsd


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((local.HOST, port)) == 0


class _Up:
    """A running `wellhead up --json`."""

    def __init__(self, folder: Path, cli: WarmCli, *options: str) -> None:
        self._cli = cli
        self.port = local.free_port()
        self.environment = {
            **os.environ,
            "WELLHEAD_NETWORK": f"http://{local.HOST}:{self.port}",
            "WELLHEAD_DEPLOYMENTS": str(folder / "deployments"),
        }
        command = [sys.executable, "-m", "wellhead", "up", "--json", "--port", str(self.port), *options]
        self.process = subprocess.Popen(
            command, cwd=folder, env=self.environment, stdout=subprocess.PIPE, text=True
        )
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line == "}\n":
                break
        self.announced = json.loads(text)

    def run(self, *command: str) -> subprocess.CompletedProcess[str]:
        return self._cli.run(list(command), self.environment)

    def end(self, number: int) -> None:
        self.process.send_signal(number)
        self.process.wait(30)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarmCli]:
    warm = WarmCli(tmp_path_factory.mktemp("cli") / "wellhead")
    yield warm
    warm.close()


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, cli: WarmCli) -> Iterator[_Up]:
    """For tests that change nothing on it."""
    running = _Up(tmp_path_factory.mktemp("up"), cli)
    yield running
    running.end(signal.SIGTERM)


@pytest.fixture
def up(tmp_path: Path, cli: WarmCli) -> Iterator[_Up]:
    running = _Up(tmp_path, cli)
    yield running
    running.process.kill()
    running.process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_leaves_no_process_behind(up: _Up, number: int) -> None:
    assert _listens(up.port)
    up.end(number)
    deadline = time.monotonic() + 15
    while _listens(up.port):
        assert time.monotonic() < deadline, "the chain outlived `wellhead up`"
    if number != signal.SIGKILL:
        assert up.process.returncode == 0


def test_everything_is_there_and_bad_input_is_named(shared: _Up) -> None:
    assert set(shared.announced["contracts"]) >= {"MockUSD", "NodeRegistry", "NodeShareFactory", "Offering"}
    balance = shared.run("usd", "balance", "holder", "--json")
    assert json.loads(balance.stdout)["balance_usd6"] == 10**12

    for command, code, words in (
        (("usd", "send", "holder", "1e6"), 2, "1e6"),
        (("usd", "send", "holder", "1.2345678"), 2, "1.2345678"),
        (("usd", "send", "holder", "--", "-5"), 2, "-5"),
        (("usd", "send", "0x1234", "5"), 2, "0x1234"),
        (("usd", "send", "holder", "9999999999"), 1, "nsufficient"),
        (("usd", "send", "holder", "5", "--as", "nobody"), 2, "nobody"),
        (("usd", "balance", "holder", "--network", "mars"), 2, "mars"),
        (("usd", "send", "holder", "9" * 5_000), 2, "9999"),
        (("usd", "send", "holder", "5", "--as", "ab" * 32), 2, "private key"),
        (("clock", "advance", "99999999999d"), 2, "largest possible"),
        (("oracle", "report", "1", "--runtime", "banana"), 2, "banana"),
        (("up", "--state", __file__), 1, "test_up.py"),
        (("usd", "balance", "holder", "--network", "http://127.0.0.1:1"), 1, "127.0.0.1:1"),
        (("shares", "buy", "7", "1"), 2, "node 7"),
        (("node", "show", "1"), 2, "unknown node 1"),
        (("shares", "mint", "1", "--name", "a", "--symbol", "b", "--tau", "soon"), 2, "soon"),
    ):
        refused = shared.run(*command)
        assert refused.returncode == code, (command, refused)
        assert words in refused.stderr, (command, refused.stderr)
        assert "ab" * 32 not in refused.stderr
        assert refused.stdout == ""
        assert "Traceback" not in refused.stderr


def test_a_used_port_is_named(shared: _Up) -> None:
    second = shared.run("up", "--port", str(shared.port))
    assert second.returncode == 1
    assert f"port {shared.port} is in use" in second.stderr


def test_a_second_chain_needs_its_own_addresses(shared: _Up) -> None:
    """It would put its manifest in the place of that of a chain that is still running."""
    manifest = Path(shared.announced["manifest"])
    before = manifest.read_bytes()
    second = shared.run("up", "--port", "0")
    assert second.returncode == 1
    assert "--deployments" in second.stderr
    assert manifest.read_bytes() == before
    assert shared.run("node", "list").returncode == 0


def test_what_is_refused_leaves_no_allowance(up: _Up, tmp_path: Path) -> None:
    """And what an operator registered is shown as it is, however it is spelled."""
    spec = {
        "name": "n",
        "gpu_class": "[/b]",
        "gpu_count": 2,
        "region": "US",
        "power_watts": 9,
        "sla_bps": 9_900,
    }
    (tmp_path / "node.json").write_text(json.dumps(spec))
    attestors = [word for number in range(3) for word in ("--by", f"attestor-{number}")]
    for command in (
        ("node", "register", str(tmp_path / "node.json")),
        ("node", "list"),
        ("node", "attest", "1", str(tmp_path / "node.json"), *attestors),
        ("shares", "mint", "1", "--name", "N", "--symbol", "N"),
        (
            "shares",
            "offer",
            "1",
            "--price",
            "10",
            "--hard-cap",
            "1000",
            "--soft-cap",
            "500",
            "--duration",
            "2h",
        ),
        ("shares", "show", "1"),
    ):
        done = up.run(*command)
        assert done.returncode == 0, (command, done.stderr)
    assert "$10.00" in done.stdout
    for command, code in (
        (("shares", "buy", "1", "1001"), 1),
        (("shares", "buy", "1", "1", "--max-cost", "1"), 1),
        (("shares", "buy", "1", "1001", "--dry-run"), 1),
        (("node", "bond", "1", "900000000"), 1),
    ):
        refused = up.run(*command)
        assert refused.returncode == code, (command, refused)
        assert "Traceback" not in refused.stderr
    w3 = Web3(Web3.HTTPProvider(up.announced["url"]))
    usd = MockUsd(w3, up.announced["contracts"]["MockUSD"])
    accounts, contracts = up.announced["accounts"], up.announced["contracts"]
    assert usd.allowance(accounts["holder"], contracts["Offering"]) == 0
    assert usd.allowance(accounts["operator"], contracts["NodeRegistry"]) == 0


def test_a_kept_chain_comes_back_as_it_was(tmp_path: Path, cli: WarmCli) -> None:
    state = ("--state", str(tmp_path / "state"))
    first = _Up(tmp_path, cli, *state)
    assert first.run("usd", "send", "holder", "5").returncode == 0
    first.end(signal.SIGTERM)
    second = _Up(tmp_path, cli, *state)
    try:
        assert second.announced["contracts"] == first.announced["contracts"]
        balance = second.run("usd", "balance", "holder", "--json")
        assert json.loads(balance.stdout)["balance_usd6"] == 10**12 + 5_000_000
    finally:
        second.end(signal.SIGTERM)

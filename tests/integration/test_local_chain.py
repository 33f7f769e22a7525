"""Local chains: both clients alike, one clock, and never a process left behind."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from wellhead.chain import local
from wellhead.chain.fast_clock import FastClock
from wellhead.errors import Misused

CLIENTS = pytest.mark.parametrize("client", local.CLIENTS)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((local.HOST, port)) == 0


@CLIENTS
def test_a_chain_starts_a_year_in_the_past_and_moves_on_demand(client: str, tmp_path: Path) -> None:
    with local.running(client, log=tmp_path / "log") as chain:
        w3 = chain.connect()
        begun = local.chain_time(w3)
        assert abs(time.time() - local.YEAR_SECONDS - begun) < 60
        for seconds in (1, 3_600, 30 * 86_400):
            before = local.chain_time(w3)
            assert local.advance(w3, seconds) == before + seconds
        sender, receiver = w3.eth.accounts[:2]
        w3.eth.wait_for_transaction_receipt(
            w3.eth.send_transaction({"from": sender, "to": receiver, "value": 1})
        )
        assert 0 <= local.chain_time(w3) - (begun + 1 + 3_600 + 30 * 86_400) < 60
        assert len(w3.eth.accounts) == local.ACCOUNTS
    assert not _listens(chain.port)


@CLIENTS
def test_a_fast_clock_keeps_its_pace_while_others_send(client: str, tmp_path: Path) -> None:
    factor = 1_000
    with local.running(client, log=tmp_path / "log") as chain:
        w3 = chain.connect()
        sender, receiver = w3.eth.accounts[:2]
        begun, anchor_ms = local.chain_time(w3), int(time.time() * 1000)
        with FastClock(chain.connect(), begun, anchor_ms, factor):
            while local.chain_time(w3) < begun + 3 * factor:
                assert time.time() * 1000 < anchor_ms + 60_000
                w3.eth.send_transaction({"from": sender, "to": receiver, "value": 1})
        ended = local.chain_time(w3)
        assert ended - begun <= (time.time() * 1000 - anchor_ms) * factor / 1000 + 60
        blocks = [w3.eth.get_block(number)["timestamp"] for number in range(w3.eth.block_number + 1)]
        assert blocks == sorted(blocks)
        w3.eth.send_transaction({"from": sender, "to": receiver, "value": 1})
        assert local.chain_time(w3) - ended < 60


@CLIENTS
def test_a_kept_chain_goes_on_where_it_was(client: str, tmp_path: Path) -> None:
    numbers = []
    for _ in range(2):
        chain = local.start(client, log=tmp_path / "log", state=tmp_path / "state")
        w3 = chain.connect()
        numbers.append(w3.eth.block_number)
        local.advance(w3, 10)
        chain.stop()
    assert numbers[1] > numbers[0]


def test_sigkill_leaves_no_chain_behind(tmp_path: Path) -> None:
    port = local.free_port()
    program = (
        "import sys, time; from pathlib import Path; from wellhead.chain import local;"
        f"local.start('anvil', port={port}, log=Path(sys.argv[1])); print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path / "log")], stdout=subprocess.PIPE, text=True
    ) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == "up\n"
        assert _listens(port)
        os.kill(owner.pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while _listens(port):
        assert time.monotonic() < deadline, "the chain outlived its owner"


def test_a_used_port_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind((local.HOST, 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(local.LocalChainError, match=f"port {port} is in use"):
            local.start("anvil", port=port, log=tmp_path / "log")


def test_an_unknown_client_names_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="unknown chain 'geth'; known: anvil, ganache"):
        local.start("geth", log=tmp_path / "log")


def test_a_missing_client_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(local.LocalChainError, match="install Foundry"):
        local.start("anvil", log=tmp_path / "log")

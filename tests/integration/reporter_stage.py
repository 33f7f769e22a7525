"""A chain whose hours pass in seconds, a node that serves, and reporters' daemons as processes of their own."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import kill
from pathlib import Path
from typing import Any

import httpx
from listed_node import list_node
from node_process import Runtime

from wellhead.chain import keys, local
from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.fast_clock import FastClock
from wellhead.chain.transact import Sender
from wellhead.cli.session import Session
from wellhead.deploy.local import deploy_local
from wellhead.oracle.local_reporter import LocalRound, command
from wellhead.processes import ManagedProcess
from wellhead.reference.record import NodeRecord, unpack_entries

NODE = 1
SLOT_MS = 500
# A slot stands for 200 seconds, nine seconds for a window of an hour.
FACTOR = 400
SECONDS_PER_SLOT = SLOT_MS * FACTOR // 1000
PATIENCE_SECONDS = 180


class Daemon:
    """`wellhead oracle run` of one reporter."""

    def __init__(self, stage: ReporterStage, number: int) -> None:
        self._stage, self.number = stage, number
        self.address = keys.local_account(f"reporter-{number}").address
        self.folder = stage.folder / f"reporter-{number}"
        self.url = f"http://{local.HOST}:{local.free_port()}"
        self.process: ManagedProcess | None = None

    def start(self, rpc_url: str | None = None, fleet_file: Path | None = None) -> None:
        """Returns at once; with another RPC than the chain's own, or other nodes, if they are given."""
        stage = self._stage
        urls = {one.number: one.url for one in stage.daemons}
        rounds = LocalRound(stage.anchor_ms, FACTOR, settle_seconds=1, step_seconds=2, batch_rounds=2)
        watched, rpc = fleet_file or stage.fleet_file, rpc_url or stage.session.network.rpc_url
        started = command(self.number, urls, watched, self.folder, rounds, rpc, stage.folder)
        self.process = ManagedProcess(started, stage.folder / f"reporter-{self.number}.log")

    def stop(self) -> None:
        if self.process is not None:
            self.process.stop()

    def kill(self) -> None:
        assert self.process is not None
        kill(self.process.child_pid, signal.SIGKILL)
        self.process.stop()

    def status(self) -> dict[str, Any]:
        return dict(httpx.get(f"{self.url}/status", timeout=5).raise_for_status().json())

    def healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/healthz", timeout=5).status_code == 200
        except httpx.TransportError:
            return False

    def log(self) -> list[dict[str, Any]]:
        """What it logged."""
        lines = (self._stage.folder / f"reporter-{self.number}.log").read_text().splitlines()
        return [json.loads(line) for line in lines if line.startswith("{")]


class ReporterStage:
    """Everything, and what the chain has of it."""

    def __init__(self, session: Session, folder: Path, runtime: Runtime, anchor_ms: int, count: int) -> None:
        self.session, self.folder, self.runtime, self.anchor_ms = session, folder, runtime, anchor_ms
        self.fleet_file = folder / "fleet.toml"
        self.daemons = [Daemon(self, number) for number in range(count)]

    @property
    def oracle(self) -> TelemetryOracle:
        return self.session.oracle

    @property
    def scores(self) -> ReporterScores:
        return ReporterScores(self.session.w3, self.session.manifest.address("ReporterScores"))

    def records(self) -> dict[int, NodeRecord]:
        """The node's record by round, of every report that was posted."""
        return {
            one.round: dict(unpack_entries(one.records))[NODE] for one in self.oracle.reports() if one.records
        }

    def until(self, what: str, holds: Callable[[], bool]) -> None:
        """Wait for it; fails with every daemon's last words."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not holds():
            if time.monotonic() > deadline:
                words = [one.process.log_tail(12) for one in self.daemons if one.process is not None]
                raise AssertionError("\n\n".join([f"not within {PATIENCE_SECONDS} s: {what}", *words]))
            time.sleep(0.1)  # processes of their own have no event to wait for

    def until_round(self, round_number: int) -> None:
        self.until(f"round {round_number}", lambda: self.oracle.latest_round() >= round_number)

    def more_rounds(self, count: int) -> None:
        self.until_round(self.oracle.latest_round() + count)


@contextmanager
def reporter_stage(folder: Path, count: int) -> Iterator[ReporterStage]:
    """`count` of five reporters, not started yet, before one node."""
    with local.running("anvil", log=folder / "anvil.log") as chain:
        deploy_local(Sender(chain.connect(), keys.local_account("owner")), folder)
        session = Session(chain.url, folder)
        list_node(session, NODE, "operator")
        runtime = Runtime(folder / "runtime.log")
        try:
            # What was done since genesis is over by then.
            genesis = session.oracle.window_end_of(0)
            passed_ms = (session.now() - genesis) * 1000 // FACTOR
            anchor_ms = int(time.time() * 1000) - passed_ms
            stage = ReporterStage(session, folder, runtime, anchor_ms, count)
            stage.fleet_file.write_text(fleet(chain.url, runtime.url))
            with FastClock(chain.connect(), genesis, anchor_ms, FACTOR):
                try:
                    yield stage
                finally:
                    for daemon in stage.daemons:
                        daemon.stop()
        finally:
            runtime.stop()


def fleet(rpc_url: str, runtime_url: str) -> str:
    return f"""
slot_ms = {SLOT_MS}
canaries = [{{ type = "chain", rpc_url = "{rpc_url}", chain_id = {local.CHAIN_ID} }}]

[[nodes]]
id = {NODE}
sources = [
  {{ type = "exporter", kind = "runtime", url = "{runtime_url}/metrics" }},
  {{ type = "health", url = "{runtime_url}/healthz" }},
]
"""

"""The reporters: daemons with a key, an instrument and books of their own, that know each other by URL alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from wellhead.chain import keys, local
from wellhead.demo.prometheus import Prometheus, is_installed
from wellhead.demo.stage import Stage
from wellhead.errors import Refused
from wellhead.oracle.local_reporter import LocalRound, command
from wellhead.oracle.schedule import Schedule
from wellhead.processes import ManagedProcess

SETTLE_SECONDS, STEP_SECONDS = 1, 2
SERVER, NODE_JOB = "own", "node"


class ReporterProcess:
    """`wellhead oracle run` by one reporter, over a Prometheus that only it asks, where there is one."""

    def __init__(self, stage: Stage, number: int) -> None:
        """Nothing runs yet."""
        self._stage, self.number = stage, number
        self._folder = stage.folder / f"reporter-{number}"
        self.address = keys.local_account(f"reporter-{number}").address
        self.url = f"http://{local.HOST}:{local.free_port()}"
        self._processes: list[ManagedProcess] = []

    def start(
        self, node: int, runtime_url: str, schedule: Schedule, others: Sequence[ReporterProcess]
    ) -> None:
        """Returns at once."""
        self._folder.mkdir()
        server = None
        if is_installed():
            # Its line to the world is proven by whatever else it reaches: the other reporters.
            jobs = {
                NODE_JOB: [_instance(runtime_url)],
                "reporters": [_instance(other.url) for other in others],
            }
            slot_ms = schedule.scale.interval_ms
            server = Prometheus(self._folder / "prometheus", jobs, slot_ms // 2)
            self._processes.append(server.process)
        fleet_file = self._folder / "fleet.json"
        fleet_file.write_text(json.dumps(self._fleet(node, runtime_url, schedule, server), indent=1))
        self._processes.append(self._daemon(fleet_file, schedule, others))

    def stop(self) -> None:
        """End what was started."""
        for process in reversed(self._processes):
            process.stop()

    def require_running(self) -> None:
        """Raises Refused with the last words of what has ended."""
        for process in self._processes:
            if not process.running:
                raise Refused(f"reporter {self.number} has ended:\n{process.log_tail()}")

    def _fleet(
        self, node: int, runtime_url: str, schedule: Schedule, server: Prometheus | None
    ) -> dict[str, Any]:
        chain = self._stage.chain
        document: dict[str, Any] = {
            "slot_ms": schedule.scale.interval_ms,
            "canaries": [{"type": "chain", "rpc_url": chain.url, "chain_id": self._stage.w3.eth.chain_id}],
        }
        counts = {"type": "exporter", "kind": "runtime", "url": f"{runtime_url}/metrics"}
        if server is not None:
            document["prometheus"] = {SERVER: {"url": server.url, "canary": f'up{{job!="{NODE_JOB}"}}'}}
            counts = {
                "type": "prometheus",
                "server": SERVER,
                "kind": "runtime",
                "instance": _instance(runtime_url),
            }
        health = {"type": "health", "url": f"{runtime_url}/healthz"}
        return document | {"nodes": [{"id": node, "sources": [counts, health]}]}

    def _daemon(
        self, fleet_file: Path, schedule: Schedule, others: Sequence[ReporterProcess]
    ) -> ManagedProcess:
        stage = self._stage
        urls = {one.number: one.url for one in (self, *others)}
        rounds = LocalRound(schedule.anchor_ms, schedule.scale.factor, SETTLE_SECONDS, STEP_SECONDS)
        started = command(
            *(self.number, urls, fleet_file, self._folder / "books", rounds, stage.chain.url),
            stage.deployments,
        )
        return ManagedProcess(started, stage.folder / f"reporter-{self.number}.log")


class Reporters:
    """Those of the five that are not silent."""

    def __init__(self, stage: Stage, count: int) -> None:
        self._all = [ReporterProcess(stage, number) for number in range(count)]

    def start(self, node: int, runtime_url: str, schedule: Schedule) -> None:
        """Returns at once."""
        for one in self._all:
            one.start(node, runtime_url, schedule, [other for other in self._all if other is not one])

    def stop(self) -> None:
        """All at the same time."""
        with ThreadPoolExecutor(len(self._all)) as pool:
            list(pool.map(ReporterProcess.stop, self._all))

    def require_running(self) -> None:
        """Raises Refused with the last words of one that has ended."""
        for one in self._all:
            one.require_running()

    @property
    def urls(self) -> list[str]:
        """The roots of their daemons."""
        return [one.url for one in self._all]


def how_they_measure() -> str:
    """For people."""
    if is_installed():
        return "each asks a Prometheus of its own"
    return "each scrapes the node by itself, as no Prometheus is installed"


def _instance(url: str) -> str:
    return urlsplit(url).netloc

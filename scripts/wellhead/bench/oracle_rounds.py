"""How long a round takes: from the end of its window until its report is mined, with reporters as processes of their
own on this machine."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import NamedTuple

from wellhead.chain import keys, local
from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.fast_clock import FastClock
from wellhead.chain.transact import Sender
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.parameters import local_parameters
from wellhead.errors import Refused
from wellhead.node_spec import SpecDocument
from wellhead.oracle.local_reporter import LocalRound, command
from wellhead.oracle.round import TimeScale
from wellhead.oracle.schedule import Schedule
from wellhead.processes import ManagedProcess

SLOT_MS, FACTOR = 1_000, 200
SETTLE_SECONDS, STEP_SECONDS = 1, 4
SPEC = SpecDocument(name="bench", gpu_class="BENCH", gpu_count=1, region="US", power_watts=1, sla_bps=9_900)
TIMEOUT_SECONDS = 300
WARM_ROUNDS = 1


class RoundTime(NamedTuple):
    """The median over some rounds. The time until a window's last scrapes are in is part of it.

    `running` of a set of `reporters` were at work, and waited a step for the silent ones; `signatures` make a report.
    """

    running: int
    reporters: int
    signatures: int
    settle_seconds: float
    window_end_to_mined_seconds: float
    slowest_seconds: float


def measure_rounds(exporters_url: str, running: int, reporters: int, faulty: int, rounds: int) -> RoundTime:
    """With `running` of a set of `reporters` at work, of which up to `faulty` might lie. Raises Refused."""
    with TemporaryDirectory(prefix="wellhead-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        chain = stack.enter_context(local.running("anvil", log=folder / "chain.log"))
        w3 = chain.connect()
        owner = Sender(w3, keys.local_account("owner"))
        addresses = tuple(keys.local_account(f"reporter-{number}").address for number in range(reporters))
        chosen = {"reporters": addresses, "reporters_faulty": faulty}
        parameters = local_parameters(local.chain_time(w3)).model_copy(update=chosen)
        manifest = deploy_all(owner, parameters, folder).manifest
        registry = NodeRegistry(w3, manifest.address("NodeRegistry"))
        node: int = owner.send(registry.register(SPEC.on_chain(), SPEC.data_uri())).result
        oracle = TelemetryOracle(w3, manifest.address("TelemetryOracle"), manifest.first_block)
        genesis = oracle.window_end_of(0)
        passed_ms = (local.chain_time(w3) - genesis) * 1000 // FACTOR
        schedule = Schedule(
            genesis, oracle.window_seconds(), TimeScale(SLOT_MS, FACTOR), int(time.time() * 1000) - passed_ms
        )
        fleet = folder / "fleet.json"
        fleet.write_text(json.dumps(_fleet(chain, node, exporters_url)))
        stack.enter_context(FastClock(w3, genesis, schedule.anchor_ms, FACTOR))
        daemons = _start(stack, folder, chain.url, fleet, schedule, running, reporters)
        taken = _watch(oracle, schedule, rounds, daemons)
        return RoundTime(
            running,
            reporters,
            oracle.quorum(),
            SETTLE_SECONDS,
            round(median(taken), 2),
            round(max(taken), 2),
        )


def _fleet(chain: local.LocalChain, node: int, exporters_url: str) -> dict[str, object]:
    reached = {"type": "chain", "rpc_url": chain.url, "chain_id": local.CHAIN_ID}
    gpus = {"type": "exporter", "kind": "dcgm", "url": f"{exporters_url}/metrics"}
    return {"slot_ms": SLOT_MS, "canaries": [reached], "nodes": [{"id": node, "sources": [gpus]}]}


def _start(
    stack: ExitStack,
    folder: Path,
    rpc_url: str,
    fleet: Path,
    schedule: Schedule,
    running: int,
    reporters: int,
) -> list[ManagedProcess]:
    """At the others' addresses nobody listens, as it is with reporters that are down."""
    urls = {number: f"http://{local.HOST}:{local.free_port()}" for number in range(reporters)}
    daemons = []
    rounds = LocalRound(schedule.anchor_ms, FACTOR, SETTLE_SECONDS, STEP_SECONDS)
    for number in range(running):
        data = folder / f"reporter-{number}"
        started = command(number, urls, fleet, data, rounds, rpc_url, folder)
        daemon = ManagedProcess(started, folder / f"reporter-{number}.log")
        stack.callback(daemon.stop)
        daemons.append(daemon)
    return daemons


def _watch(
    oracle: TelemetryOracle, schedule: Schedule, rounds: int, daemons: Sequence[ManagedProcess]
) -> list[float]:
    """Seconds that each of the next rounds took. A round that is left out lengthens nobody's time."""
    until, seen, taken = time.monotonic() + TIMEOUT_SECONDS, oracle.latest_round(), list[float]()
    while len(taken) < rounds + WARM_ROUNDS:
        latest = oracle.latest_round()
        if latest > seen:
            seen = latest
            taken.append(time.time() - schedule.wall_end_ms(latest) / 1000)
        ended = [daemon for daemon in daemons if not daemon.running]
        if ended or time.monotonic() > until:
            raise Refused(f"{len(taken)} rounds were reported:\n{(ended or daemons)[0].log_tail()}")
        time.sleep(0.02)  # the chain is asked often enough to tell hundredths
    return taken[WARM_ROUNDS:]

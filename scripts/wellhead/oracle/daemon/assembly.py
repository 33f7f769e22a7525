"""A reporter's daemon out of its parts."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from starlette.applications import Starlette

from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.outbox.journal import OutboxJournal
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.outbox.sender import Outbox
from wellhead.errors import Misused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.counting import Counting
from wellhead.oracle.daemon.evidence import evidence_routes
from wellhead.oracle.daemon.history import History
from wellhead.oracle.daemon.listening import create_app
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.pusher import Pusher, PushPolicy
from wellhead.oracle.daemon.reporter import Pace, Reporter
from wellhead.oracle.daemon.reveals import RevealPeer, reveal_routes
from wellhead.oracle.daemon.scorer import ScorePace, Scorer
from wellhead.oracle.daemon.scores_view import ScoresView
from wellhead.oracle.daemon.store import ReporterStore
from wellhead.oracle.daemon.tallies import Tallies
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.daemon.watcher import Watcher
from wellhead.oracle.daemon.witness import MAX_ROUNDS_AT_ONCE, Witness
from wellhead.oracle.exchange.mail import HttpPeers
from wellhead.oracle.exchange.play import Patience
from wellhead.oracle.fleet import Fleet
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.records.peer import RecordPeer
from wellhead.oracle.records.serving import record_routes
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.round import TimeScale
from wellhead.oracle.schedule import Schedule
from wellhead.oracle.sources.looks import LookBook
from wellhead.oracle.trigger import Trigger

THREADS = 32


@dataclass(frozen=True)
class Settings:
    """What one reporter is told."""

    fleet: FleetSettings
    peers: Mapping[str, str]
    """The other reporters: the root of each one's daemon, by address."""
    folder: Path
    patience: Patience = field(default_factory=Patience)
    pace: Pace = field(default_factory=Pace)
    sending: SendingPolicy = field(default_factory=SendingPolicy)
    pushing: PushPolicy = field(default_factory=PushPolicy)
    trigger: Trigger | None = None
    """Without any, every window is reported."""
    batch_rounds: int = ScorePace.every
    """Rounds that are scored at once: the same for all reporters."""
    factor: int = 1
    """Of a local chain alone: chain seconds that an observed second stands for."""
    anchor_ms: int | None = None
    """Of a local chain alone: the wall milliseconds that stand for the oracle's genesis."""


def assemble(
    settings: Settings,
    oracle: TelemetryOracle,
    registry: NodeRegistry,
    scores: ReporterScores,
    account: LocalAccount,
    gas_payer: LocalAccount | None,
) -> Starlette:
    """The daemon's application; it works as long as it is served. Raises Misused, Refused."""
    view = ChainView(oracle, registry)
    schedule = schedule_of(settings, view)
    others = set(view.config().reporters) - {account.address}
    strangers = sorted(set(settings.peers) - others)
    if strangers:
        known = ", ".join(sorted(others))
        raise Misused(f"{strangers[0]} is no other reporter of this oracle; those are {known}")
    most = view.ring_rounds // 2
    if not 1 <= settings.batch_rounds <= most:
        raise Misused(
            f"scores of {settings.batch_rounds} rounds at once: let it be 1 to {most}, half of what the oracle keeps"
        )
    settings.folder.mkdir(parents=True, exist_ok=True)
    store = ReporterStore(f"sqlite:///{settings.folder / 'reporter.db'}")
    records = RecordStore(settings.folder / "records", settings.pace.keep_rounds)
    history = History(view, store, records, [RecordPeer(url) for url in settings.peers.values()])
    wall_seconds = schedule.window_seconds / schedule.scale.factor
    _require_time(settings, wall_seconds)
    progress = Progress(wall_seconds, dry=False)
    transmitter = pusher = None
    if gas_payer is not None:
        journal = OutboxJournal(store.engine, time.time, oracle.w3.eth.chain_id, gas_payer.address)
        outbox = Outbox(oracle.w3, gas_payer, journal, settings.sending, time.time)
        transmitter = Transmitter(view, gas_payer, outbox)
        pusher = Pusher(view, records, transmitter, account.address, settings.pushing, time.time)
    fleet = Fleet(settings.fleet, account.address, LookBook(f"sqlite:///{settings.folder / 'looks.db'}"))
    if settings.trigger is not None:
        require_remembered(settings, settings.trigger, fleet, schedule)
    tallies = Tallies(store.engine, account.address)
    patience, pace = settings.patience, settings.pace
    counting = Counting(view, tallies, records, [RevealPeer(url) for url in settings.peers.values()])
    scorer = Scorer(
        *(account, view, ScoresView(scores, oracle), counting, progress, transmitter),
        ScorePace(settings.batch_rounds, patience.leader, patience.leader + pace.transmit),
    )
    reporter = Reporter(
        *(account, view, schedule, Witness(schedule, fleet, progress), store, history, progress),
        *(transmitter, pusher, scorer),
        patience=settings.patience,
        pace=settings.pace,
        trigger=settings.trigger,
    )

    async def work() -> None:
        # A node of the chain that hangs must not keep letters from being kept.
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(THREADS))
        async with HttpPeers(settings.peers) as peers:
            await reporter.run(peers)

    def status() -> dict[str, Any]:
        return status_of(account.address, progress, store, transmitter, pusher)

    return create_app(
        reporter.post,
        progress,
        [*evidence_routes(store), *reveal_routes(tallies), *record_routes(records)],
        status,
        work,
    )


def status_of(
    reporter: str,
    progress: Progress,
    store: ReporterStore,
    transmitter: Transmitter | None,
    pusher: Pusher | None,
) -> dict[str, Any]:
    """What a reporter says of itself, for people."""
    said_two_things = [
        {
            "round": one.round,
            "reporter": one.reporter,
            "commitments": [f"0x{one.first.hex()}", f"0x{one.second.hex()}"],
        }
        for one in store.equivocations()
    ]
    return {
        "reporter": reporter,
        **progress.status(),
        "transmission": "" if transmitter is None else transmitter.problem,
        "pushing": "" if pusher is None else pusher.state,
        "said_two_things": said_two_things,
    }


def assemble_dry(settings: Settings, oracle: TelemetryOracle, registry: NodeRegistry) -> Starlette:
    """As `assemble`, without a key: it watches, and says and keeps nothing. Raises Misused."""
    view = ChainView(oracle, registry)
    schedule = schedule_of(settings, view)
    progress = Progress(schedule.window_seconds / schedule.scale.factor, dry=True)
    witness = Witness(schedule, Fleet(settings.fleet), progress)
    watcher = Watcher(view, schedule, witness, progress, settings.pace)

    def status() -> dict[str, Any]:
        return {"reporter": "nobody, dry", **progress.status()}

    return create_app(None, progress, [], status, watcher.run)


def _require_time(settings: Settings, wall_seconds: float) -> None:
    """Whatever fails, a round must be over before the next one is due."""
    patience = settings.patience
    needed = settings.pace.settle + patience.commit + patience.reveal + patience.leader
    if needed > wall_seconds:
        raise Misused(
            f"a round may take {needed:g} s to settle, commit, reveal and propose, and the next window ends after "
            f"{wall_seconds:g} s: allow less for each"
        )


def require_remembered(settings: Settings, trigger: Trigger, fleet: Fleet, schedule: Schedule) -> None:
    """What is left out must be there for the next report, and for one more if that fails. Raises Misused."""
    trigger.require_fits(schedule.window_seconds, MAX_ROUNDS_AT_ONCE // 2)
    pace, patience, remembered = settings.pace, settings.patience, settings.fleet.remember_seconds
    chain_seconds = trigger.heartbeat_seconds + schedule.window_seconds
    needed = -(-chain_seconds // schedule.scale.factor) + math.ceil(pace.settle + pace.poll + patience.commit)
    if fleet.is_live and remembered < needed:
        raise Misused(
            f"with a heartbeat of {trigger.heartbeat_seconds} s a report covers looks of {needed} s, and looks are "
            f"remembered for {remembered} s: set remember_seconds in the file of nodes to {needed} or more"
        )


def schedule_of(settings: Settings, view: ChainView) -> Schedule:
    """Raises Misused for slots that do not fit the oracle's windows."""
    slot_ms = settings.fleet.slot_ms
    if settings.anchor_ms is None:
        if settings.factor != 1:
            raise Misused("observed time is scaled from some moment on: give it as the anchor")
        return Schedule.live(view.genesis, view.window_seconds, slot_ms)
    scale = TimeScale(slot_ms, settings.factor)
    return Schedule(view.genesis, view.window_seconds, scale, settings.anchor_ms)

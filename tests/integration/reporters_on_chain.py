"""Whole reporters' daemons in one event loop, before a real chain whose blocks carry the loop's time: it takes seconds.

What they watch answers without a network, at the loop's time as well; all that follows is theirs, up to the contract.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from web3 import Web3
from web3.types import RPCEndpoint

from reporter_world import GENESIS, PATIENCE, Told, Wires, now
from wellhead.chain import keys, local
from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.outbox.journal import OutboxJournal, Signed
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.outbox.sender import Outbox
from wellhead.chain.transact import Sender
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.parameters import local_parameters
from wellhead.node_spec import SpecDocument
from wellhead.oracle import fleet
from wellhead.oracle.daemon.assembly import status_of
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.counting import Counting
from wellhead.oracle.daemon.history import History
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.reporter import Pace, Reporter
from wellhead.oracle.daemon.scorer import ScorePace, Scorer
from wellhead.oracle.daemon.scores_view import ScoresView
from wellhead.oracle.daemon.store import ReporterStore
from wellhead.oracle.daemon.tallies import Tallies
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.daemon.witness import Witness
from wellhead.oracle.exchange.messages import Message
from wellhead.oracle.fleet import Fleet
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.schedule import Schedule
from wellhead.oracle.sources.build import Built
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import LiveSource, Reader, Reading
from wellhead.oracle.sources.meters import Kind

WINDOW_SECONDS, SLOT_SECONDS, BLOCK_SECONDS = 600, 10, 30
REPORTERS = 4
# Round 1's window begins when everybody has been looking for a while.
START = GENESIS + 60
SCORE_PACE = ScorePace(every=2, ask=20, turn=240)
PACE = Pace(settle=15, poll=120, transmit=400, keep_rounds=16)
SPEC = SpecDocument(name="well", gpu_class="CPU", gpu_count=1, region="US", power_watts=300, sla_bps=9_900)


class Canary:
    """Always there: every reporter's line is good."""

    line, kind, asked = HERE, Kind("none"), "a page"

    async def read(self, _client: httpx.AsyncClient, _slot: int, _timeout_seconds: float) -> Reading:
        return Reading({})


class NeverLate:
    """In a loop in which no time passes nothing is."""

    async def run(self) -> None:
        await asyncio.Event().wait()

    def spoils(self, _begun: float, _timeout_seconds: float) -> bool:
        return False


class BlockView(ChainView):
    """Everybody's: between two blocks the chain is asked everything once, as ten thousand calls take a minute."""

    def __init__(self, oracle: TelemetryOracle, registry: NodeRegistry) -> None:
        super().__init__(oracle, registry)
        self.known: dict[tuple[Any, ...], Any] = {}

    def _once(self, ask: Callable[..., Any], *arguments: Any) -> Any:
        key = (ask.__name__, *arguments)
        if key not in self.known:
            self.known[key] = ask(*arguments)
        return self.known[key]

    def config(self) -> Any:
        return self._once(super().config)

    def chain_time(self) -> Any:
        return self._once(super().chain_time)

    def latest_round(self) -> Any:
        return self._once(super().latest_round)

    def ended_round(self) -> Any:
        return self._once(super().ended_round)

    def posted(self, round_number: int) -> Any:
        return self._once(super().posted, round_number)


class Site:
    """One reporter's machine, its clock off by so many seconds."""

    def __init__(self, world: ChainWorld, number: int, node: Reader, off_seconds: float) -> None:
        self.world, self.account = world, keys.local_account(f"reporter-{number}")
        self.payer, self._node, self._off = keys.local_account(f"transmitter-{number}"), node, off_seconds
        self.folder = world.folder / str(number)
        self.folder.mkdir()
        self.books = f"sqlite:///{self.folder / 'reporter.db'}"
        self.told = Told()
        self.reporter: Reporter | None = None
        self.status: Callable[[], dict[str, Any]] = dict

    def signed_at(self, nonce: int) -> list[Signed]:
        """What its books say was signed with that nonce."""
        store = ReporterStore(self.books)
        with closing(store):
            return OutboxJournal(store.engine, now, local.CHAIN_ID, self.payer.address).signed_at(nonce)

    def step(self, _name: str) -> None:
        """Nobody is killed here."""

    def clock(self) -> float:
        return now() + self._off

    async def run(self) -> None:
        world, w3 = self.world, self.world.w3
        store = ReporterStore(self.books)
        records = RecordStore(self.folder / "records", PACE.keep_rounds)
        view = world.view
        journal = OutboxJournal(store.engine, self.clock, local.CHAIN_ID, self.payer.address)
        outbox = Outbox(w3, self.payer, journal, world.sending, self.clock)
        transmitter = Transmitter(view, self.payer, outbox)
        schedule = Schedule.live(view.genesis, WINDOW_SECONDS, SLOT_SECONDS * 1_000)
        progress = Progress(WINDOW_SECONDS, dry=False, clock=asyncio.get_running_loop().time)
        with pytest.MonkeyPatch.context() as patch:
            built = Built({world.node: (LiveSource(self._node),)}, (LiveSource(Canary()),))
            patch.setattr(fleet, "build", lambda _settings: built)
            patch.setattr(fleet, "Lag", NeverLate)
            watched = Fleet(world.watched, self.account.address, clock=self.clock)
        self.status = lambda: status_of(self.account.address, progress, store, transmitter, None)
        self.reporter = Reporter(
            *(self.account, view, schedule, Witness(schedule, watched, progress), store),
            *(History(view, store, records, []), progress, transmitter, None),
            Scorer(
                *(self.account, view, ScoresView(world.scores, world.oracle)),
                Counting(view, Tallies(store.engine, self.account.address), records, []),
                *(progress, transmitter, SCORE_PACE),
            ),
            patience=PATIENCE,
            pace=PACE,
            clock=self.clock,
        )
        try:
            await self.reporter.run(Wires(self))
        finally:
            store.close()


class ChainWorld:
    """A set of four reporters, one node, and a chain that mines a block every half a minute."""

    def __init__(
        self,
        w3: Web3,
        node: int,
        oracle: TelemetryOracle,
        registry: NodeRegistry,
        scores: ReporterScores,
    ) -> None:
        self.w3, self.node, self.oracle, self.registry, self.scores = w3, node, oracle, registry, scores
        exporter = {"type": "exporter", "kind": "runtime", "url": "http://node/metrics"}
        self.watched = FleetSettings.model_validate(
            {"slot_ms": SLOT_SECONDS * 1_000, "nodes": [{"id": node, "sources": [exporter]}]}
        )
        self.passes: Callable[[Site, Site, Message], bool] = lambda *_: True

    @contextmanager
    def anew(self, folder: Path) -> Iterator[ChainWorld]:
        """As it was raised, and left so."""
        self.folder, self.sites = folder, list[Site]()
        self.view, self.sending = BlockView(self.oracle, self.registry), SendingPolicy()
        self.failed_letters: list[str] = []
        # Called before each block.
        self.before_block: Callable[[], None] = lambda: None
        taken = self.rpc("evm_snapshot")
        yield self
        assert self.failed_letters == []
        assert self.rpc("evm_revert", taken)

    def rpc(self, method: str, *parameters: Any) -> Any:
        answer = self.w3.provider.make_request(RPCEndpoint(method), list(parameters))
        assert "error" not in answer, answer
        return answer["result"]

    def others(self, site: Site) -> list[Site]:
        return [one for one in self.sites if one is not site]

    async def run_until(self, round_number: int, after: float) -> None:
        """Until so long after the end of that round's window."""
        running = [asyncio.create_task(site.run()) for site in self.sites]
        end = START + round_number * WINDOW_SECONDS + after
        try:
            while now() < end:
                self._mine()
                await asyncio.sleep(BLOCK_SECONDS)
                ended = [task for task in running if task.done()]
                assert not ended, ended[0].exception()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)

    def _mine(self) -> None:
        self.before_block()
        if now() > local.chain_time(self.w3):  # it took some seconds to set up
            self.rpc("evm_setNextBlockTimestamp", int(now()) + 1)
            self.rpc("evm_mine")
        self.view.known.clear()


@contextmanager
def chain_world(folder: Path) -> Iterator[ChainWorld]:
    with local.running("anvil", log=folder / "anvil.log", genesis=GENESIS - 60) as chain:
        w3 = chain.connect()
        owner = Sender(w3, keys.local_account("owner"))
        reporters = tuple(keys.local_account(f"reporter-{number}").address for number in range(REPORTERS))
        parameters = local_parameters(local.chain_time(w3)).model_copy(
            update={"genesis": START, "window_seconds": WINDOW_SECONDS, "reporters": reporters}
        )
        manifest = deploy_all(owner, parameters, folder).manifest
        registry = NodeRegistry(w3, manifest.address("NodeRegistry"))
        node: int = owner.send(registry.register(SPEC.on_chain(), SPEC.data_uri())).result
        oracle = TelemetryOracle(w3, manifest.address("TelemetryOracle"), manifest.first_block)
        scores = ReporterScores(w3, manifest.address("ReporterScores"))
        world = ChainWorld(w3, node, oracle, registry, scores)
        world.rpc("evm_setAutomine", False)
        yield world

"""Whole reporters' daemons in one event loop in which no time passes: their stores are real, the chain, the network and
the nodes stand in for theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from eth_utils import to_checksum_address
from starlette.applications import Starlette
from starlette.testclient import TestClient

from wellhead.chain.contracts.telemetry_oracle import Round
from wellhead.chain.keys import local_account
from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import Brought, ChainView
from wellhead.oracle.daemon.counting import Counting
from wellhead.oracle.daemon.history import History
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.pusher import Pusher, PushPolicy
from wellhead.oracle.daemon.reporter import Pace, Reporter
from wellhead.oracle.daemon.reveals import fetch_reveals, reveal_routes
from wellhead.oracle.daemon.scorer import ScorePace, Scorer
from wellhead.oracle.daemon.scores_view import ScoresView
from wellhead.oracle.daemon.store import ReporterStore, StoredReport
from wellhead.oracle.daemon.tallies import Tallies
from wellhead.oracle.daemon.transmitter import Errand, Transmitter
from wellhead.oracle.daemon.witness import Witness
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.exchange.book import RefusedMessageError
from wellhead.oracle.exchange.mail import READ_SECONDS
from wellhead.oracle.exchange.messages import Message, UnreadableMessageError, decode, encode
from wellhead.oracle.exchange.play import Patience
from wellhead.oracle.exchange.post import Answer
from wellhead.oracle.exchange.score_letter import Batch
from wellhead.oracle.fleet import Sighting
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.records.peer import RecordPeer
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.schedule import Schedule
from wellhead.oracle.sealed import Revealed
from wellhead.oracle.sources.finding import Evidence
from wellhead.oracle.trigger import Trigger
from wellhead.reference.merkle import Branch, branch_of, root_from
from wellhead.reference.quorum import report_hash, verify
from wellhead.reference.record import NodeRecord, difference, pack_entries, unpack_entries
from wellhead.reference.scores import ScoreBook

GENESIS = 1_700_000_000 // 300 * 300
WINDOW_SECONDS, SLOT_MS = 300, 10_000
SLOTS = WINDOW_SECONDS * 1000 // SLOT_MS
FINALITY_SECONDS = 900
NODE = 7
TOKENS_PER_SLOT = 1_000
# Half of a slot's seconds, and a third of a watt-hour for each thousand.
BUSY_MICROS_PER_TOKEN, MICROJOULES_PER_TOKEN = 5_000, 1_234_567
PATIENCE = Patience(20, 20, 20)
PACE = Pace(settle=15, poll=5, transmit=20, keep_rounds=8)
SCORE_PACE = ScorePace(every=2, ask=20, turn=40)


class Killed(BaseException):
    """SIGKILL: nothing of the process comes after it."""


def now() -> float:
    """Seconds since the epoch, as the loop has them."""
    return GENESIS + asyncio.get_running_loop().time()


def config_of(accounts: list[LocalAccount], digest: bytes = b"\x11" * 32) -> OracleConfig:
    ordered = sorted((one.address for one in accounts), key=str.lower)
    return OracleConfig(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3", digest, tuple(ordered), 3)


class StandInChain:
    """The oracle's rules: a quorum's signatures, rounds that only rise, records that follow."""

    def __init__(self, config: OracleConfig) -> None:
        self.config = config
        self.reports: dict[int, StoredReport] = {}
        self.vetoed: set[int] = set()
        self.gpus: dict[int, int] = {NODE: 1}
        self.refused: list[str] = []
        self.sent: list[tuple[str, int]] = []
        self.brought_by: dict[int, str] = {}
        self.pushes: list[tuple[str, int, dict[int, NodeRecord]]] = []
        self.book = ScoreBook()
        self.batches: list[tuple[str, Batch]] = []

    @property
    def latest(self) -> int:
        return max(self.reports, default=0)

    def records(self, node: int = NODE) -> dict[int, NodeRecord]:
        """Of one node, by round, in every report that stands."""
        return {
            number: found[node]
            for number, report in sorted(self.reports.items())
            if number not in self.vetoed and node in (found := dict(unpack_entries(report.entries)))
        }

    def report(self, sender: str, report: StoredReport) -> None:
        """Raises Refused as the contract reverts."""
        self.sent.append((sender, report.round))
        try:
            if report.round <= self.latest:
                raise Refused(f"round {report.round} is stale")
            if GENESIS + report.round * WINDOW_SECONDS > now():
                raise Refused(f"the window of round {report.round} has not ended")
            config = self.config
            parts = (report.round, report.root, report.evidence_hash, report.pushed)
            digest = report_hash(config.chain_id, config.contract, config.config_digest, *parts)
            verify(digest, report.signatures, config.reporters, config.faulty)
            for node, record in unpack_entries(report.pushed):
                if before := self.records(node):
                    difference(before[max(before)], record)
        except ValueError as error:
            self.refused.append(f"round {report.round}: {error}")
            raise Refused(str(error)) from error
        except Refused as error:
            self.refused.append(str(error))
            raise
        self.reports[report.round], self.brought_by[report.round] = report, sender

    def push(self, sender: str, round_number: int, part: Branch) -> None:
        """As the contract, of a part that the round's root proves."""
        assert root_from(branch_of(part.entries), part.proof) == self.reports[round_number].root
        self.pushes.append((sender, round_number, dict(unpack_entries(part.entries))))

    def pushed(self, round_number: int) -> dict[int, NodeRecord]:
        """With the round's report, and after it."""
        found = dict(unpack_entries(self.reports[round_number].pushed))
        for _, number, records in self.pushes:
            found |= records if number == round_number else {}
        return found


class StandInScores(ScoresView):
    """ReporterScores' rules, by its twin: a quorum's signatures, final rounds, ranges that rise."""

    def __init__(self, chain: StandInChain) -> None:
        self.chain, self.address = chain, "0x" + "5C" * 20

    def scored_up_to(self) -> int:
        return self.chain.book.scored_up_to

    def evidence_hashes(self, rounds: Sequence[int]) -> dict[int, bytes]:
        reports = self.chain.reports
        return {number: reports[number].evidence_hash for number in rounds if number in reports}

    def post(self, batch: Batch, signatures: bytes) -> Any:
        """What `StandInTransmitter` calls with the sender."""

        def post(sender: str) -> None:
            chain, config = self.chain, self.chain.config
            verify(self.message_hash(config, batch), signatures, config.reporters, config.faulty)
            final_at = GENESIS + batch.to_round * WINDOW_SECONDS + FINALITY_SECONDS
            assert batch.to_round in chain.reports, "never reported"
            assert batch.to_round not in chain.vetoed, "vetoed"
            assert final_at <= now(), "not final"
            chain.book = chain.book.post(*batch)
            chain.batches.append((sender, batch))

        return post


class StandInView(ChainView):
    """How one reporter sees that chain; `trouble` is called before every question, and may raise."""

    def __init__(self, chain: StandInChain, trouble: Callable[[str], None]) -> None:
        self.chain, self._trouble = chain, trouble
        self.genesis, self.window_seconds = GENESIS, WINDOW_SECONDS
        self.finality_delay_seconds = FINALITY_SECONDS
        self.ring_rounds = 64

    def config(self) -> OracleConfig:
        self._trouble("config")
        return self.chain.config

    def chain_time(self) -> int:
        self._trouble("chain_time")
        return int(now())

    def latest_round(self) -> int:
        self._trouble("latest_round")
        return self.chain.latest

    def ended_round(self) -> int:
        return (self.chain_time() - GENESIS) // WINDOW_SECONDS

    def posted(self, round_number: int) -> Round | None:
        self._trouble("posted")
        found = self.chain.reports.get(round_number)
        posted_at = GENESIS + round_number * WINDOW_SECONDS
        return None if found is None else Round(found.root, posted_at, round_number in self.chain.vetoed)

    def last_pushed(self, node: int) -> NodeRecord | None:
        self._trouble("last_pushed")
        found = self.chain.records(node)
        return found[max(found)] if found else None

    def entries_of(self, round_number: int, root: bytes) -> list[bytes]:
        self._trouble("entries_of")
        found = self.chain.reports.get(round_number)
        return (
            [pack_entries(self.chain.pushed(round_number))]
            if found is not None and found.root == root
            else []
        )

    def brought(self, round_number: int) -> Brought | None:
        self._trouble("brought")
        found = self.chain.brought_by.get(round_number)
        return None if found is None else Brought(found, 1)

    def pushed_nodes(self, round_number: int, since_block: int) -> set[int]:
        self._trouble("pushed_nodes")
        assert since_block == 1
        return {
            node for _, number, records in self.chain.pushes if number == round_number for node in records
        }

    def gpu_count(self, node: int) -> int | None:
        self._trouble("gpu_count")
        return self.chain.gpus.get(node)


class StandInTransmitter(Transmitter):
    """Sends at once, unless `drops`; what is refused waits, as with the real one."""

    def __init__(self, chain: StandInChain, sender: str, step: Callable[[str], None]) -> None:
        self.chain, self.sender, self._step = chain, sender, step
        self.drops = False
        self._waiting: StoredReport | None = None

    @property
    def problem(self) -> str:
        return ""

    def balance_wei(self) -> int:
        return 10**18

    @property
    def address(self) -> ChecksumAddress:
        return to_checksum_address(self.sender)

    @property
    def is_idle(self) -> bool:
        return self._waiting is None

    def push(self, round_number: int, part: Branch) -> None:
        self._step("before it is pushed")
        self.chain.push(self.sender, round_number, part)
        self._step("after it was pushed")

    def transmit(self, report: StoredReport) -> None:
        self._step("before it is sent")
        self._waiting = report
        self.advance()
        self._step("after it was sent")

    def bring(self, errand: Errand) -> None:
        self._step("before scores are sent")
        if not errand.is_done() and not self.drops:
            send: Any = errand.call()
            send(self.sender)
        self._step("after scores were sent")

    def advance(self) -> None:
        if self._waiting is None or self.drops:
            return
        if self.chain.latest < self._waiting.round:
            self.chain.report(self.sender, self._waiting)
        self._waiting = None


Seeing = Callable[[int], tuple[str, int]]
"""By slot: the state of a node, and the tokens that it counted."""


def serving(_slot: int) -> tuple[str, int]:
    return "U", TOKENS_PER_SLOT


class StandInFleet:
    """Sees each node as told, from slot `first` on."""

    def __init__(
        self, reporter: str, nodes: Mapping[int, Seeing], ahead_seconds: float = 0, first: int = 0
    ) -> None:
        self._first = first
        self.reporter, self.nodes, self.ahead_slots = reporter, nodes, int(ahead_seconds * 1000) // SLOT_MS

    async def run(self) -> None:
        await asyncio.Event().wait()

    async def observe(self, window: Window) -> Mapping[int, Sighting]:
        found = {}
        for node, seeing in self.nodes.items():
            # A clock that is ahead calls a moment by a later slot's name.
            slots = [
                seeing(slot - self.ahead_slots) if slot >= self._first else ("?", 0)
                for slot in range(window.first_slot, window.first_slot + window.slots)
            ]
            states, tokens = "".join(state for state, _ in slots), sum(count for _, count in slots)
            gained = Counters(tokens, tokens * BUSY_MICROS_PER_TOKEN, tokens * MICROJOULES_PER_TOKEN)
            seen = Observation(self.reporter, node, window, states, gained)
            found[node] = Sighting(seen, Evidence(()), (), ())
        return found


@dataclass
class Told:
    """What everybody on the network can see of one reporter."""

    letters: list[Message] = field(default_factory=list)

    def bodies(self, kind: str) -> dict[int, set[bytes]]:
        found: dict[int, set[bytes]] = {}
        for one in self.letters:
            if one.kind == kind:
                found.setdefault(one.round, set()).add(one.body)
        return found


class Site:
    """One reporter's machine: its folder stays whatever happens to the process."""

    def __init__(self, world: World, account: LocalAccount, folder: Path) -> None:
        self.world, self.account, self.folder = world, account, folder
        self.nodes: dict[int, Seeing] = {NODE: serving}
        self.trouble: Callable[[str], None] = lambda _question: None
        self.step: Callable[[str], None] = lambda _step: None
        self.ahead_seconds = 0.0
        self.trigger: Trigger | None = None
        # Whether what was seen is forgotten with the process, as by sources that look by themselves.
        self.forgets = False
        self.told = Told()
        self.reporter: Reporter | None = None
        self.transmitter = StandInTransmitter(world.chain, account.address, self._step)
        self.progress = Progress(WINDOW_SECONDS, dry=False)
        self.pushing = PushPolicy()
        self.down = False
        self.tallies: Tallies | None = None

    def _step(self, name: str) -> None:
        self.step(name)

    def _clock(self) -> float:
        return now() + self.ahead_seconds

    async def run(self) -> None:
        """The process, started again whenever it is killed."""
        while True:
            store = SteppingStore(f"sqlite:///{self.folder / 'reporter.db'}", self._step)
            records = RecordStore(self.folder / "records", PACE.keep_rounds)
            view = StandInView(self.world.chain, lambda question: self.trouble(question))
            schedule = Schedule.live(GENESIS, WINDOW_SECONDS, SLOT_MS)
            loop = asyncio.get_running_loop()
            self.progress = Progress(WINDOW_SECONDS, dry=False, clock=loop.time)
            self.transmitter = StandInTransmitter(self.world.chain, self.account.address, self._step)
            pusher = Pusher(view, records, self.transmitter, self.account.address, self.pushing, self._clock)
            first = int(now() * 1000) // SLOT_MS if self.forgets else 0
            fleet = StandInFleet(self.account.address, self.nodes, self.ahead_seconds, first)
            self.tallies = Tallies(store.engine, self.account.address)
            others = [OtherSite(other) for other in self.world.others(self)]
            scorer = Scorer(
                *(self.account, view, StandInScores(self.world.chain)),
                Counting(view, self.tallies, records, others),
                *(self.progress, self.transmitter, SCORE_PACE),
            )
            self.reporter = Reporter(
                *(self.account, view, schedule, Witness(schedule, fleet, self.progress), store),
                *(
                    History(view, store, records, self.world.keepers_beside(self)),
                    self.progress,
                    self.transmitter,
                    pusher,
                    scorer,
                ),
                patience=PATIENCE,
                pace=PACE,
                trigger=self.trigger,
                clock=self._clock,
            )
            try:
                await self.reporter.run(Wires(self))
            except* Killed:
                pass
            finally:
                self.reporter = None
                store.close()


class OtherSite(RecordPeer):
    """Another reporter's records, as its routes answer."""

    def __init__(self, site: Site) -> None:
        self._site = site

    def reveals(self, config_digest: bytes, round_number: int, named_hash: bytes) -> tuple[Revealed, ...]:
        return fetch_reveals(self, config_digest, round_number, named_hash)

    def answer(self, path: str, max_bytes: int, _within_seconds: float = 0) -> bytes | None:
        site = self._site
        if site.reporter is None or site.tallies is None:
            raise Refused("nobody answers")
        answer = TestClient(Starlette(routes=[*reveal_routes(site.tallies)])).get(path)
        assert len(answer.content) <= max_bytes
        return site.world.serves(site, answer.content) if answer.status_code == 200 else None


class SteppingStore(ReporterStore):
    """The real one; what it writes of its own word can be cut off before and after."""

    def __init__(self, url: str, step: Callable[[str], None]) -> None:
        super().__init__(url)
        self._step = step

    def __getattribute__(self, name: str) -> Any:
        found = super().__getattribute__(name)
        if name not in ("seal", "freeze", "keep", "agree", "forget_before"):
            return found

        def stepping(*arguments: Any) -> None:
            self._step(f"before {name}")
            found(*arguments)
            self._step(f"after {name}")

        return stepping


class Wires:
    """Peers of one site, as long as its process lives."""

    def __init__(self, site: Site) -> None:
        self._site = site
        self._telling: set[asyncio.Task[None]] = set()

    def tell(self, message: Message, seconds: float) -> None:
        self._site.step(f"before {message.kind} is told")
        self._site.told.letters.append(message)
        for other in self._site.world.others(self._site):
            task = asyncio.create_task(self._deliver(other, message, seconds))
            self._telling.add(task)
            task.add_done_callback(self._telling.discard)
        self._site.step(f"after {message.kind} was told")

    async def ask(self, message: Message, seconds: float) -> Mapping[str, Answer]:
        self._site.step(f"before {message.kind} is asked")
        answers = {
            other.account.address: answer
            for other in self._site.world.others(self._site)
            if (answer := await self._carry(other, message)) is not None
        }
        if len(answers) < len(self._site.world.others(self._site)):
            await asyncio.sleep(seconds)  # the silent ones are waited for
        self._site.step(f"after {message.kind} was asked")
        return answers

    async def _deliver(self, other: Site, message: Message, seconds: float) -> None:
        until = asyncio.get_running_loop().time() + seconds
        while await self._carry(other, message) is None and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(1)

    async def _carry(self, other: Site, message: Message) -> Answer | None:
        if other.reporter is None or not self._site.world.passes(self._site, other, message):
            return None
        try:
            async with asyncio.timeout(READ_SECONDS):
                return await other.reporter.post.take(decode(encode(message)))
        except (RefusedMessageError, UnreadableMessageError, TimeoutError):
            return None
        except Exception as error:  # the route answers 500 or 503
            other.world.failed_letters.append(repr(error))
            return None


class Neighbour:
    """What another reporter keeps, served."""

    def __init__(self, site: Site) -> None:
        self._records = RecordStore(site.folder / "records", PACE.keep_rounds)

    def fetch(self, store: RecordStore, round_number: int, root: bytes, **_: float) -> None:
        store.write_entries(round_number, self._records.entries(round_number), root)


class World:
    """A chain and its reporters."""

    def __init__(self, folder: Path, count: int = 5) -> None:
        accounts = [local_account(f"reporter-{number}") for number in range(count)]
        self.chain = StandInChain(config_of(accounts))
        self.failed_letters: list[str] = []
        self.shares_records = False
        self.passes: Callable[[Site, Site, Message], bool] = lambda *_: True
        # What a site gives of its reveals in place of what its routes answer.
        self.serves: Callable[[Site, bytes], bytes] = lambda _, answer: answer
        self.sites = []
        for number, account in enumerate(accounts):
            (folder / str(number)).mkdir()
            self.sites.append(Site(self, account, folder / str(number)))

    def others(self, site: Site) -> list[Site]:
        return [one for one in self.sites if one is not site]

    def keepers_beside(self, site: Site) -> list[Neighbour]:
        return [Neighbour(other) for other in self.others(site)] if self.shares_records else []

    def by_leadership(self, round_number: int) -> list[Site]:
        """Who leads first, second, …"""
        addresses = self.chain.config.reporters
        order = [addresses[(round_number + place) % len(addresses)] for place in range(len(addresses))]
        by_address = {site.account.address: site for site in self.sites}
        return [by_address[address] for address in order]

    async def run_until(self, round_number: int, after: float = 100) -> None:
        """Until so long after the end of a round's window. Whoever is `down` is not started."""
        running = [asyncio.create_task(site.run()) for site in self.sites if not site.down]
        end = GENESIS + round_number * WINDOW_SECONDS + after
        try:
            while now() < end:
                ended = [task for task in running if task.done()]
                assert not ended, ended[0].exception()
                await asyncio.sleep(min(10, end - now()))
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def up_to(record: NodeRecord) -> int:
    """Rounds that a record of a node that always served covers."""
    return record.up_seconds // WINDOW_SECONDS


def replaced(chain: StandInChain, digest: bytes) -> OracleConfig:
    return replace(chain.config, config_digest=digest)

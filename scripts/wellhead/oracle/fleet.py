"""All that one reporter watches: looks that go on by themselves, and what was seen of every node over a window."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
from sqlalchemy.exc import SQLAlchemyError

from wellhead.errors import Misused
from wellhead.oracle import plausibility
from wellhead.oracle.combine import alive_of, combine, line_exhibits
from wellhead.oracle.fleet_file import FleetSettings, NodeSettings
from wellhead.oracle.observation import Observation, Window
from wellhead.oracle.sources.build import Built, build
from wellhead.oracle.sources.fetch import new_client
from wellhead.oracle.sources.finding import Evidence, Finding, Source
from wellhead.oracle.sources.lag import Lag
from wellhead.oracle.sources.live import TOO_BUSY, LiveSource
from wellhead.oracle.sources.looks import LookBook

NOBODY = "0x" + "00" * 20
MAX_FAULTS = 50  # of one node and window: beyond that they only fill disks

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Sighting:
    """What one reporter saw of one node over a window."""

    observation: Observation
    evidence: Evidence
    faults: tuple[str, ...]
    """What was wrong, and what cannot be: for people. It changed no figure."""
    took_ms: tuple[int, ...]
    """How long right answers took."""


def slot_at(wall_seconds: float, slot_ms: int) -> int:
    """The slot of the shared grid that holds `wall_seconds` since the epoch."""
    return int(wall_seconds * 1000) // slot_ms


class Fleet:
    """Nodes and canaries under one reporter's eyes. One node's trouble is that node's."""

    def __init__(
        self,
        settings: FleetSettings,
        reporter: str = NOBODY,
        book: LookBook | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """Raises Misused where a source cannot work on this machine. Nothing is looked at before `run`. Without a
        `book` what was seen is forgotten with the process. `clock` tells seconds since the epoch."""
        self.settings, self.reporter, self._book, self._clock = settings, reporter, book, clock
        self._built: Built = build(settings)
        watched = [("canary", self._built.canaries), *self._built.nodes.items()]
        self._lag = Lag()
        self._live = _named((str(whose), source) for whose, sources in watched for source in sources)

    @property
    def is_live(self) -> bool:
        """Whether anything is seen of a node only while `run` runs."""
        return any(isinstance(one, LiveSource) for node in self._built.nodes.values() for one in node)

    async def run(self, looked: Callable[[int], None] = lambda _slot: None) -> None:
        """Look once per slot until cancelled; `looked` is called after each."""
        settings = self.settings
        free = asyncio.Semaphore(settings.connections)
        slot = slot_at(self._clock(), settings.slot_ms) + 1
        # Beside the looks: a large fleet's book takes its time.
        beside = [asyncio.create_task(self._lag.run()), asyncio.create_task(self._recall(slot))]
        try:
            async with new_client() as client:
                while True:
                    # Short waits, because the wall clock that the grid is cut from may be set.
                    while (wait := slot * settings.slot_ms / 1000 - self._clock()) > 0:
                        await asyncio.sleep(min(wait, 1))
                    due = [source for source in self._live.values() if source.is_due(slot)]
                    await asyncio.gather(*(self._look(client, free, source, slot) for source in due))
                    await asyncio.to_thread(self._keep, slot)
                    looked(slot)
                    # A slot that was missed while the machine was busy stays unknown: nobody measured in it.
                    slot = max(slot + 1, slot_at(self._clock(), settings.slot_ms))
        finally:
            for task in beside:
                task.cancel()

    async def observe(self, window: Window) -> Mapping[int, Sighting]:
        """What was seen of every node over a window that has ended, by node. Raises Misused for another grid."""
        if window.interval_ms != self.settings.slot_ms:
            raise Misused(
                f"the window's slots are {window.interval_ms} ms, this fleet's {self.settings.slot_ms}"
            )
        async with new_client() as client:
            canaries, *found = await asyncio.gather(
                _findings(self._built.canaries, client, window),
                *(_findings(sources, client, window) for sources in self._built.nodes.values()),
            )
        forgotten = self._forgotten(window)
        alive = alive_of([*canaries, *(finding for findings in found for finding in findings)])
        sightings: dict[int, Sighting] = {}
        for node, findings in zip(self.settings.nodes, found, strict=True):
            own = {finding.line for finding in findings}
            beside = [finding for finding in canaries if finding.line in own]
            observation = combine(self.reporter, node.id, window, findings, alive)
            exhibits = (
                *(exhibit for finding in (*findings, *beside) for exhibit in finding.exhibits),
                *line_exhibits(findings, window, alive),
            )
            sightings[node.id] = Sighting(
                observation,
                Evidence(exhibits),
                (*forgotten, *_faults(node, observation, [*findings, *beside])),
                tuple(took for finding in findings for took in finding.took_ms),
            )
            await asyncio.sleep(0)  # a large fleet's figures must not hold up its looks
        return sightings

    def _forgotten(self, window: Window) -> tuple[str, ...]:
        remembered = self.settings.remember_seconds
        age_seconds = int(self._clock()) - window.first_slot * window.interval_ms // 1000
        if not self.is_live or age_seconds <= remembered:
            return ()
        return (f"the window began {age_seconds} s ago, looks are remembered for {remembered} s: allow more",)

    def _oldest(self, slot: int) -> int:
        """The slot from which on looks are remembered in `slot`."""
        return slot - self.settings.remember_seconds * 1000 // self.settings.slot_ms

    async def _recall(self, slot: int) -> None:
        """What an earlier process saw before `slot`; when none ran nothing is known."""
        if self._book is None:
            return
        try:
            found = await asyncio.to_thread(self._book.kept, self._oldest(slot))
        except SQLAlchemyError as error:
            _log.warning("what was seen before is not known any more: %s", error)
            return
        for name in found.keys() & self._live.keys():
            self._live[name].recall([look for look in found[name] if look.slot < slot])

    def _keep(self, slot: int) -> None:
        if self._book is None:
            return
        looks = {name: look for name, source in self._live.items() if (look := source.seen(slot)) is not None}
        try:
            if looks:
                self._book.keep(slot, looks, self._oldest(slot))
        except SQLAlchemyError as error:  # it is known until the process ends
            _log.warning("what was seen in slot %s is not kept: %s", slot, error)

    async def _look(
        self, client: httpx.AsyncClient, free: asyncio.Semaphore, source: LiveSource, slot: int
    ) -> None:
        settings = self.settings
        source.forget_before(self._oldest(slot))
        latest_ms = (slot + 1) * settings.slot_ms - settings.look_limit_ms
        async with free:
            if self._clock() * 1000 > latest_ms:
                source.missed(slot, TOO_BUSY)
                return
            try:
                await source.look(client, slot, settings.look_limit_ms / 1000, self._lag)
            except (
                Exception
            ) as error:  # whatever it is, it is ours: the node did not do it, nor do others suffer
                _log.exception("a look failed: %s", source.reader.asked)
                source.missed(slot, f"the look failed here: {type(error).__name__}: {error}")


def _named(sources: Iterable[tuple[str, Source]]) -> dict[str, LiveSource]:
    """Live sources by names that a fleet's file gives them again after a restart."""
    found: dict[str, LiveSource] = {}
    for whose, source in sources:
        if isinstance(source, LiveSource):
            name = f"{whose}: {source.reader.asked}"
            again = sum(other == name or other.startswith(f"{name} #") for other in found)
            found[f"{name} #{again + 1}" if again else name] = source
    return found


async def _findings(sources: Sequence[Source], client: httpx.AsyncClient, window: Window) -> list[Finding]:
    asked: list[Coroutine[Any, Any, Finding]] = [source.finding(client, window) for source in sources]
    return list(await asyncio.gather(*asked))


def _faults(node: NodeSettings, observation: Observation, findings: Sequence[Finding]) -> tuple[str, ...]:
    seconds = observation.window.slots * observation.window.interval_ms // 1000
    work = plausibility.Work(observation.gained, node.gpu_count, seconds, node.measured)
    found = [fault for finding in findings for fault in finding.faults] + list(plausibility.flags(work))
    if len(found) > MAX_FAULTS:
        found[MAX_FAULTS:] = [f"and {len(found) - MAX_FAULTS} more"]
    return tuple(found)

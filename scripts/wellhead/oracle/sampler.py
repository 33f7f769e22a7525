"""One reporter at work: a thread that probes its nodes and a canary once per slot of the shared grid."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import httpx
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from wellhead.errors import Misused
from wellhead.oracle.observation import Counters, Observation, Sample, Window, observe, state_of
from wellhead.oracle.scrape import (
    RUNTIME_COUNTERS,
    CounterNames,
    ScrapeError,
    answers,
    chain_answers,
    new_client,
    scrape_counters,
)
from wellhead.oracle.sealed import Unsealed

MIN_INTERVAL_MS = 100
# Of a slot: an answer that comes later than this counts as none, and the next slot is still met in time.
PROBE_PERCENT = 80
STOP_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Target:
    """A node to watch: where it says that it is well, and where its exporter counts."""

    node: int
    health_url: str
    metrics_url: str
    names: CounterNames = RUNTIME_COUNTERS

    @classmethod
    def runtime(cls, node: int, url: str) -> Target:
        """A `wellhead.runtime` that serves at `url`."""
        return cls(node, f"{url}/healthz", f"{url}/metrics")


@dataclass(frozen=True)
class Canary:
    """A chain's RPC: what a reporter must be able to reach to prove its own line."""

    rpc_url: str
    chain_id: int


def slot_at(wall_seconds: float, interval_ms: int) -> int:
    """The slot of the shared grid that holds `wall_seconds` since the epoch."""
    return int(wall_seconds * 1000) // interval_ms


@dataclass(frozen=True)
class _Look:
    node: int
    node_answered: bool
    counters: Counters | None


class Reporter:
    """Watches nodes from `start` to `stop`. A silent one takes part in nothing, as one that has failed."""

    def __init__(
        self,
        account: LocalAccount,
        targets: Sequence[Target],
        canary: Canary,
        interval_ms: int,
        *,
        silent: bool = False,
    ) -> None:
        """`account` signs this reporter's commitments and reports. Raises Misused for an interval too short."""
        if interval_ms < MIN_INTERVAL_MS:
            raise Misused(f"a sample every {interval_ms} ms is too often; the least is {MIN_INTERVAL_MS} ms")
        self.account = account
        self.targets = tuple(targets)
        self.interval_ms = interval_ms
        self.silent = silent
        self._canary = canary
        self._samples: dict[int, list[Sample]] = {target.node: [] for target in targets}
        self._last_slot = -1
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The reporter's name everywhere."""
        return self.account.address

    def start(self) -> None:
        """Begin with the next slot; harmless when it has begun or is silent."""
        if self.silent or self._thread is not None:
            return
        self._stopping.clear()
        self._thread = threading.Thread(target=self._run, name=f"reporter {self.address}", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End after the slot in progress. Samples stay, so that a later start goes on from them."""
        if self._thread is None:
            return
        self._stopping.set()
        self._thread.join(STOP_TIMEOUT_SECONDS)
        self._thread = None

    def wait_for(self, slot: int, timeout_seconds: float) -> bool:
        """Wait until `slot` has been sampled; whether it was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._last_slot >= slot, timeout_seconds)

    def collect(self, window: Window) -> Unsealed:
        """What was seen over `window`, forgotten but for the last scrape, the next window's base. The evidence is every
        sample of the window."""
        with self._changed:
            evidence = keccak(repr([self._samples[target.node] for target in self.targets]).encode())
            observations = {target.node: self._observation(target.node, window) for target in self.targets}
            for node, samples in self._samples.items():
                self._samples[node] = _needed_after(samples, window)
        return Unsealed(self.account, observations, evidence)

    def _observation(self, node: int, window: Window) -> Observation:
        samples = self._samples[node]
        earlier = [s.counters for s in samples if s.slot < window.first_slot and s.counters is not None]
        return observe(self.address, node, window, earlier[-1] if earlier else None, samples)

    def _run(self) -> None:
        asyncio.run(self._sample_until_stopped())

    async def _sample_until_stopped(self) -> None:
        async with new_client() as client:
            slot = slot_at(time.time(), self.interval_ms) + 1
            while not self._stopping.is_set():
                # Short waits, because the wall clock that the grid is cut from may be set.
                while (wait := slot * self.interval_ms / 1000 - time.time()) > 0:
                    await asyncio.sleep(min(wait, self.interval_ms / 1000))
                await self._sample(client, slot)
                # A slot that was missed while the machine was busy stays unknown: nobody measured in it.
                slot = max(slot + 1, slot_at(time.time(), self.interval_ms))

    async def _sample(self, client: httpx.AsyncClient, slot: int) -> None:
        timeout_seconds = self.interval_ms * PROBE_PERCENT / 100_000
        canary_answered, looks = await asyncio.gather(
            chain_answers(client, self._canary.rpc_url, self._canary.chain_id, timeout_seconds),
            asyncio.gather(*(_look(client, target, timeout_seconds) for target in self.targets)),
        )
        answered = {look.node for look in looks if look.node_answered or look.counters is not None}
        with self._changed:
            for look in looks:
                state = state_of(
                    node_answered=look.node_answered,
                    exporter_answered=look.counters is not None,
                    reached_another=canary_answered or bool(answered - {look.node}),
                )
                self._samples[look.node].append(Sample(slot, state, look.counters))
            self._last_slot = slot
            self._changed.notify_all()


async def _look(client: httpx.AsyncClient, target: Target, timeout_seconds: float) -> _Look:
    healthy, counters = await asyncio.gather(
        answers(client, target.health_url, timeout_seconds), _counters(client, target, timeout_seconds)
    )
    return _Look(target.node, healthy, counters)


async def _counters(client: httpx.AsyncClient, target: Target, timeout_seconds: float) -> Counters | None:
    try:
        return await scrape_counters(client, target.metrics_url, target.names, timeout_seconds)
    except ScrapeError:
        return None


def _needed_after(samples: list[Sample], window: Window) -> list[Sample]:
    """Samples later than `window`, and of the others the last that holds a scrape."""
    end = window.first_slot + window.slots
    scraped = [sample for sample in samples if sample.slot < end and sample.counters is not None]
    return [*scraped[-1:], *(sample for sample in samples if sample.slot >= end)]

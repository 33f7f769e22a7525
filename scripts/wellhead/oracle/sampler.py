"""One reporter at work for a while: a thread in which its fleet looks once per slot of the shared grid."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak
from pydantic import HttpUrl

from wellhead.errors import Misused
from wellhead.oracle.fleet import Fleet
from wellhead.oracle.fleet_file import (
    MIN_SLOT_MS,
    ChainCanarySettings,
    ExporterSettings,
    FleetSettings,
    HealthSettings,
    NodeSettings,
)
from wellhead.oracle.observation import Window
from wellhead.oracle.sealed import Unsealed

STOP_TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Target:
    """A node that is a `wellhead.runtime` and serves at `url`."""

    node: int
    url: str

    def settings(self) -> NodeSettings:
        """Where it says that it is well, and where it counts."""
        health = HealthSettings(url=HttpUrl(f"{self.url}/healthz"))
        counts = ExporterSettings(kind="runtime", url=HttpUrl(f"{self.url}/metrics"))
        return NodeSettings(id=self.node, sources=(health, counts))


@dataclass(frozen=True)
class Canary:
    """A chain's RPC: what a reporter must be able to reach to prove its own line."""

    rpc_url: str
    chain_id: int

    def settings(self) -> ChainCanarySettings:
        """As a fleet has it."""
        return ChainCanarySettings(rpc_url=HttpUrl(self.rpc_url), chain_id=self.chain_id)


class Reporter:
    """Watches nodes from `start` to `stop`."""

    def __init__(
        self,
        account: LocalAccount,
        targets: Sequence[Target],
        canary: Canary,
        interval_ms: int,
    ) -> None:
        """`account` signs this reporter's commitments and reports. Raises Misused for an interval too short."""
        if interval_ms < MIN_SLOT_MS:
            raise Misused(f"a sample every {interval_ms} ms is too often; the least is {MIN_SLOT_MS} ms")
        self.account = account
        self.interval_ms = interval_ms
        self._fleet = Fleet(
            FleetSettings(
                slot_ms=interval_ms,
                canaries=(canary.settings(),),
                nodes=tuple(target.settings() for target in targets),
            ),
            account.address,
        )
        self._last_slot = -1
        self._changed = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running: asyncio.Task[None] | None = None
        self._thread: threading.Thread | None = None

    @property
    def address(self) -> str:
        """The reporter's name everywhere."""
        return self.account.address

    def start(self) -> None:
        """Begin with the next slot; harmless when it has begun."""
        if self._thread is not None:
            return
        begun = threading.Event()
        self._thread = threading.Thread(
            target=lambda: asyncio.run(self._run(begun)), name=f"reporter {self.address}", daemon=True
        )
        self._thread.start()
        begun.wait()

    def stop(self) -> None:
        """End at once. What was seen stays, so that a later start goes on from it."""
        if self._thread is None or self._loop is None or self._running is None:
            return
        self._loop.call_soon_threadsafe(self._running.cancel)
        self._thread.join(STOP_TIMEOUT_SECONDS)
        self._thread = self._loop = self._running = None

    def wait_for(self, slot: int, timeout_seconds: float) -> bool:
        """Wait until `slot` has been sampled; whether it was in time."""
        with self._changed:
            return self._changed.wait_for(lambda: self._last_slot >= slot, timeout_seconds)

    def collect(self, window: Window) -> Unsealed:
        """What was seen over `window`, with the hash of all looks that it follows from."""
        observing = self._fleet.observe(window)
        if self._loop is None:
            sightings = asyncio.run(observing)
        else:
            sightings = asyncio.run_coroutine_threadsafe(observing, self._loop).result()
        evidence = keccak(b"".join(sightings[node].evidence.hash for node in sorted(sightings)))
        return Unsealed(
            self.account, {node: sighting.observation for node, sighting in sightings.items()}, evidence
        )

    async def _run(self, begun: threading.Event) -> None:
        self._loop, self._running = asyncio.get_running_loop(), asyncio.current_task()
        begun.set()
        with contextlib.suppress(asyncio.CancelledError):
            await self._fleet.run(self._looked)

    def _looked(self, slot: int) -> None:
        with self._changed:
            self._last_slot = slot
            self._changed.notify_all()

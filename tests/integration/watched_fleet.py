"""A fleet at work inside a test, which waits for its looks and not for times."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Mapping
from typing import Any

from wellhead.oracle.fleet import Fleet, Sighting
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.observation import Window

MISSED = "?"  # a slot that a busy machine missed is unknown, never up or down
PATIENCE_SECONDS = 60


class Watched:
    """Its slots, one by one."""

    def __init__(self, fleet: Fleet) -> None:
        self.fleet, self.slot = fleet, -1
        self._changed = asyncio.Condition()
        self._pending: set[asyncio.Task[None]] = set()

    def looked(self, slot: int) -> None:
        self.slot = slot
        task = asyncio.create_task(self._notify())
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def slots(self, count: int) -> int:
        """Wait for so many more slots to be looked at from begin to end; the last of them."""
        last = self.slot + 1 + count  # one is under way
        async with asyncio.timeout(PATIENCE_SECONDS), self._changed:
            await self._changed.wait_for(lambda: self.slot >= last)
        return self.slot

    async def observe(self, first: int, last: int) -> Mapping[int, Sighting]:
        """What was seen from `first` to `last`."""
        return await self.fleet.observe(Window(first, last + 1 - first, self.fleet.settings.slot_ms))

    async def _notify(self) -> None:
        async with self._changed:
            self._changed.notify_all()


@contextlib.asynccontextmanager
async def watching(settings: Mapping[str, Any]) -> AsyncIterator[Watched]:
    """The fleet of these settings, while it runs."""
    watched = Watched(Fleet(FleetSettings.model_validate(settings), "a reporter"))
    running = asyncio.create_task(watched.fleet.run(watched.looked))
    try:
        yield watched
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


def runs(states: str) -> str:
    """Each stretch of one state once, missed slots left out."""
    kept = states.replace(MISSED, "")
    return "".join(letter for letter, before in zip(kept, " " + kept, strict=False) if letter != before)

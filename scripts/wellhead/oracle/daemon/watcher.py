"""A reporter without a key: observes every window as the others do, logs what it would say, and says nothing."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import asdict

from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.reporter import Pace
from wellhead.oracle.daemon.trouble import TROUBLE
from wellhead.oracle.daemon.witness import Witness
from wellhead.oracle.schedule import Schedule

_log = logging.getLogger(__name__)


class Watcher:
    """For trying a fleet out before a reporter stands behind it."""

    def __init__(
        self,
        view: ChainView,
        schedule: Schedule,
        witness: Witness,
        progress: Progress,
        pace: Pace,
        clock: Callable[[], float] = time.time,
    ) -> None:
        """`clock` tells seconds since the epoch."""
        self._view, self._schedule, self._witness = view, schedule, witness
        self._progress, self._pace, self._clock = progress, pace, clock
        self._last = 0

    async def run(self) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._witness.fleet.run())
            tasks.create_task(self._watch_on())

    async def _watch_on(self) -> None:
        while True:
            try:
                await self._watch()
            except TROUBLE as error:
                _log.warning("round %s is not observed: %s: %s", self._last, type(error).__name__, error)
                self._progress.trouble(f"{type(error).__name__}: {error}")
            except Exception:
                # As in a reporter: the next window is to be measured.
                _log.exception("round %s is not observed", self._last)
                self._progress.trouble("an error, see the log")
            await asyncio.sleep(self._pace.poll)

    async def _watch(self) -> None:
        latest, ended, since = await asyncio.to_thread(
            lambda: (self._view.latest_round(), self._view.ended_round(), self._view.newest_good_round())
        )
        self._progress.reported(latest)
        due = min(ended, self._schedule.observed_by(int((self._clock() - self._pace.settle) * 1000)))
        self._progress.set(last_round=latest, due_round=due)
        if due <= self._last:
            return
        # Somebody may have reported it already: its own window is worth a look all the same.
        self._last, since = due, min(since, due - 1)
        for node, sighting in (await self._witness.observe(since, due)).items():
            seen = sighting.observation
            _log.info(
                "round %s, node %s: up in %s of %s slots, unknown in %s",
                *(due, node, seen.up_slots, seen.window.slots, seen.window.slots - seen.live_slots),
                extra={
                    "round": due,
                    "since": since,
                    "node": node,
                    "states": seen.states,
                    "gained": asdict(seen.gained),
                    "evidence_hash": f"0x{sighting.evidence.hash.hex()}",
                },
            )
        self._progress.ended(due, "observed")

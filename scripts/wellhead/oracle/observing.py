"""One reporter's look at its nodes, now: by what it can ask of the past, or by looking for a while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping

from pydantic import ValidationError

from wellhead.errors import Misused
from wellhead.oracle.fleet import Fleet, Sighting, slot_at
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.observation import Window

SITE = "site"


def scraped_node(
    node: int, prometheus_url: str, canary: str, instances: Mapping[str, str], slot_ms: int
) -> FleetSettings:
    """A node of which a Prometheus knows exporters: `instances` by kind. Raises Misused."""
    sources = [
        {"type": "prometheus", "server": SITE, "kind": kind, "instance": instance}
        for kind, instance in instances.items()
    ]
    document = {
        "slot_ms": slot_ms,
        "prometheus": {SITE: {"url": prometheus_url, "canary": canary}},
        "nodes": [{"id": node, "sources": sources}],
    }
    try:
        return FleetSettings.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        raise Misused(f"{problem['input']!r} will not do: {problem['msg']}") from None


async def observe_now(settings: FleetSettings, slots: int) -> Mapping[int, Sighting]:
    """The last `slots` whole slots of every node, signed by nobody; the next ones where sources must look by
    themselves. Raises Misused as Fleet does."""
    fleet = Fleet(settings)
    if not fleet.is_live:
        ended = slot_at(time.time(), settings.slot_ms)
        return await fleet.observe(Window(ended - slots, slots, settings.slot_ms))
    first, over = -1, asyncio.Event()

    def looked(slot: int) -> None:
        nonlocal first
        first = slot if first < 0 else first
        if slot >= first + slots - 1:
            over.set()

    running = asyncio.create_task(fleet.run(looked))
    waiting = asyncio.create_task(over.wait())
    try:
        await asyncio.wait((running, waiting), return_when=asyncio.FIRST_COMPLETED)
        if running.done():
            running.result()
        return await fleet.observe(Window(first, slots, settings.slot_ms))
    finally:
        for task in (running, waiting):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

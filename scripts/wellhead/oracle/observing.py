"""One reporter's look at one node, now: the window that has just ended, by its own Prometheus."""

from __future__ import annotations

import asyncio
import time

from wellhead.oracle.observation import Observation, Window
from wellhead.oracle.prometheus import Evidence, NodeQueries, PrometheusSource
from wellhead.oracle.scrape import new_client

NOBODY = "0x" + "00" * 20


def observe_now(
    prometheus_url: str, canary: str, node: int, queries: NodeQueries, slots: int, interval_ms: int
) -> tuple[Observation, Evidence]:
    """The last `slots` whole slots, signed by nobody. Raises ScrapeError as PrometheusSource does."""
    ended = int(time.time() * 1000) // interval_ms
    window = Window(ended - slots, slots, interval_ms)

    async def look() -> tuple[Observation, Evidence]:
        async with new_client() as client:
            return await PrometheusSource(prometheus_url, canary).observe(
                client, NOBODY, node, queries, window
            )

    return asyncio.run(look())

"""How late this process itself is: what a busy reporter did not wait for in time is not the node's fault."""

from __future__ import annotations

import asyncio
import time
from collections import deque

TICK_SECONDS = 0.05
# Of what a look may take: with more of it lost here, an answer that did not come may have been there.
TOLERATED_PERCENT = 20
MAX_TICKS = 1_200  # a minute's


class Lag:
    """Of one event loop, while `run` runs."""

    def __init__(self) -> None:
        self._due = float("inf")
        self._late: deque[tuple[float, float]] = deque(maxlen=MAX_TICKS)

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            self._due = time.monotonic() + TICK_SECONDS
            await asyncio.sleep(TICK_SECONDS)
            now = time.monotonic()
            self._late.append((now, now - self._due))

    def spoils(self, begun: float, timeout_seconds: float) -> bool:
        """Whether too much of a look that began at `begun`, by the monotonic clock, was lost here."""
        now = time.monotonic()
        worst = max((late for at, late in self._late if at >= begun), default=0.0)
        return max(worst, now - self._due) > timeout_seconds * TOLERATED_PERCENT / 100

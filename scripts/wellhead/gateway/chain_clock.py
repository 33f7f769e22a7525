"""The chain's time, for those who cannot ask the chain on every call."""

from __future__ import annotations

import time
from collections.abc import Callable


class ChainClock:
    """Goes on from the newest block that was seen, at the speed of this machine's clock."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic = monotonic
        self._timestamp, self._seen_at = 0, 0.0

    def saw(self, timestamp: int) -> None:
        """The newest block is of `timestamp`, seconds since the epoch."""
        if timestamp != self._timestamp:
            self._timestamp, self._seen_at = timestamp, self._monotonic()

    def now(self) -> int:
        """Seconds since the epoch; 0 before any block was seen."""
        if not self._timestamp:
            return 0
        return self._timestamp + int(self._monotonic() - self._seen_at)

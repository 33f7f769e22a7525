"""Energy without a meter: CPU time of this process times a stated power per core. An estimate, named so."""

from __future__ import annotations

import time

# A mid-range server core under load; a parameter of the node, not a measurement.
DEFAULT_WATTS_PER_CORE = 10.0


class EnergyEstimate:
    """Joules since construction, as far as CPU time can tell."""

    def __init__(self, watts_per_core: float = DEFAULT_WATTS_PER_CORE) -> None:
        """`watts_per_core` is the power that one busy core is taken to draw."""
        self.watts_per_core = watts_per_core
        self._started = time.process_time()

    def joules(self) -> float:
        """CPU seconds of all threads since construction, times watts per core. Never falls."""
        return (time.process_time() - self._started) * self.watts_per_core

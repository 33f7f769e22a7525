"""How much may be spent in a day, whatever asks for it; remembered across restarts."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path

from wellhead.errors import Refused
from wellhead.units import format_usd

DAY_SECONDS = 86_400


class SpendingLimit:
    """Counts by days of UTC. A call takes its ceiling first and gives back what it did not cost. Amounts are usd6."""

    def __init__(self, file: Path, usd6_per_day: int, clock: Callable[[], float] = time.time) -> None:
        """`file` keeps the day's sum. Raises Refused when it cannot be read: a limit that forgets is none."""
        self._file, self._most, self._clock = file, usd6_per_day, clock
        self._lock = threading.Lock()
        try:
            kept = json.loads(file.read_text()) if file.exists() else {"day": self._today(), "spent_usd6": 0}
            self._day, self._spent = int(kept["day"]), int(kept["spent_usd6"])
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise Refused(
                f"{file} does not say what was spent today ({error!r}); move it away to start at 0"
            ) from None

    @property
    def spent_usd6(self) -> int:
        """Spent today, calls under way at their ceilings."""
        with self._lock:
            self._turn()
            return self._spent

    def take(self, usd6: int) -> None:
        """Raises Refused when it would be more than the day allows; then nothing is taken."""
        with self._lock:
            self._turn()
            if self._spent + usd6 > self._most:
                raise Refused(
                    f"nothing was signed: {format_usd(self._spent)} of today's {format_usd(self._most)} are spent, "
                    f"and this call may cost {format_usd(usd6)}"
                )
            self._keep(self._spent + usd6)

    def give_back(self, usd6: int) -> None:
        """Of what was taken, so much was not spent."""
        with self._lock:
            self._turn()
            self._keep(max(0, self._spent - usd6))

    def _turn(self) -> None:
        if self._day != self._today():
            self._day = self._today()
            self._keep(0)

    def _today(self) -> int:
        return int(self._clock()) // DAY_SECONDS

    def _keep(self, spent: int) -> None:
        beside = self._file.with_suffix(".new")
        beside.parent.mkdir(parents=True, exist_ok=True)
        beside.write_text(json.dumps({"day": self._day, "spent_usd6": spent}))
        os.replace(beside, self._file)
        self._spent = spent

"""How much may be signed away in a day, whatever asks for it; remembered across restarts, shared by processes.

What a gateway may claim is the highest ceiling that it was ever signed, whatever it says it charged. So that is what
counts: each signature by how far it goes beyond the highest before it on its channel. Nothing is ever given back, as no
signature is: what a call did not cost lies below the ceiling of the next one, which takes that much less.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from wellhead.errors import Refused
from wellhead.units import format_usd

DAY_SECONDS = 86_400


@dataclass
class _Kept:
    """What the file says. Amounts are usd6."""

    day: int
    spent_usd6: int
    # The highest ceiling ever signed, by channel.
    signed_usd6: dict[str, int]


class SpendingLimit:
    """Counts by days of UTC. Amounts are usd6. Any number of processes may share the file."""

    def __init__(self, file: Path, usd6_per_day: int, clock: Callable[[], float] = time.time) -> None:
        """`file` keeps what was signed. Raises Refused when it cannot be read: a limit that forgets is none."""
        self._file, self._most, self._clock = file, usd6_per_day, clock
        self._read()

    @property
    def spent_usd6(self) -> int:
        """What gateways may claim of what was signed today; calls under way are in it at their ceilings."""
        return self._read().spent_usd6

    def sign(self, channel_id: bytes, ceiling: int, claimed: int) -> None:
        """`ceiling` is about to be signed for a channel of which `claimed` was claimed already.

        Raises Refused when the day does not allow it, or the file cannot be written; then nothing is counted.
        """
        name = f"0x{channel_id.hex()}"
        with self._alone():
            kept = self._read()
            highest = max(kept.signed_usd6.get(name, 0), claimed)
            if ceiling <= highest:
                return
            more = ceiling - highest
            if kept.spent_usd6 + more > self._most:
                raise Refused(
                    f"nothing was signed: {format_usd(kept.spent_usd6)} of today's {format_usd(self._most)} are "
                    f"spent, and this call may cost {format_usd(more)}"
                )
            kept.spent_usd6 += more
            kept.signed_usd6[name] = ceiling
            self._write(kept)

    def _read(self) -> _Kept:
        today = int(self._clock()) // DAY_SECONDS
        try:
            if not self._file.exists():
                return _Kept(today, 0, {})
            kept = json.loads(self._file.read_text())
            day, spent = int(kept["day"]), int(kept["spent_usd6"])
            signed = {str(name): int(ceiling) for name, ceiling in kept.get("signed_usd6", {}).items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise Refused(
                f"{self._file} does not say what was spent today ({error!r}); move it away to start at 0"
            ) from None
        return _Kept(today, spent if day == today else 0, signed)

    def _write(self, kept: _Kept) -> None:
        beside = self._file.with_suffix(".new")
        beside.write_text(json.dumps(asdict(kept)))
        os.replace(beside, self._file)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread of one process at a time; each opens the lock anew, so that threads too exclude each other."""
        try:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            with self._file.with_suffix(".lock").open("w") as held:
                fcntl.flock(held, fcntl.LOCK_EX)
                yield
        except OSError as error:
            raise Refused(f"nothing was signed: {self._file} cannot be kept ({error})") from None

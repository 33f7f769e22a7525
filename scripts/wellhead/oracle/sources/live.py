"""A source that looks once per slot while the reporter runs, and remembers what it saw for a while."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import NamedTuple, Protocol

import httpx

from wellhead.oracle.observation import Window
from wellhead.oracle.sources.fetch import ScrapeError, TooSlowError
from wellhead.oracle.sources.finding import Exhibit, Finding, times
from wellhead.oracle.sources.lag import Lag
from wellhead.oracle.sources.meters import Account, Kind, Series, account

Key = tuple[str, tuple[tuple[str, str], ...]]
"""A series: its metric's name, and its labels in order."""

MAX_FAILURE_CHARACTERS = 300
TOO_BUSY = "not looked in time, this machine is too busy"


class Reading(NamedTuple):
    """One answer: the value of each series, and what was wrong although it answered."""

    values: Mapping[Key, Decimal]
    faults: tuple[str, ...] = ()


class Reader(Protocol):
    """How to look once."""

    @property
    def asked(self) -> str:
        """What is asked of whom, for evidence."""
        ...

    @property
    def line(self) -> str | None:
        """As in a Finding."""
        ...

    @property
    def kind(self) -> Kind:
        """What is counted."""
        ...

    async def read(self, client: httpx.AsyncClient, slot: int, timeout_seconds: float) -> Reading:
        """Look now. Raises ScrapeError when there is no right answer within the time."""
        ...


@dataclass(frozen=True)
class Look:
    """What was seen in one slot: the value of each series, or why there is none."""

    slot: int
    took_ms: int
    keys: tuple[Key, ...] = ()
    values: tuple[Decimal, ...] = ()
    failure: str = ""
    faults: tuple[str, ...] = ()


@dataclass
class LiveSource:
    """Looks through `reader` in every `every`-th slot, and takes what it sees for all of them."""

    reader: Reader
    every: int = 1
    within_seconds: float | None = None
    """An answer that takes longer counts as none, though there might be more time."""
    _looks: deque[Look] = field(default_factory=deque)
    _own_faults: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=100))

    def is_due(self, slot: int) -> bool:
        """Whether to look in `slot`."""
        return slot % self.every == 0

    async def look(self, client: httpx.AsyncClient, slot: int, timeout_seconds: float, lag: Lag) -> None:
        """Look, and remember. An answer that came too late while `lag` was large is not known to have been late."""
        allowed = min(timeout_seconds, self.within_seconds or timeout_seconds)
        begun = time.monotonic()
        try:
            seen = await self.reader.read(client, slot, allowed)
        except ScrapeError as error:
            if isinstance(error, TooSlowError) and lag.spoils(begun, allowed):
                self.missed(slot, TOO_BUSY)
                return
            self._remember(Look(slot, _milliseconds_since(begun), failure=_one_line(str(error))))
            return
        keys, values = tuple(seen.values), tuple(seen.values.values())
        self._remember(Look(slot, _milliseconds_since(begun), keys, values, faults=seen.faults))

    def _remember(self, look: Look) -> None:
        if self._looks and self._looks[-1].keys == look.keys:
            look = replace(
                look, keys=self._looks[-1].keys
            )  # one tuple for as long as an exporter exposes the same
        self._looks.append(look)

    def recall(self, looks: Sequence[Look]) -> None:
        """What an earlier process saw, in order; it stands before everything that was seen since."""
        begun = self._looks[0].slot if self._looks else None
        self._looks.extendleft(look for look in reversed(looks) if begun is None or look.slot < begun)

    def seen(self, slot: int) -> Look | None:
        """The newest look, if it was in `slot`."""
        return self._looks[-1] if self._looks and self._looks[-1].slot == slot else None

    def missed(self, slot: int, why: str) -> None:
        """Not looked in `slot`, which was this reporter's own fault: nothing is known of it."""
        self._own_faults.append((slot, why))

    def forget_before(self, slot: int) -> None:
        """Drop looks before `slot`, but for the last that counted: the next increase begins there."""
        base = None
        while self._looks and self._looks[0].slot < slot:
            look = self._looks.popleft()
            base = look if look.keys else base
        if base is not None:
            self._looks.appendleft(base)

    async def finding(self, _client: httpx.AsyncClient, window: Window) -> Finding:
        """What was seen of the window, and every look that it follows from."""
        end = window.first_slot + window.slots
        looks = [look for look in self._looks if look.slot < end]
        inside = [look for look in looks if look.slot > window.first_slot - self.every]
        base = next((look for look in reversed(looks) if look.slot < window.first_slot and look.keys), None)
        counted = ([] if base is None else [base]) + [look for look in inside if look is not base]
        found = account(self.reader.kind, _series_of(counted, window), window)
        answered = {
            slot: not look.failure and look.slot not in found.bad_slots
            for look in inside
            for slot in range(max(look.slot, window.first_slot), min(look.slot + self.every, end))
        }
        return Finding(
            self.reader.line,
            answered,
            found.gained,
            counts=bool(self.reader.kind.quantities),
            exhibits=(Exhibit(self.reader.asked, written(counted)),),
            faults=times(self._faults(inside, found, window)),
            took_ms=tuple(look.took_ms for look in inside if not look.failure),
        )

    def _faults(self, looks: Iterable[Look], found: Account, window: Window) -> Iterable[str]:
        for look in looks:
            yield from (look.failure, *look.faults) if look.failure else look.faults
        yield from found.faults
        for slot, why in self._own_faults:
            if 0 <= slot - window.first_slot < window.slots:
                yield f"{self.reader.asked}: {why}"


def written(looks: Iterable[Look]) -> bytes:
    """The looks as lines of text: slot, milliseconds, then the values of the series above, or why there are none."""
    lines: list[str] = []
    keys: tuple[Key, ...] = ()
    for look in looks:
        if look.keys != keys and look.keys:
            keys = look.keys
            lines += [f"series {name}{dict(labels)}" for name, labels in keys]
        shown = f"failed: {look.failure}" if look.failure else " ".join(map(str, look.values))
        lines.append(f"{look.slot} {look.took_ms} {shown}".rstrip())
        lines += [f"  {fault}" for fault in look.faults]
    return "\n".join(lines).encode()


def _series_of(looks: Iterable[Look], window: Window) -> dict[str, list[Series]]:
    scrapes: dict[Key, list[tuple[int, Decimal]]] = {}
    for look in looks:
        for key, value in zip(look.keys, look.values, strict=True):
            scrapes.setdefault(key, []).append((look.slot * window.interval_ms, value))
    found: dict[str, list[Series]] = {}
    for (name, labels), one in scrapes.items():
        found.setdefault(name, []).append(Series(dict(labels), one))
    return found


def _one_line(text: str) -> str:
    short = text[:MAX_FAILURE_CHARACTERS]
    return " ".join(short.split())


def _milliseconds_since(begun: float) -> int:
    return int((time.monotonic() - begun) * 1000)

"""What exporters expose, by kind, and what follows from it over a window, series by series. Pure.

A scrape's value is a decimal as it was exposed; what comes out are integers of ours, rounded down.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import NamedTuple

from wellhead.oracle.observation import Counters, Window
from wellhead.runtime import metrics as runtime_metrics

MILLIONTHS = 1_000_000
# Beyond this a float, which is what the text format carries, no longer counts by one.
MAX_EXACT = 1 << 53


class Meter(NamedTuple):
    """A counter, and how many of our units one of its is: an integer."""

    name: str
    scale: int


class Gauge(NamedTuple):
    """How busy a GPU is, `full` when it is nothing else; each scrape stands for its own slot."""

    name: str
    full: int


@dataclass(frozen=True)
class Kind:
    """A kind of exporter. Every counter and gauge named must be there whenever it answers."""

    name: str
    identity: tuple[str, ...] = ()
    """The labels that tell one counter from another of its name: the rest may change, or come twice."""
    tokens: tuple[Meter, ...] = ()
    busy_counters: tuple[Meter, ...] = ()
    """In millionths of a GPU-second."""
    busy_gauges: tuple[Gauge, ...] = ()
    energy: tuple[Meter, ...] = ()
    """In microjoules."""
    last_errors: tuple[str, ...] = ()
    """Gauges that show the last error's number until the next; not every exporter has them."""

    @property
    def counters(self) -> tuple[Meter, ...]:
        """All that only rise."""
        return (*self.tokens, *self.busy_counters, *self.energy)

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The names without which nothing can be counted."""
        return (*(meter.name for meter in self.counters), *(gauge.name for gauge in self.busy_gauges))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names that are read."""
        return (*self.needed, *self.last_errors)

    @property
    def quantities(self) -> frozenset[str]:
        """What is counted here, in words."""
        busy = self.busy_counters or self.busy_gauges
        parts = {"tokens": self.tokens, "busy time": busy, "energy": self.energy}
        return frozenset(name for name, meters in parts.items() if meters)


RUNTIME = Kind(
    "runtime",
    tokens=(Meter(runtime_metrics.PROMPT_TOKENS, 1),),
    busy_counters=(Meter(runtime_metrics.BUSY_SECONDS, MILLIONTHS),),
    energy=(Meter(runtime_metrics.ENERGY_ESTIMATE_JOULES, MILLIONTHS),),
)
_GPU = ("UUID", "GPU_I_ID")  # the second, where a GPU is divided
_MILLIJOULES = 1_000
DCGM = Kind(
    "dcgm",
    identity=_GPU,
    busy_gauges=(Gauge("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1),),
    energy=(Meter("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", _MILLIJOULES),),
    last_errors=("DCGM_FI_DEV_XID_ERRORS",),
)
# GPUs without profiling counters know only whether some kernel ran.
DCGM_CONSUMER = Kind(
    "dcgm-consumer",
    identity=_GPU,
    busy_gauges=(Gauge("DCGM_FI_DEV_GPU_UTIL", 100),),
    energy=DCGM.energy,
    last_errors=DCGM.last_errors,
)
VLLM = Kind(
    "vllm",
    identity=("model_name", "engine"),
    tokens=(Meter("vllm:prompt_tokens_total", 1), Meter("vllm:generation_tokens_total", 1)),
)
NVML = Kind(
    "nvml",
    identity=("UUID",),
    busy_gauges=(Gauge("nvml_gpu_utilization_percent", 100),),
    energy=(Meter("nvml_total_energy_millijoules", _MILLIJOULES),),
)
EXPORTERS = {kind.name: kind for kind in (RUNTIME, DCGM, DCGM_CONSUMER, VLLM)}


class Series(NamedTuple):
    """One series: its labels, and its scrapes in order, by milliseconds since the epoch."""

    labels: Mapping[str, str]
    scrapes: Sequence[tuple[int, Decimal]]


Found = Mapping[str, Sequence[Series]]
"""Series by their metric's name."""


@dataclass(frozen=True)
class Account:
    """What was gained over a window, and what was wrong with it."""

    gained: Counters
    bad_slots: frozenset[int]
    """In which the exporter showed what cannot be: as good as no answer."""
    faults: tuple[str, ...]


def account(kind: Kind, found: Found, window: Window) -> Account:
    """The gain over `window`. Scrapes before it serve as the base of the first increase.

    Series are counted each by itself: one of eight GPUs that restarts is not all of them.
    """
    reading = _Reading(kind, found, window)
    gained = Counters(
        tokens=reading.increase(kind.tokens),
        busy_micros=reading.increase(kind.busy_counters) + reading.integral(kind.busy_gauges),
        energy_microjoules=reading.increase(kind.energy),
    )
    reading.note_errors(kind.last_errors)
    return Account(gained, frozenset(reading.bad_slots), tuple(dict.fromkeys(reading.faults)))


def increase(values: Iterable[int]) -> int:
    """By how much a counter rose over `values`; where it fell it began anew, and what it shows is new."""
    total, previous = 0, None
    for value in values:
        if previous is not None:
            total += value - previous if value >= previous else value
        previous = value
    return total


def slot_of(time_ms: int, window: Window) -> int:
    """The slot on the window's grid."""
    return time_ms // window.interval_ms


@dataclass
class _Reading:
    kind: Kind
    found: Found
    window: Window
    bad_slots: set[int] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)

    def increase(self, meters: Sequence[Meter]) -> int:
        total = 0
        for meter in meters:
            for scrapes in self._one_each(meter.name):
                good = [(slot, self._whole(meter, slot, value)) for slot, value in scrapes]
                values = [(slot, value) for slot, value in good if value is not None]
                before = [value for slot, value in values if slot < self.window.first_slot]
                during = [value for slot, value in values if slot >= self.window.first_slot]
                total += increase([*before[-1:], *during])
        return total

    def integral(self, gauges: Sequence[Gauge]) -> int:
        """GPU-microseconds: how busy a slot without a scrape was is not known, and counts as nothing."""
        total = 0
        for gauge in gauges:
            for scrapes in self._one_each(gauge.name):
                inside = {slot: value for slot, value in scrapes if slot >= self.window.first_slot}
                for slot, value in inside.items():
                    if value.is_finite() and 0 <= value <= gauge.full:
                        total += int(value * self.window.interval_ms * 1000 / gauge.full)
                    else:
                        self._bad(slot, f"{gauge.name} is {value}, not between 0 and {gauge.full}")
        return total

    def note_errors(self, names: Sequence[str]) -> None:
        """An error number that changed, or was there when first looked at."""
        for name in names:
            for series in self.found.get(name, ()):
                shown = Decimal(0)
                for time_ms, value in series.scrapes:
                    slot = slot_of(time_ms, self.window)
                    if value not in (shown, 0) and 0 <= slot - self.window.first_slot < self.window.slots:
                        self.faults.append(f"{name} is {value} of {self._identity(series)} in slot {slot}")
                    shown = value

    def _one_each(self, name: str) -> list[list[tuple[int, Decimal]]]:
        """Slots and values of each counter up to the window's end, once: of series that show the same at the same
        time the longest is taken, and such as follow each other are one."""
        same: dict[tuple[str, ...], list[Series]] = {}
        for series in self.found.get(name, ()):
            same.setdefault(self._identity(series), []).append(series)
        end = self.window.first_slot + self.window.slots
        result = []
        for identity, many in same.items():
            taken: list[tuple[int, Decimal]] = []
            for series in sorted(many, key=lambda one: (-len(one.scrapes), sorted(one.labels.items()))):
                times = {time_ms for time_ms, _ in taken}
                if times and min(times) <= series.scrapes[-1][0] and series.scrapes[0][0] <= max(times):
                    self.faults.append(f"{name} of {identity} comes more than once: {dict(series.labels)}")
                    continue
                taken = sorted([*taken, *series.scrapes])
            pairs = [(slot_of(time_ms, self.window), value) for time_ms, value in taken]
            result.append([pair for pair in pairs if pair[0] < end])
        return result

    def _identity(self, series: Series) -> tuple[str, ...]:
        return tuple(series.labels.get(label, "") for label in self.kind.identity)

    def _whole(self, meter: Meter, slot: int, value: Decimal) -> int | None:
        if value.is_finite() and 0 <= value * meter.scale <= MAX_EXACT:
            return int(value * meter.scale)
        self._bad(slot, f"{meter.name} is {value}, not between 0 and {MAX_EXACT // meter.scale}")
        return None

    def _bad(self, slot: int, fault: str) -> None:
        if slot >= self.window.first_slot:
            self.bad_slots.add(slot)
            self.faults.append(fault)

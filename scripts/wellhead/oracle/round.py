"""From what was gained over a window to a node's next record: absolute counters in chain time. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from wellhead.errors import Misused, Refused
from wellhead.oracle.aggregate import Aggregate
from wellhead.reference.record import NodeRecord, difference

MILLIONTHS = 1_000_000
MICROJOULES_PER_WH = 3_600 * MILLIONTHS


@dataclass(frozen=True)
class TimeScale:
    """How observed time becomes chain time: every observed second stands for `factor` chain seconds.

    1 on a live network. A demonstration observes seconds and lets each stand for a stated number; it scales
    time alone. Tokens and energy are counted as they were, never multiplied.
    """

    interval_ms: int
    factor: int = 1

    def __post_init__(self) -> None:
        if self.factor < 1 or self.interval_ms < 1:
            raise Misused(f"interval {self.interval_ms} ms and factor {self.factor} must both be at least 1")
        if self.interval_ms * self.factor % 1000:
            raise Misused(
                f"a sample of {self.interval_ms} ms times {self.factor} is no whole number of chain seconds"
            )

    @property
    def seconds_per_slot(self) -> int:
        """Chain seconds that one sample stands for."""
        return self.interval_ms * self.factor // 1000

    def __str__(self) -> str:
        return (
            f"one observed second stands for {self.factor} chain seconds "
            f"(a sample every {self.interval_ms} ms, each for {self.seconds_per_slot})"
        )


@dataclass(frozen=True)
class NextRecord:
    """A record that can follow the last one. `notes` says what was cut, and why."""

    record: NodeRecord
    energy_left_microjoules: int
    """Below one watt-hour; carried to the next window, or small nodes would draw nothing for ever."""
    notes: tuple[str, ...]


def first_record(window_start: int, gpu_count: int) -> NodeRecord:
    """What a node's first record follows: nothing counted up to `window_start`, seconds since the epoch."""
    return NodeRecord(window_start, 0, 0, 0, 0, 0, gpu_count)


def next_record(
    previous: NodeRecord,
    gained: Aggregate,
    window_end: int,
    scale: TimeScale,
    carried_microjoules: int = 0,
) -> NextRecord:
    """`previous` plus what was gained, as a record that ends at `window_end`. Everything rounds down.

    Raises Refused when `window_end` is not after the previous record's, RecordError when a counter outgrows
    its field.
    """
    elapsed = window_end - previous.window_end
    if elapsed <= 0:
        raise Refused(f"a record up to {window_end} cannot follow one up to {previous.window_end}")
    if gained.window.interval_ms != scale.interval_ms:
        raise Misused(f"sampled every {gained.window.interval_ms} ms, scaled for {scale.interval_ms} ms")
    notes = []

    covered = gained.covered_slots * scale.seconds_per_slot
    up = gained.up_slots * scale.seconds_per_slot
    if covered > elapsed:
        notes.append(
            f"node {gained.node}: {covered} s observed in a window of {elapsed} s; the down ones stay"
        )
        up = max(0, elapsed - (covered - up))
        covered = elapsed

    busy = gained.gained.busy_micros * scale.factor // MILLIONTHS
    most_busy = up * previous.gpu_count
    if busy > most_busy:
        notes.append(
            f"node {gained.node}: {busy} GPU-seconds busy, but {previous.gpu_count} GPU up for {up} s "
            f"give {most_busy}"
        )
        busy = most_busy

    energy_wh, left = divmod(carried_microjoules + gained.gained.energy_microjoules, MICROJOULES_PER_WH)
    record = NodeRecord(
        window_end=window_end,
        covered_seconds=previous.covered_seconds + covered,
        up_seconds=previous.up_seconds + up,
        busy_gpu_seconds=previous.busy_gpu_seconds + busy,
        energy_wh=previous.energy_wh + energy_wh,
        work_units=previous.work_units + gained.gained.tokens,
        gpu_count=previous.gpu_count,
    )
    difference(previous, record)  # the contract's own rules; a failure here is a mistake above
    return NextRecord(record, left, tuple(notes))


def next_records(
    previous: Mapping[int, NodeRecord],
    gained: Mapping[int, Aggregate],
    window_end: int,
    scale: TimeScale,
    carried_microjoules: Mapping[int, int],
) -> dict[int, NextRecord]:
    """`next_record` for every observed node. Raises Refused for one without a previous record."""
    unknown = sorted(set(gained) - set(previous))
    if unknown:
        raise Refused(f"nodes {unknown} have no previous record; begin with first_record")
    return {
        node: next_record(previous[node], gained[node], window_end, scale, carried_microjoules.get(node, 0))
        for node in sorted(gained)
    }

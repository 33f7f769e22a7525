"""A node's record, as NodeRecords.sol packs and judges it: the readable twin, equal to the bit.

Seconds, GPU-seconds, watt-hours and tokens are exact integers; nothing here is rounded.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import ClassVar

PACKED_BYTES = 32
NODE_ID_BYTES = 4
ENTRY_BYTES = NODE_ID_BYTES + PACKED_BYTES
MAX_NODE_ID = 2**32 - 1


class RecordError(ValueError):
    """A record that cannot be. `name` and `values` are those of the contract's custom error.

    Two names exist here only: `FieldOutOfRange` (a value does not fit its bits) and `NotARecord` (bytes of
    the wrong length); in the contract the types exclude both.
    """

    def __init__(self, name: str, *values: int | str) -> None:
        super().__init__(f"{name}({', '.join(map(str, values))})")
        self.name = name
        self.values = values


@dataclass(frozen=True, slots=True)
class NodeDelta:
    """What a node did between two records; elapsed seconds that are not covered are unknown, not down."""

    elapsed_seconds: int
    covered_seconds: int
    up_seconds: int
    busy_gpu_seconds: int
    energy_wh: int
    work_units: int
    gpu_count: int

    @property
    def unknown_seconds(self) -> int:
        """In which too few reporters could measure."""
        return self.elapsed_seconds - self.covered_seconds

    @property
    def down_seconds(self) -> int:
        """In which the node did not serve although it could be measured."""
        return self.covered_seconds - self.up_seconds


@dataclass(frozen=True, slots=True)
class NodeRecord:
    """Absolute counters of a node since it was first measured. `window_end` is in seconds since the epoch."""

    window_end: int
    covered_seconds: int
    up_seconds: int
    busy_gpu_seconds: int
    energy_wh: int
    work_units: int
    gpu_count: int

    # Widths in bits, first field in the highest bits; 256 together.
    BITS: ClassVar[tuple[int, ...]] = (40, 32, 32, 40, 40, 64, 8)

    def __post_init__(self) -> None:
        for place, (value, bits) in enumerate(zip(_values(self), self.BITS, strict=True)):
            if not 0 <= value < 1 << bits:
                raise RecordError("FieldOutOfRange", fields(self)[place].name, value, (1 << bits) - 1)

    def pack(self) -> bytes:
        """The record in 32 bytes."""
        word = 0
        for value, bits in zip(_values(self), self.BITS, strict=True):
            word = word << bits | value
        return word.to_bytes(PACKED_BYTES, "big")

    @classmethod
    def unpack(cls, packed: bytes) -> NodeRecord:
        """The record out of its 32 bytes. Every word is some record; `check` says whether a possible one."""
        if len(packed) != PACKED_BYTES:
            raise RecordError("NotARecord", len(packed))
        word = int.from_bytes(packed, "big")
        values = []
        for bits in reversed(cls.BITS):
            values.append(word & (1 << bits) - 1)
            word >>= bits
        return cls(*reversed(values))

    def check(self) -> None:
        """Raise RecordError unless the record is possible by itself: GPUs, up <= covered, busy <= up * GPUs."""
        if self.gpu_count == 0:
            raise RecordError("NodeRecords_NoGpus")
        _require_possible(self.covered_seconds, self.up_seconds, self.busy_gpu_seconds, self.gpu_count)


# In the order of BITS. For a million nodes it matters that `astuple`, which copies deeply, takes ten times as long.
_values = attrgetter(*(field.name for field in fields(NodeRecord)))


def difference(earlier: NodeRecord, later: NodeRecord) -> NodeDelta:
    """What a node did between two of its records; RecordError unless `later` can follow `earlier`."""
    if later.window_end <= earlier.window_end:
        raise RecordError("NodeRecords_WindowsOverlap", earlier.window_end, later.window_end)
    if later.gpu_count != earlier.gpu_count:
        raise RecordError("NodeRecords_GpuCountChanged", earlier.gpu_count, later.gpu_count)
    elapsed = later.window_end - earlier.window_end
    covered = _rise("coveredSeconds", earlier.covered_seconds, later.covered_seconds)
    up = _rise("upSeconds", earlier.up_seconds, later.up_seconds)
    busy = _rise("busyGpuSeconds", earlier.busy_gpu_seconds, later.busy_gpu_seconds)
    energy = _rise("energyWh", earlier.energy_wh, later.energy_wh)
    work = _rise("workUnits", earlier.work_units, later.work_units)
    if covered > elapsed:
        raise RecordError("NodeRecords_CoveredExceedsTime", covered, elapsed)
    _require_possible(covered, up, busy, later.gpu_count)
    return NodeDelta(elapsed, covered, up, busy, energy, work, later.gpu_count)


def pack_entries(records: Mapping[int, NodeRecord]) -> bytes:
    """The `records` argument of `report`: node id and packed record, 36 bytes each, ids ascending.

    Raises RecordError for a node id outside 1 to 2^32 - 1.
    """
    entries = b""
    for node_id in sorted(records):
        entries += require_node_id(node_id).to_bytes(NODE_ID_BYTES, "big") + records[node_id].pack()
    return entries


def unpack_entries(entries: bytes) -> Iterator[tuple[int, NodeRecord]]:
    """Node ids and records out of a `Reported` event's bytes; RecordError if they are not whole entries."""
    if len(entries) % ENTRY_BYTES:
        raise RecordError("TelemetryOracle_MalformedRecords", len(entries))
    for start in range(0, len(entries), ENTRY_BYTES):
        middle = start + NODE_ID_BYTES
        node_id = int.from_bytes(entries[start:middle], "big")
        yield node_id, NodeRecord.unpack(entries[middle : start + ENTRY_BYTES])


def require_node_id(node_id: int) -> int:
    """`node_id` itself; RecordError unless it names a node."""
    if not 1 <= node_id <= MAX_NODE_ID:
        raise RecordError("FieldOutOfRange", "node_id", node_id, MAX_NODE_ID)
    return node_id


def _require_possible(covered: int, up: int, busy: int, gpus: int) -> None:
    if up > covered:
        raise RecordError("NodeRecords_UpExceedsCovered", up, covered)
    if busy > up * gpus:
        raise RecordError("NodeRecords_BusyExceedsUp", busy, up * gpus)


def _rise(counter: str, earlier: int, later: int) -> int:
    if later < earlier:
        raise RecordError("NodeRecords_CounterWentBack", counter, earlier, later)
    return later - earlier

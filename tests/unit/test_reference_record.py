"""The twin of NodeRecords: layout, limits and refusals, by hand. tests/contracts holds it to the contract."""

from __future__ import annotations

from dataclasses import astuple, replace

import pytest

from wellhead.reference.record import (
    NodeDelta,
    NodeRecord,
    RecordError,
    difference,
    pack_entries,
    unpack_entries,
)

EARLIER = NodeRecord(
    window_end=1_000_000,
    covered_seconds=1_000,
    up_seconds=900,
    busy_gpu_seconds=1_800,
    energy_wh=50,
    work_units=70_000,
    gpu_count=8,
)
LATER = NodeRecord(
    window_end=1_003_600,
    covered_seconds=4_000,
    up_seconds=3_400,
    busy_gpu_seconds=21_800,
    energy_wh=80,
    work_units=170_000,
    gpu_count=8,
)
FIELDS = (
    "window_end",
    "covered_seconds",
    "up_seconds",
    "busy_gpu_seconds",
    "energy_wh",
    "work_units",
    "gpu_count",
)


def test_a_record_is_one_word_with_its_first_field_on_top() -> None:
    record = NodeRecord(
        0x0102030405, 0x06070809, 0x0A0B0C0D, 0x0E0F101112, 0x1314151617, 0x18191A1B1C1D1E1F, 0x20
    )
    assert record.pack() == bytes(range(1, 33))
    assert NodeRecord.unpack(bytes(range(1, 33))) == record


@pytest.mark.parametrize("packed", [bytes(32), b"\xff" * 32, LATER.pack()])
def test_every_word_is_one_record(packed: bytes) -> None:
    assert NodeRecord.unpack(packed).pack() == packed


@pytest.mark.parametrize("length", [0, 31, 33])
def test_other_lengths_are_no_record(length: int) -> None:
    with pytest.raises(RecordError, match="NotARecord"):
        NodeRecord.unpack(bytes(length))


@pytest.mark.parametrize(("field", "bits"), list(zip(FIELDS, NodeRecord.BITS, strict=True)))
def test_a_field_keeps_to_its_bits(field: str, bits: int) -> None:
    assert getattr(replace(LATER, **{field: 2**bits - 1}), field) == 2**bits - 1
    for outside in (-1, 2**bits):
        with pytest.raises(RecordError, match=rf"FieldOutOfRange.*{field}"):
            replace(LATER, **{field: outside})


def refusal(*expected: int | str) -> object:
    """`with refusal(name, *values)`: the block must raise exactly that."""
    text = f"{expected[0]}({', '.join(map(str, expected[1:]))})"
    return pytest.raises(RecordError, match=f"^{text.replace('(', '[(]').replace(')', '[)]')}$")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"gpu_count": 0}, ("NodeRecords_NoGpus",)),
        ({"up_seconds": 4_001}, ("NodeRecords_UpExceedsCovered", 4_001, 4_000)),
        ({"busy_gpu_seconds": 27_201}, ("NodeRecords_BusyExceedsUp", 27_201, 27_200)),
    ],
)
def test_an_impossible_record_is_refused(changes: dict[str, int], expected: tuple[int | str, ...]) -> None:
    LATER.check()
    with refusal(*expected):
        replace(LATER, **changes).check()


def test_the_limits_themselves_are_possible() -> None:
    replace(LATER, up_seconds=4_000, busy_gpu_seconds=32_000).check()
    NodeRecord(1, 0, 0, 0, 0, 0, 1).check()


def test_a_difference_is_field_by_field() -> None:
    assert difference(EARLIER, LATER) == NodeDelta(
        elapsed_seconds=3_600,
        covered_seconds=3_000,
        up_seconds=2_500,
        busy_gpu_seconds=20_000,
        energy_wh=30,
        work_units=100_000,
        gpu_count=8,
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"window_end": 1_000_000}, ("NodeRecords_WindowsOverlap", 1_000_000, 1_000_000)),
        ({"window_end": 999_999}, ("NodeRecords_WindowsOverlap", 1_000_000, 999_999)),
        ({"gpu_count": 9}, ("NodeRecords_GpuCountChanged", 8, 9)),
        ({"covered_seconds": 999}, ("NodeRecords_CounterWentBack", "coveredSeconds", 1_000, 999)),
        ({"up_seconds": 899}, ("NodeRecords_CounterWentBack", "upSeconds", 900, 899)),
        ({"busy_gpu_seconds": 1_799}, ("NodeRecords_CounterWentBack", "busyGpuSeconds", 1_800, 1_799)),
        ({"energy_wh": 49}, ("NodeRecords_CounterWentBack", "energyWh", 50, 49)),
        ({"work_units": 69_999}, ("NodeRecords_CounterWentBack", "workUnits", 70_000, 69_999)),
        ({"covered_seconds": 4_601}, ("NodeRecords_CoveredExceedsTime", 3_601, 3_600)),
        ({"up_seconds": 3_901}, ("NodeRecords_UpExceedsCovered", 3_001, 3_000)),
        ({"busy_gpu_seconds": 21_801}, ("NodeRecords_BusyExceedsUp", 20_001, 20_000)),
    ],
)
def test_what_cannot_follow_is_refused(changes: dict[str, int], expected: tuple[int | str, ...]) -> None:
    with refusal(*expected):
        difference(EARLIER, replace(LATER, **changes))


def test_standing_still_is_possible_except_in_time() -> None:
    idle = replace(EARLIER, window_end=EARLIER.window_end + 1)
    assert astuple(difference(EARLIER, idle)) == (1, 0, 0, 0, 0, 0, 8)


def test_entries_ascend_by_node() -> None:
    entries = pack_entries({700: LATER, 3: EARLIER})
    assert entries == b"\0\0\0\x03" + EARLIER.pack() + b"\0\0\x02\xbc" + LATER.pack()
    assert list(unpack_entries(entries)) == [(3, EARLIER), (700, LATER)]
    assert pack_entries({}) == b""


@pytest.mark.parametrize("node_id", [0, -1, 2**32])
def test_entries_name_nodes_only(node_id: int) -> None:
    with pytest.raises(RecordError, match=r"FieldOutOfRange.*node_id"):
        pack_entries({node_id: LATER})


def test_torn_entries_are_refused() -> None:
    with refusal("TelemetryOracle_MalformedRecords", 35):
        list(unpack_entries(bytes(35)))

"""The parts of `wellhead bench oracle` that run in processes of their own, made small: figures come back, whole."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest

from wellhead.bench import oracle_rounds
from wellhead.bench.oracle_rounds import RoundTime
from wellhead.bench.oracle_scale import REPORTERS, measure_records, measure_scraping
from wellhead.errors import Refused
from wellhead.oracle.schedule import Schedule


def test_records_are_kept_and_proven_apart_from_this_process() -> None:
    figures = measure_records(1_001)
    assert figures["nodes"] == 1_001
    assert figures["interpreter_mib"] <= figures["peak_mib"] < 200
    assert figures["build_seconds"] > 0 < figures["proof_p50_us"]


def test_nodes_are_looked_at() -> None:
    figures = measure_scraping(3)
    assert figures["nodes"] == 3
    assert min(figures.values()) > 0


def test_what_cannot_be_measured_is_said() -> None:
    with pytest.raises(
        Refused, match=r"wellhead\.bench\.records 0 failed: .*: a tree needs at least one record"
    ):
        measure_records(0)


def test_three_reporters_are_three_at_work_of_a_set_of_four_whose_fourth_is_silent(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    started: list[list[str]] = []

    def start(command: list[str], _log: Path) -> SimpleNamespace:
        started.append(command)
        return SimpleNamespace(stop=lambda: None)

    monkeypatch.setattr(oracle_rounds, "ManagedProcess", start)
    running, reporters, faulty = REPORTERS[0]
    schedule = Schedule.live(0, 3_600, oracle_rounds.SLOT_MS)
    with ExitStack() as stack:
        oracle_rounds._start(stack, tmp_path, "http://chain", tmp_path, schedule, running, reporters)
    assert (running, reporters, faulty) == (3, 4, 1)
    assert [sum(part.startswith("--peer=") for part in command) for command in started] == [3, 3, 3]
    assert REPORTERS[1] == (7, 7, 2)
    shown = RoundTime(running, reporters, 3, 1, 3.2, 3.4)._asdict()
    assert (shown["running"], shown["reporters"]) == (3, 4)

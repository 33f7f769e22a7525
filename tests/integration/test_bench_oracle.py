"""The parts of `wellhead bench oracle` that run in processes of their own, made small: figures come back, whole."""

from __future__ import annotations

import pytest

from wellhead.bench.oracle_scale import measure_records, measure_scraping
from wellhead.errors import Refused


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

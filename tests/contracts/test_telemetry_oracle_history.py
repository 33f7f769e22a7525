"""One history per node: reporters go on from the newest good record, whatever stands in the contract's slot."""

from __future__ import annotations

import pytest
from oracle_bench import OracleBench

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.oracle.onchain import last_records
from wellhead.reference.record import RecordError, difference

NODE = 7
COUNTERS = ("covered_seconds", "up_seconds", "busy_gpu_seconds", "energy_wh", "work_units")


@pytest.fixture(scope="module")
def bench(w3, deploy, send, actors, keys) -> OracleBench:
    return OracleBench(w3, deploy, send, actors, keys)


@pytest.fixture
def oracle(bench: OracleBench) -> TelemetryOracle:
    return TelemetryOracle(bench.w3, bench.contract.address)


def test_the_newest_record_is_followed(bench, oracle):
    assert last_records(oracle) == {}
    bench.report(1, {NODE: bench.record(1), 9: bench.record(1)})
    bench.report(2, {NODE: bench.record(2)})
    assert last_records(oracle) == {NODE: bench.record(2), 9: bench.record(1)}


def test_a_vetoed_record_is_not(bench, oracle):
    bench.report(1, {NODE: bench.record(1)})
    bench.report(2, {NODE: bench.record(2, work_units=10**9)})
    bench.veto(2)
    assert last_records(oracle) == {NODE: bench.record(1)}


def test_nobody_rewinds_a_node_after_a_veto(bench, oracle, actors):
    """A stranger puts an old record back; going on from there would undo final, unvetoed rounds."""
    for number in (1, 2, 3, 4):
        bench.report(number, {NODE: bench.record(number)})
    bench.veto(4)
    reading = bench.trees[1].reading(1, NODE)
    bench.send(bench.functions.restore(NODE, reading), actors["stranger"])
    assert bench.latest(NODE) == bench.record(1)
    last = last_records(oracle)[NODE]
    assert last == bench.record(3)

    bench.report(5, {NODE: bench.record(5)})
    bench.pass_delay()
    difference(bench.proven(NODE, 3), bench.proven(NODE, 5))
    # What a reporter that trusted the slot would have signed, had round 5's window been idle.
    rewound = bench.record(5, **{name: getattr(bench.record(1), name) for name in COUNTERS})
    with pytest.raises(RecordError):
        difference(last, rewound)

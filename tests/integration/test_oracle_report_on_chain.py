"""A real node goes down and comes back while five reporters watch, one of them silent; the chain agrees with
the stopwatch and with what the node's customers were told."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from node_process import START_TIMEOUT_SECONDS, Runtime

from wellhead.chain import artifacts, keys, local
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.revert import ContractRefused
from wellhead.chain.transact import Sender
from wellhead.errors import Refused
from wellhead.oracle.onchain import basis_of, due_round
from wellhead.oracle.report import Report, co_sign
from wellhead.oracle.round import TimeScale
from wellhead.oracle.sampler import Canary, Reporter, Target
from wellhead.oracle.watch import Watch
from wellhead.reference.quorum import ascending
from wellhead.reference.record import NodeRecord

NODE = 7
INTERVAL_MS = 1_000
SCALE = TimeScale(INTERVAL_MS, factor=60)
WINDOW_SECONDS = 3_600
DELAY_SECONDS = 1_800
UP_SLOTS, DOWN_SLOTS = 2, 3
REPORTERS = [keys.local_account(f"reporter-{number}") for number in range(5)]


class Outcome(NamedTuple):
    """What was reported, and what the test's own stopwatch and counter say."""

    oracle: TelemetryOracle
    report: Report
    slots: int
    shortest_outage_seconds: float
    longest_outage_seconds: float
    serving_seconds: float
    tokens_told: int


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TelemetryOracle]:
    with local.running("anvil", log=tmp_path_factory.mktemp("oracle") / "anvil.log") as chain:
        w3 = chain.connect()
        local.advance(w3, 1)
        owner = Sender(w3, keys.local_account("owner"))
        built = artifacts.load("TelemetryOracle")
        reporters = ascending([account.address for account in REPORTERS], 1)
        deployed = owner.send(
            w3.eth.contract(abi=built.abi, bytecode=built.bytecode).constructor(
                *(local.chain_time(w3), WINDOW_SECONDS, DELAY_SECONDS, 64),
                *(owner.address, keys.local_account("guardian").address, reporters, 1),
            )
        )
        yield TelemetryOracle(w3, str(deployed.receipt["contractAddress"]))


@pytest.fixture(scope="module")
def outcome(oracle: TelemetryOracle, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    runtime = Runtime(tmp_path_factory.mktemp("oracle") / "runtime.log")
    rpc_url = str(oracle.w3.provider.endpoint_uri)  # type: ignore[attr-defined]
    watch = Watch(
        [
            Reporter(
                account,
                [Target(NODE, runtime.url)],
                Canary(rpc_url, local.CHAIN_ID),
                INTERVAL_MS,
            )
            for account in REPORTERS[:4]
        ]
    )

    def let_reporters_sample(slots: int) -> None:
        begun = int(time.time() * 1000) // INTERVAL_MS
        for reporter in watch.reporters:
            assert reporter.wait_for(begun + slots, START_TIMEOUT_SECONDS)

    try:
        watch.start()
        let_reporters_sample(UP_SLOTS)
        serving = time.monotonic()
        runtime.serve(["the meter turns"])
        runtime.serve(["well " * 200] * 8)
        first_served = time.monotonic() - serving
        let_reporters_sample(1)

        stopping = time.monotonic()
        runtime.stop()
        stopped = time.monotonic()
        let_reporters_sample(DOWN_SLOTS)
        restarting = time.monotonic()
        runtime.start()
        answering = time.monotonic()

        runtime.serve(["barrel " * 100] * 4)
        served = first_served + time.monotonic() - answering
        let_reporters_sample(UP_SLOTS)
        seen = watch.cut()
    finally:
        watch.stop()
        runtime.stop()

    w3 = oracle.w3
    local.advance(w3, oracle.window_end_of(1) - local.chain_time(w3))
    report = co_sign(basis_of(oracle, seen, {NODE: 1}, SCALE), REPORTERS)
    Sender(w3, keys.local_account("customer")).send(oracle.report(*report.arguments))
    return Outcome(
        oracle,
        report,
        seen.window.slots,
        shortest_outage_seconds=restarting - stopped,
        longest_outage_seconds=answering - stopping,
        serving_seconds=served,
        tokens_told=runtime.told_tokens,
    )


def posted(outcome: Outcome) -> NodeRecord:
    return outcome.oracle.latest_record(NODE)


def test_the_chain_holds_what_the_quorum_signed(outcome: Outcome) -> None:
    assert posted(outcome) == outcome.report.records[NODE]
    assert posted(outcome).window_end == outcome.oracle.window_end_of(1)
    assert outcome.oracle.latest_round() == 1


def test_every_second_was_covered_because_the_reporters_were_live(outcome: Outcome) -> None:
    assert "?" not in outcome.report.draft.aggregates[NODE].states
    assert posted(outcome).covered_seconds == outcome.slots * SCALE.seconds_per_slot


def test_the_outage_is_as_long_as_the_stopwatch_says(outcome: Outcome) -> None:
    record = posted(outcome)
    down_slots = (record.covered_seconds - record.up_seconds) / SCALE.seconds_per_slot
    down_seconds = down_slots * INTERVAL_MS / 1000
    within = INTERVAL_MS / 1000
    assert outcome.shortest_outage_seconds - within < down_seconds < outcome.longest_outage_seconds + within
    assert down_slots >= DOWN_SLOTS - 1
    assert outcome.report.draft.aggregates[NODE].states.strip("U").strip("D") == ""  # one outage, no flicker


def test_work_survives_the_restart_to_the_token(outcome: Outcome) -> None:
    assert posted(outcome).work_units == outcome.tokens_told


def test_busy_time_is_real_and_within_what_serving_took(outcome: Outcome) -> None:
    assert 0 < posted(outcome).busy_gpu_seconds <= outcome.serving_seconds * SCALE.factor


def test_one_reporter_was_silent_and_the_others_agreed(outcome: Outcome) -> None:
    assert [entry.objection for entry in outcome.report.figures] == ["", "", "", "", "silent"]
    assert outcome.report.notes == ()


def test_the_record_is_proven_once_it_is_final(outcome: Outcome) -> None:
    oracle = outcome.oracle
    reading = outcome.report.reading(NODE)
    with pytest.raises(ContractRefused) as refused:
        oracle.proven_record(NODE, reading)
    assert refused.value.name == "TelemetryOracle_RoundNotFinal"
    local.advance(oracle.w3, DELAY_SECONDS)
    assert oracle.proven_record(NODE, reading) == outcome.report.records[NODE]


def test_the_round_is_due_only_once(outcome: Outcome) -> None:
    local_time = local.chain_time(outcome.oracle.w3)
    with pytest.raises(Refused, match="round 2 is due at chain time"):
        due_round(outcome.oracle)
    assert outcome.oracle.window_end_of(2) > local_time

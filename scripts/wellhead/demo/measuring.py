"""Third part: five reporters measure the node, one of them silent; a quorum posts, money is decided on it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import NamedTuple

from wellhead.chain import keys
from wellhead.chain.contracts.offering import State
from wellhead.chain.revert import ContractRefused
from wellhead.demo.listing import SPEC, Listed
from wellhead.demo.serving import Buying, Site
from wellhead.demo.stage import Stage
from wellhead.oracle.draft import Basis, OracleConfig
from wellhead.oracle.report import Report, co_sign
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.sampler import Canary, Reporter, Target
from wellhead.oracle.watch import Seen, Watch
from wellhead.reference.quorum import SIGNATURE_BYTES
from wellhead.reference.record import NodeRecord
from wellhead.units import format_duration, format_usd

INTERVAL_MS = 500
FACTOR = 1_200  # an observed second stands for twenty minutes on the chain
SILENT = 4
OUTAGE_SECONDS = 2.0
# One sample at either end of the outage, and one for a probe that a busy machine answered too late.
OUTAGE_TOLERANCE_SLOTS = 3
UP_SECONDS = 4.0


class Measured(NamedTuple):
    """The last report, counters since the first."""

    round: int
    signers: list[str]
    covered_seconds: int
    up_seconds: int
    busy_gpu_seconds: int
    chain_seconds_per_observed_second: int


class Measuring:
    """Reporters at work from the start; `report` posts what they saw since the last."""

    def __init__(self, stage: Stage, listed: Listed, site: Site) -> None:
        self._stage, self._listed, self._site = stage, listed, site
        oracle = stage.oracle
        chain_id = stage.w3.eth.chain_id
        self._config = OracleConfig(
            chain_id, oracle.address, oracle.config_digest(), tuple(oracle.reporters()), oracle.quorum()
        )
        self._accounts = [keys.local_account(f"reporter-{number}") for number in range(5)]
        self._scale = TimeScale(INTERVAL_MS, FACTOR)
        reporters = [
            Reporter(
                account,
                [Target(listed.node, site.runtime_url)],
                Canary(stage.chain.url, chain_id),
                INTERVAL_MS,
                silent=number == SILENT,
            )
            for number, account in enumerate(self._accounts)
        ]
        self._watch = Watch(reporters)
        began = oracle.window_end_of(oracle.round_ended_by(stage.now()))
        self._previous: NodeRecord = first_record(began, SPEC.gpu_count)
        self._carried: dict[int, int] = {}
        self._watch.start()
        stage.narrator.tell("reporters", f"start, one of five is silent; {self._scale}")

    def stop(self) -> None:
        """End every reporter."""
        self._watch.stop()

    def report(self) -> Report:
        """Cut the observation off, agree on it, post it when its window has ended on the chain."""
        stage = self._stage
        seen = self._watch.cut()
        report = self._agree(seen)
        self._refuse_too_few(report)
        stage.sender("reporter-0").send(stage.oracle.report(*report.arguments))
        self._previous, before = report.records[self._listed.node], self._previous
        self._carried = report.carried_microjoules
        record = self._previous
        signed = sum(figures.signed for figures in report.figures)
        stage.narrator.tell(
            "reporters",
            f"round {report.round}: {signed} of 5 agreed, 3 signatures posted; "
            f"covered {record.covered_seconds - before.covered_seconds} s, "
            f"up {record.up_seconds - before.up_seconds} s, "
            f"busy {record.busy_gpu_seconds - before.busy_gpu_seconds} GPU-seconds, "
            f"{record.work_units - before.work_units} tokens",
        )
        return report

    def _agree(self, seen: Seen) -> Report:
        oracle, node = self._stage.oracle, self._listed.node
        # The first round whose end leaves room for all that was observed; what is left of it is unknown.
        observed = seen.window.slots * self._scale.seconds_per_slot
        window_seconds = oracle.window_seconds()
        round_ = oracle.round_ended_by(self._previous.window_end) + -(-observed // window_seconds)
        self._stage.advance_to(oracle.window_end_of(round_))
        basis = Basis(
            config=self._config,
            round=round_,
            window_end=oracle.window_end_of(round_),
            window=seen.window,
            revealed=seen.revealed(self._config.config_digest, round_),
            previous={node: self._previous},
            scale=self._scale,
            carried_microjoules=self._carried,
        )
        return co_sign(basis, self._accounts)

    def _refuse_too_few(self, report: Report) -> None:
        round_, root, evidence, entries, signatures = report.arguments
        refused = _refusal(
            lambda: self._stage.sender("customer").simulate(
                self._stage.oracle.report(round_, root, evidence, entries, signatures[:-SIGNATURE_BYTES])
            )
        )
        self._stage.narrator.check(
            f"round {round_} needs its quorum",
            refused != "",
            f"one signature less: {refused or 'accepted'}",
        )


def serve_with_an_outage(stage: Stage, site: Site, buying: Buying) -> float:
    """Calls, then the runtime stops for a while and comes back, then calls. How long it was down, by stopwatch."""
    buying.many(20, at_once=4)
    site.stop_runtime()
    stopped = time.monotonic()
    stage.narrator.tell("operator", "the node goes down …")
    buying.fails_unpaid()
    time.sleep(max(0.0, OUTAGE_SECONDS - (time.monotonic() - stopped)))  # reporters observe in wall time
    site.restart_runtime()
    down = time.monotonic() - stopped
    stage.narrator.tell("operator", f"… and answers again after {down:.1f} s")
    begun = time.monotonic()
    buying.many(20, at_once=4)
    time.sleep(max(0.0, UP_SECONDS - (time.monotonic() - begun)))
    return down


def decide_delivery(stage: Stage, listed: Listed, base: Report, end: Report, down_seconds: float) -> Measured:
    """Prove both records to the sale once they are final: the proceeds are released."""
    node, narrator = listed.node, stage.narrator
    readings = base.reading(node), end.reading(node)
    confirm = stage.offering.confirm_delivery(node, *readings)
    early = _refusal(lambda: stage.sender("operator").simulate(confirm))
    narrator.check(
        "money waits for finality", early != "", f"delivery before the delay: {early or 'accepted'}"
    )
    stage.advance_to(stage.now() + stage.oracle.finality_delay_seconds())
    forged = readings[1]._replace(record=_boasting(end.records[node]).pack())
    refused = _refusal(lambda: stage.oracle.proven_record(node, forged))
    narrator.check(
        "a forged record is refused", refused != "", f"an up-time one second longer: {refused or 'accepted'}"
    )
    stage.sender("operator").send(confirm)
    released: int = (
        stage.sender("operator").send(stage.offering.withdraw(node, stage.address("operator"))).result
    )
    narrator.tell("operator", f"proves the delivery and takes the proceeds, {format_usd(released)}")
    narrator.check(
        "delivery releases the proceeds",
        stage.offering.state_of(node) == State.DELIVERED and released == listed.raised_usd6,
        f"{format_usd(released)} of {format_usd(listed.raised_usd6)}, the upfront part included",
    )
    record, before = end.records[node], base.records[node]
    _check_outage(stage, before, record, down_seconds)
    stage.narrator.check(
        "the chain holds what was signed",
        stage.oracle.latest_record(node) == record,
        f"round {end.round}, window until {record.window_end}",
    )
    return Measured(
        round=end.round,
        signers=[figures.reporter for figures in end.figures if figures.signed],
        covered_seconds=record.covered_seconds,
        up_seconds=record.up_seconds,
        busy_gpu_seconds=record.busy_gpu_seconds,
        chain_seconds_per_observed_second=FACTOR,
    )


def _check_outage(stage: Stage, before: NodeRecord, after: NodeRecord, down_seconds: float) -> None:
    covered = after.covered_seconds - before.covered_seconds
    down = covered - (after.up_seconds - before.up_seconds)
    slot = INTERVAL_MS * FACTOR // 1000
    expected = down_seconds * FACTOR
    stage.narrator.check(
        "the outage shows, as long as it was",
        abs(down - expected) <= OUTAGE_TOLERANCE_SLOTS * slot,
        f"down {format_duration(down)} of {format_duration(covered)} on the chain; stopwatch {down_seconds:.2f} s "
        f"x {FACTOR} = {expected:.0f} s, a sample stands for {slot} s",
    )


def _boasting(record: NodeRecord) -> NodeRecord:
    return NodeRecord(
        record.window_end,
        record.covered_seconds + 1,
        record.up_seconds + 1,
        record.busy_gpu_seconds,
        record.energy_wh,
        record.work_units,
        record.gpu_count,
    )


def _refusal(attempt: Callable[[], object]) -> str:
    """The name of the error with which `attempt` is refused; empty when it is not."""
    try:
        attempt()
    except ContractRefused as refusal:
        return refusal.name
    return ""

"""Fourth part: money is decided on what was measured, once it is final, and on nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from wellhead.chain.contracts.offering import State
from wellhead.chain.revert import ContractRefused
from wellhead.demo.listing import Listed
from wellhead.demo.measuring import FACTOR, SLOT_MS, Shown
from wellhead.demo.posted import Posted
from wellhead.demo.stage import Stage
from wellhead.reference.quorum import SIGNATURE_BYTES
from wellhead.reference.record import NodeRecord
from wellhead.units import format_duration, format_usd

# A sample at either end falls to one side or the other; and one for a look that a busy machine answered too late.
OUTAGE_TOLERANCE_SLOTS = 3


class Measured(NamedTuple):
    """The last report, counters since the first."""

    round: int
    signers: list[str]
    covered_seconds: int
    up_seconds: int
    busy_gpu_seconds: int
    chain_seconds_per_observed_second: int


def decide_delivery(stage: Stage, listed: Listed, shown: Shown) -> Measured:
    """Prove both records to the sale once they are final: the proceeds are released."""
    node, narrator, (base, end) = listed.node, stage.narrator, shown.readings
    for report in (shown.base, shown.end):
        _check_quorum(stage, report)
    # In the block of the report: a busy machine may find the delay over by now.
    early = _refusal(lambda: stage.offering.read("confirmDelivery", node, base, end, block=shown.end.block))
    narrator.check(
        "money waits for finality", early != "", f"delivery before the delay: {early or 'accepted'}"
    )
    stage.advance_to(stage.now() + stage.oracle.finality_delay_seconds())
    record = shown.end.record
    forged = end._replace(record=_boasting(record).pack())
    refused = _refusal(lambda: stage.oracle.proven_record(node, forged))
    narrator.check(
        "a forged record is refused", refused != "", f"an up-time one second longer: {refused or 'accepted'}"
    )
    stage.sender("operator").send(stage.offering.confirm_delivery(node, base, end))
    released: int = (
        stage.sender("operator").send(stage.offering.withdraw(node, stage.address("operator"))).result
    )
    narrator.tell(
        "operator",
        f"proves the delivery by what two reporters serve, and takes the proceeds, {format_usd(released)}",
    )
    narrator.check(
        "delivery releases the proceeds",
        stage.offering.state_of(node) == State.DELIVERED and released == listed.raised_usd6,
        f"{format_usd(released)} of {format_usd(listed.raised_usd6)}, the upfront part included",
    )
    _check_outage(stage, shown)
    narrator.check(
        "the chain holds what was signed",
        stage.oracle.proven_record(node, end) == record,
        f"round {end.round}, window until {record.window_end}, proven by a reporter",
    )
    return Measured(
        round=end.round,
        signers=shown.end.signers,
        covered_seconds=record.covered_seconds,
        up_seconds=record.up_seconds,
        busy_gpu_seconds=record.busy_gpu_seconds,
        chain_seconds_per_observed_second=FACTOR,
    )


def _check_quorum(stage: Stage, report: Posted) -> None:
    """In the block before the report: with all its signatures it was taken there, with one less it is not."""
    *said, signatures = report.arguments
    fewer = signatures[:-SIGNATURE_BYTES]
    refused = _refusal(lambda: stage.oracle.read("report", *said, fewer, block=report.block - 1))
    whole = _refusal(lambda: stage.oracle.read("report", *said, signatures, block=report.block - 1))
    stage.narrator.check(
        f"round {report.round} needs its quorum",
        refused != "" and whole == "",
        f"one signature less: {refused or 'accepted'}; all {len(report.signers)}: {whole or 'accepted'}",
    )


def _check_outage(stage: Stage, shown: Shown) -> None:
    before, after = shown.base.record, shown.end.record
    covered = after.covered_seconds - before.covered_seconds
    down = covered - (after.up_seconds - before.up_seconds)
    unknown = after.window_end - before.window_end - covered
    slot = SLOT_MS * FACTOR // 1000
    expected, tolerance = shown.down_seconds * FACTOR, OUTAGE_TOLERANCE_SLOTS * slot
    stage.narrator.check(
        "the outage shows, as long as it was",
        expected - tolerance - unknown <= down <= expected + tolerance and down > 0,
        f"down {format_duration(down)} of {format_duration(covered)} on the chain, "
        f"{format_duration(unknown)} unknown; stopwatch {shown.down_seconds:.2f} s x {FACTOR} = {expected:.0f} s, "
        f"a sample stands for {slot} s",
    )


def _boasting(record: NodeRecord) -> NodeRecord:
    return replace(record, covered_seconds=record.covered_seconds + 1, up_seconds=record.up_seconds + 1)


def _refusal(attempt: Callable[[], object]) -> str:
    """The name of the error with which `attempt` is refused; empty when it is not."""
    try:
        attempt()
    except ContractRefused as refusal:
        return refusal.name
    return ""

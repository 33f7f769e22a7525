"""How an oracle stands: what was reported last, how late, and what the nodes' newest records say of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

import httpx

from wellhead.chain.contracts.telemetry_oracle import PostedReport, TelemetryOracle
from wellhead.errors import Refused
from wellhead.oracle.daemon.listening import STATUS_PATH
from wellhead.reference.record import NodeRecord, RecordError, difference, unpack_entries

ROUNDS_LOOKED_AT = 50
TIMEOUT_SECONDS = 10


class RoundStanding(NamedTuple):
    """A posted round. `late_seconds` from its window's end to its report."""

    round: int
    posted_at: int
    late_seconds: int
    pushed_nodes: int
    root: str
    state: str
    """final, waits or vetoed."""


class NodeStanding(NamedTuple):
    """A node between its two newest pushed records that stand. Seconds of chain time, parts in basis points."""

    node: int
    since_round: int
    round: int
    elapsed_seconds: int
    unknown_seconds: int
    covered_bps: int
    up_bps: int
    """Of what is covered."""
    busy_bps: int
    """Of the GPUs while up."""


def newest_rounds(oracle: TelemetryOracle, count: int) -> list[RoundStanding]:
    """The last `count` rounds that were reported lately, the newest first."""
    standings = []
    for report in reversed(_lately(oracle)[-count:]):
        posted = oracle.round_info(report.round)
        state = "vetoed" if posted.vetoed else "final" if oracle.is_final(report.round) else "waits"
        late = posted.posted_at - oracle.window_end_of(report.round)
        nodes = sum(1 for _ in unpack_entries(report.records))
        root = f"0x{report.root.hex()}"
        standings.append(RoundStanding(report.round, posted.posted_at, late, nodes, root, state))
    return standings


def newest_records(oracle: TelemetryOracle) -> list[NodeStanding]:
    """Every node of which two records were pushed lately and not vetoed."""
    return nodes_of([report for report in _lately(oracle) if not report.vetoed])


def nodes_of(reports: Sequence[PostedReport]) -> list[NodeStanding]:
    """Of these reports, in order. Pure."""
    before: dict[int, tuple[int, NodeRecord]] = {}
    standings: dict[int, NodeStanding] = {}
    for report in reports:
        for node, record in unpack_entries(report.records):
            if node in before:
                standing = _between(node, *before[node], report.round, record)
                if standing is not None:
                    standings[node] = standing
            before[node] = report.round, record
    return [standings[node] for node in sorted(standings)]


def ask_daemon(url: str) -> dict[str, Any]:
    """What a reporter's daemon says of itself. Raises Refused when none answers there."""
    address = f"{url.rstrip('/')}{STATUS_PATH}"
    try:
        said = httpx.get(address, timeout=TIMEOUT_SECONDS).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Refused(f"no reporter answers at {address}: {type(error).__name__}") from None
    if not isinstance(said, dict) or "reporter" not in said:
        raise Refused(f"what answers at {address} is no reporter")
    return said


def _lately(oracle: TelemetryOracle) -> list[PostedReport]:
    latest = oracle.latest_round()
    return oracle.reports(range(max(1, latest - ROUNDS_LOOKED_AT + 1), latest + 1)) if latest else []


def _between(
    node: int, since: int, earlier: NodeRecord, round_number: int, later: NodeRecord
) -> NodeStanding | None:
    try:
        gained = asdict(difference(earlier, later))
    except RecordError:  # counters begin anew after a veto
        return None
    elapsed, covered, up = (gained[f"{name}_seconds"] for name in ("elapsed", "covered", "up"))
    return NodeStanding(
        node,
        since,
        round_number,
        elapsed,
        elapsed - covered,
        _bps(covered, elapsed),
        _bps(up, covered),
        _bps(gained["busy_gpu_seconds"], up * later.gpu_count),
    )


def _bps(part: int, whole: int) -> int:
    return part * 10_000 // whole if whole else 0

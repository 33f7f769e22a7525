"""What a report needs from the chain: who the reporters are, which round is due, where the counters stand."""

from __future__ import annotations

from collections.abc import Mapping

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.local import chain_time
from wellhead.errors import Refused
from wellhead.oracle.draft import Basis, OracleConfig
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.watch import Seen
from wellhead.reference.record import NodeRecord


def read_config(oracle: TelemetryOracle) -> OracleConfig:
    """The oracle's identity and its reporters as they are now."""
    return OracleConfig(
        chain_id=oracle.w3.eth.chain_id,
        contract=oracle.address,
        config_digest=oracle.config_digest(),
        reporters=tuple(oracle.reporters()),
        quorum=oracle.quorum(),
    )


def due_round(oracle: TelemetryOracle) -> int:
    """The round whose window ended last. Raises Refused when it is reported already, or none has ended."""
    now = chain_time(oracle.w3)
    ended, reported = oracle.round_ended_by(now), oracle.latest_round()
    if ended <= reported:
        due_at = oracle.window_end_of(reported + 1)
        raise Refused(f"round {reported + 1} is due at chain time {due_at}, in {due_at - now} s")
    return ended


def last_record(oracle: TelemetryOracle, node: int, gpu_count: int) -> NodeRecord:
    """The node's pushed record, or the empty one at genesis that its first record follows."""
    pushed = oracle.latest_record(node)
    return pushed if pushed.gpu_count else first_record(oracle.window_end_of(0), gpu_count)


def basis_of(
    oracle: TelemetryOracle,
    seen: Seen,
    gpu_counts: Mapping[int, int],
    scale: TimeScale,
    carried_microjoules: Mapping[int, int] | None = None,
) -> Basis:
    """The basis of the report that is due now. `gpu_counts` by node, as registered. Raises as `due_round`."""
    round_number = due_round(oracle)
    return Basis(
        config=read_config(oracle),
        round=round_number,
        window_end=oracle.window_end_of(round_number),
        window=seen.window,
        revealed=seen.revealed,
        previous={node: last_record(oracle, node, gpus) for node, gpus in gpu_counts.items()},
        scale=scale,
        carried_microjoules=carried_microjoules or {},
    )

"""What a report needs from the chain: who the reporters are, which round is due, where the counters stand."""

from __future__ import annotations

from collections.abc import Mapping

from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.local import chain_time
from wellhead.errors import Refused
from wellhead.oracle.draft import Basis, OracleConfig
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.watch import Seen
from wellhead.reference.record import NodeRecord, unpack_entries


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


def last_records(oracle: TelemetryOracle) -> dict[int, NodeRecord]:
    """Each node's record in the newest unvetoed round that pushed it: what its next record must follow.

    Read from the reports' events and not from the contract's slot: after a veto that is empty, or whatever old
    record somebody restored, and counters that went on from there would go back.
    """
    records: dict[int, NodeRecord] = {}
    for report in oracle.reports():
        if not report.vetoed:
            records.update(unpack_entries(report.records))
    return records


def basis_of(
    oracle: TelemetryOracle,
    seen: Seen,
    gpu_counts: Mapping[int, int],
    scale: TimeScale,
    carried_microjoules: Mapping[int, int] | None = None,
) -> Basis:
    """The basis of the report that is due now. `gpu_counts` by node, as registered. Raises as `due_round`."""
    round_number = due_round(oracle)
    last = last_records(oracle)
    start, config = oracle.window_end_of(0), read_config(oracle)
    return Basis(
        config=config,
        round=round_number,
        window_end=oracle.window_end_of(round_number),
        window=seen.window,
        revealed=seen.revealed(config.config_digest, round_number),
        previous={node: last.get(node, first_record(start, gpus)) for node, gpus in gpu_counts.items()},
        scale=scale,
        carried_microjoules=carried_microjoules or {},
    )

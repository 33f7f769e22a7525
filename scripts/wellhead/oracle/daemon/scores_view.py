"""What the chain says about scores: how far they go, and which reveals each report counts. Blocking."""

from __future__ import annotations

from collections.abc import Sequence

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.exchange.score_letter import Batch
from wellhead.reference.scores import scores_hash


class ScoresView:
    """One oracle's scores. Raises what web3 raises."""

    def __init__(self, scores: ReporterScores, oracle: TelemetryOracle) -> None:
        self._scores, self._oracle, self.address = scores, oracle, str(scores.address)

    def scored_up_to(self) -> int:
        """The last round of the newest batch; 0 before the first."""
        return self._scores.scored_up_to()

    def evidence_hashes(self, rounds: Sequence[int]) -> dict[int, bytes]:
        """Those that were reported of `rounds`, and what each report names."""
        return self._oracle.evidence_hashes(rounds) if rounds else {}

    def post(self, batch: Batch, signatures: bytes) -> ContractFunction:
        """What brings the batch to the chain."""
        return self._scores.post(*batch, signatures)

    def message_hash(self, config: OracleConfig, batch: Batch) -> bytes:
        """What reporters sign."""
        return scores_hash(config.chain_id, self.address, config.config_digest, *batch)

"""ReporterScores: how far each reporter is from what the quorum reports."""

from __future__ import annotations

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.scores import Score


class ReporterScores(Wrapper):
    artifact = "ReporterScores"

    def post(self, from_round: int, to_round: int, entries: bytes, signatures: bytes) -> ContractFunction:
        return self.call("post", from_round, to_round, entries, signatures)

    def score_of(self, reporter: str) -> Score:
        return Score(*self.read("scoreOf", reporter))

    def mean_deviation_bps_up(self, reporter: str) -> int:
        return int(self.read("meanDeviationBpsUp", reporter))

    def scored_up_to(self) -> int:
        """The last round of the newest batch; 0 before the first."""
        return int(self.read("scoredUpTo"))

    def oracle(self) -> str:
        """The oracle whose reporters sign."""
        return str(self.read("oracle"))

"""TelemetryOracle: what the nodes did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.merkle import Reading
from wellhead.reference.record import NodeRecord


class Round(NamedTuple):
    """A posted round. `root` is 23 bytes."""

    root: bytes
    posted_at: int
    vetoed: bool


class PostedReport(NamedTuple):
    """A report as it was posted: its `root` of 23 bytes, and the entries that it pushed, packed."""

    round: int
    root: bytes
    records: bytes
    vetoed: bool


class TelemetryOracle(Wrapper):
    artifact = "TelemetryOracle"

    def report(self, round_: int, root: bytes, records: bytes, signatures: bytes) -> ContractFunction:
        return self.call("report", round_, root, records, signatures)

    def veto(self, round_: int, reason: str) -> ContractFunction:
        return self.call("veto", round_, reason)

    def restore(self, node: int, reading: Reading) -> ContractFunction:
        return self.call("restore", node, reading)

    def set_reporters(self, reporters: list[str], faulty: int) -> ContractFunction:
        return self.call("setReporters", reporters, faulty)

    def latest_record(self, node: int) -> NodeRecord:
        return NodeRecord(*self.read("latestRecord", node))

    def proven_record(self, node: int, reading: Reading) -> NodeRecord:
        return NodeRecord(*self.read("provenRecord", node, reading))

    def round_info(self, round_: int) -> Round:
        return Round(*self.read("roundInfo", round_))

    def reports(self, rounds: Sequence[int] | None = None) -> list[PostedReport]:
        """Every report ever posted, or those of `rounds`, oldest first: out of the chain's history."""
        which = {} if rounds is None else {"round": list(rounds)}
        vetoed = {event["args"]["round"] for event in self.events("RoundVetoed", **which)}
        posted = [event["args"] for event in self.events("Reported", **which)]
        return [
            PostedReport(args["round"], bytes(args["root"]), bytes(args["records"]), args["round"] in vetoed)
            for args in posted
        ]

    def is_final(self, round_: int) -> bool:
        return bool(self.read("isFinal", round_))

    def latest_round(self) -> int:
        return int(self.read("latestRound"))

    def window_end_of(self, round_: int) -> int:
        return int(self.read("windowEndOf", round_))

    def round_ended_by(self, timestamp: int) -> int:
        return int(self.read("roundEndedBy", timestamp))

    def window_seconds(self) -> int:
        return int(self.read("windowSeconds"))

    def finality_delay_seconds(self) -> int:
        return int(self.read("finalityDelaySeconds"))

    def reporters(self) -> list[str]:
        return list(self.read("reporters"))

    def quorum(self) -> int:
        return int(self.read("quorum"))

    def config_digest(self) -> bytes:
        return bytes(self.read("configDigest"))

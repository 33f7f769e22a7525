"""TelemetryOracle: what the nodes did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.merkle import Reading
from wellhead.reference.record import NodeRecord, pack_entries, unpack_entries


class Round(NamedTuple):
    """A posted round. `root` is 23 bytes."""

    root: bytes
    posted_at: int
    vetoed: bool


class PostedReport(NamedTuple):
    """A report as it was posted: its `root` of 23 bytes, and the entries that it pushed or others did later, packed.

    `evidence_hash` tells what `reference.quorum.evidence_hash` makes of the reporters' evidence.
    """

    round: int
    root: bytes
    evidence_hash: bytes
    records: bytes
    vetoed: bool


class TelemetryOracle(Wrapper):
    artifact = "TelemetryOracle"

    def report(
        self, round_: int, root: bytes, evidence_hash: bytes, records: bytes, signatures: bytes
    ) -> ContractFunction:
        return self.call("report", round_, root, evidence_hash, records, signatures)

    def push(self, round_: int, records: bytes, proof: Sequence[bytes]) -> ContractFunction:
        return self.call("push", round_, records, list(proof))

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
        pushed: dict[int, bytes] = {}
        for event in self.events("RecordsPushed", **which):
            number, records = event["args"]["round"], bytes(event["args"]["records"])
            pushed[number] = pushed.get(number, b"") + records
        posted = [event["args"] for event in self.events("Reported", **which)]
        return [
            PostedReport(
                args["round"],
                bytes(args["root"]),
                bytes(args["evidenceHash"]),
                _merged(bytes(args["records"]), pushed.get(args["round"], b"")),
                args["round"] in vetoed,
            )
            for args in posted
        ]

    def evidence_hashes(self, rounds: Sequence[int]) -> dict[int, bytes]:
        """What the reports of `rounds` name, by round, of those that were reported; out of the chain's history."""
        posted = (event["args"] for event in self.events("Reported", round=list(rounds)))
        return {args["round"]: bytes(args["evidenceHash"]) for args in posted}

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

    def ring_rounds(self) -> int:
        return int(self.read("ringRounds"))

    def reporters(self) -> list[str]:
        return list(self.read("reporters"))

    def quorum(self) -> int:
        return int(self.read("quorum"))

    def config_digest(self) -> bytes:
        return bytes(self.read("configDigest"))


def _merged(reported: bytes, pushed: bytes) -> bytes:
    """Each node once. What was pushed is proven and stands above what was merely signed."""
    return pack_entries(dict(unpack_entries(reported)) | dict(unpack_entries(pushed))) if pushed else reported

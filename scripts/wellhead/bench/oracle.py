"""What reporting and proving cost, in steady state: every slot written has held something before."""

from __future__ import annotations

import random

from wellhead.bench.stage import RING_ROUNDS, BenchStage
from wellhead.chain import artifacts, keys, local
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.transact import Mined
from wellhead.reference.merkle import Reading, leaf_of, root_from
from wellhead.reference.quorum import report_hash, sign
from wellhead.reference.record import NodeRecord, pack_entries

REPORTERS = ("reporter-0", "reporter-1", "reporter-2")
PROVEN_NODE = 77
PROOF_LEVELS = (
    20  # a path of 20 levels stands for a tree of 2^20 leaves: the contract sees no other part of it
)
MANY = 100


def measure_oracle(stage: BenchStage) -> dict[str, int]:
    """Gas of `oracle_root`, `oracle_one`, `oracle_marginal` (rounded up) and `oracle_prove`."""
    first_lap, second_lap = 1, 1 + RING_ROUNDS
    reporting = _Reporting(stage)
    nodes = range(1, MANY + 2)
    reporting.post(first_lap, nodes)
    many = reporting.post(second_lap, nodes)
    # The same slots again, one lap later each: only what is pushed differs.
    one = reporting.post(second_lap + RING_ROUNDS, range(1, 2))
    root = reporting.post(second_lap + 2 * RING_ROUNDS, range(0))
    return {
        "oracle_one": one,
        "oracle_marginal": -((one - many) // MANY),
        "oracle_root": root,
        "oracle_prove": reporting.prove(second_lap + 2 * RING_ROUNDS + 1),
    }


class _Reporting:
    """Signs and posts rounds whose counters are wide, as after years: calldata counts non-zero bytes."""

    def __init__(self, stage: BenchStage) -> None:
        self.stage = stage
        self.oracle: TelemetryOracle = stage.oracle
        self.keys = [keys.local_account(role) for role in REPORTERS]

    def record(self, round_: int, node: int) -> NodeRecord:
        up = 0x10213243 + round_ * 3_000 - node
        return NodeRecord(
            window_end=self.oracle.window_end_of(round_),
            covered_seconds=0x11223344 + round_ * 3_500,
            up_seconds=up,
            busy_gpu_seconds=0x0A22334455 + round_ * 100_001,
            energy_wh=0x1122334455 + round_ * 100_003,
            work_units=0x1122334455667788 + round_ * 1_000_003,
            gpu_count=200,
        )

    def post(self, round_: int, nodes: range) -> int:
        """Gas of a report of `round_` that pushes the records of `nodes`."""
        root = random.Random(round_).randbytes(23)
        entries = pack_entries({node: self.record(round_, node) for node in nodes})
        return int(self._send(round_, root, entries).receipt["gasUsed"])

    def prove(self, round_: int) -> int:
        """Gas of `provenRecord` as a call inside a consumer."""
        packed = self.record(round_, PROVEN_NODE).pack()
        source = random.Random(1859)
        path = [source.randbytes(32) for _ in range(PROOF_LEVELS)]
        self._send(round_, root_from(leaf_of(PROVEN_NODE, packed), path), b"")
        self.stage.pass_time(self.oracle.finality_delay_seconds())
        address = self.stage.create("ProofConsumer")
        consumer = self.stage.w3.eth.contract(address=address, abi=artifacts.load("ProofConsumer").abi)  # type: ignore[call-overload]
        call = consumer.functions.consume(self.oracle.address, PROVEN_NODE, Reading(round_, packed, path))
        receipt = self.stage.sender("customer").send(call).receipt
        (event,) = consumer.events.ProofConsumed().process_receipt(receipt)
        return int(event["args"]["gasUsed"])

    def _send(self, round_: int, root: bytes, entries: bytes) -> Mined:
        w3 = self.stage.w3
        missing = self.oracle.window_end_of(round_) - local.chain_time(w3)
        if missing > 0:
            self.stage.pass_time(missing)
        digest = report_hash(
            w3.eth.chain_id, self.oracle.address, self.oracle.config_digest(), round_, root, entries
        )
        call = self.oracle.report(round_, root, entries, sign(digest, self.keys))
        return self.stage.sender("reporter-0").send(call)

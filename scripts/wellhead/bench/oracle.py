"""What reporting and proving cost, in steady state: every slot written has held something before."""

from __future__ import annotations

import random

from wellhead.bench.reporting import Reporting
from wellhead.bench.stage import RING_ROUNDS, BenchStage
from wellhead.chain import artifacts
from wellhead.reference.record import pack_entries

PROVEN_NODE = 77
MANY = 100


def measure_oracle(stage: BenchStage) -> dict[str, int]:
    """Gas of `oracle_root`, `oracle_one`, `oracle_marginal` (rounded up) and `oracle_prove`."""
    first_lap, second_lap = 1, 1 + RING_ROUNDS
    reporting = Reporting(stage)
    nodes = range(1, MANY + 2)
    _post(reporting, first_lap, nodes)
    many = _post(reporting, second_lap, nodes)
    # The same slots again, one lap later each: only what is pushed differs.
    one = _post(reporting, second_lap + RING_ROUNDS, range(1, 2))
    root = _post(reporting, second_lap + 2 * RING_ROUNDS, range(0))
    return {
        "oracle_one": one,
        "oracle_marginal": -((one - many) // MANY),
        "oracle_root": root,
        "oracle_prove": _prove(stage, reporting, second_lap + 2 * RING_ROUNDS + 1),
    }


def _post(reporting: Reporting, round_: int, nodes: range) -> int:
    """Gas of a report of `round_` that pushes the records of `nodes`."""
    root = random.Random(round_).randbytes(23)
    entries = pack_entries({node: reporting.record(round_, node) for node in nodes})
    return int(reporting.post(round_, root, entries).receipt["gasUsed"])


def _prove(stage: BenchStage, reporting: Reporting, round_: int) -> int:
    """Gas of `provenRecord` as a call inside a consumer."""
    reading = reporting.post_provable(round_, PROVEN_NODE)
    stage.pass_time(reporting.oracle.finality_delay_seconds())
    address = stage.create("ProofConsumer")
    consumer = stage.w3.eth.contract(address=address, abi=artifacts.load("ProofConsumer").abi)  # type: ignore[call-overload]
    call = consumer.functions.consume(reporting.oracle.address, PROVEN_NODE, reading)
    receipt = stage.sender("customer").send(call).receipt
    (event,) = consumer.events.ProofConsumed().process_receipt(receipt)
    return int(event["args"]["gasUsed"])

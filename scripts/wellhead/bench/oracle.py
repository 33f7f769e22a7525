"""What reporting and proving cost, in steady state: every slot written has held something before."""

from __future__ import annotations

from wellhead.bench.reporting import Reporting
from wellhead.bench.stage import RING_ROUNDS, BenchStage
from wellhead.chain import artifacts

PROVEN_NODE = 77
MANY = 100


def measure_oracle(stage: BenchStage) -> dict[str, int]:
    """Gas of `oracle_root`, `oracle_one`, `oracle_marginal` (rounded up) and `oracle_prove`."""
    first_lap, second_lap = 1, 1 + RING_ROUNDS
    reporting = Reporting(stage)
    nodes = range(1, MANY + 2)
    reporting.push(first_lap, nodes)
    many = reporting.push(second_lap, nodes)
    # The same slots again, one lap later each: only what is pushed differs.
    one = reporting.push(second_lap + RING_ROUNDS, range(1, 2))
    root = reporting.push(second_lap + 2 * RING_ROUNDS, range(0))
    return {
        "oracle_one": one,
        "oracle_marginal": -((one - many) // MANY),
        "oracle_root": root,
        "oracle_prove": _prove(stage, reporting, second_lap + 2 * RING_ROUNDS + 1),
    }


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

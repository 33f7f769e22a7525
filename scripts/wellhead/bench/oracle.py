"""What reporting and proving cost, in steady state: every slot written has held something before."""

from __future__ import annotations

import random

from wellhead.bench.reporting import Reporting
from wellhead.bench.stage import RING_ROUNDS, BenchStage
from wellhead.chain import artifacts
from wellhead.reference.merkle import RecordTree
from wellhead.reference.scores import Score, pack_scores

PROVEN_NODE = 77
MANY = 100
PUSHED = 128


def measure_oracle(stage: BenchStage) -> dict[str, int]:
    """Gas of `oracle_root`, `oracle_one`, `oracle_prove`, and `oracle_marginal` (rounded up).

    And of `oracle_push` (64 of 128 records after their report), `oracle_push_marginal`, and `oracle_scores` (of five
    reporters over one round).
    """
    first_lap, second_lap = 1, 1 + RING_ROUNDS
    reporting = Reporting(stage)
    nodes = range(1, MANY + 2)
    reporting.push(first_lap, nodes)
    many = reporting.push(second_lap, nodes)
    # The same slots again, one lap later each: only what is pushed differs.
    one = reporting.push(second_lap + RING_ROUNDS, range(1, 2))
    root = reporting.push(second_lap + 2 * RING_ROUNDS, range(0))
    proven = second_lap + 2 * RING_ROUNDS + 1
    prove = _prove(stage, reporting, proven)
    half, whole = (_push(reporting, proven + lap * RING_ROUNDS, lap - 1) for lap in (2, 3))
    return {
        "oracle_one": one,
        "oracle_marginal": -((one - many) // MANY),
        "oracle_root": root,
        "oracle_prove": prove,
        "oracle_push": half,
        "oracle_push_marginal": -((half - whole) // (PUSHED // 2)),
        "oracle_scores": _score(stage, reporting, proven + 3 * RING_ROUNDS + 1),
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


def _push(reporting: Reporting, round_: int, halves: int) -> int:
    """Gas of pushing one or both halves of a round's records, once each was pushed a lap ago."""
    for number in (round_ - RING_ROUNDS, round_):
        tree = RecordTree((node, reporting.record(number, node)) for node in range(1, PUSHED + 1))
        if reporting.oracle.latest_round() < number:
            reporting.post(number, tree.root, b"")
        mined = reporting.push_branch(number, tree.branch(tree.height + halves - 2, 0))
    return int(mined.receipt["gasUsed"])


def _score(stage: BenchStage, reporting: Reporting, round_: int) -> int:
    """Gas of a batch over one round that names all five reporters, as each was named before."""
    entries = pack_scores({address: Score(1, 1_234) for address in reporting.oracle.reporters()})
    for number in (round_, round_ + 1):
        reporting.post(number, random.Random(number).randbytes(23), b"")
        stage.pass_time(reporting.oracle.finality_delay_seconds())
        mined = reporting.score(number, entries)
    return int(mined.receipt["gasUsed"])

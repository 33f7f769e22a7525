"""What a pool's everyday transactions cost, in steady state: only a period's own slot is written for the first time."""

from __future__ import annotations

from eth_typing import Hash32
from web3.constants import ADDRESS_ZERO

from wellhead.bench.reporting import Reporting
from wellhead.bench.stage import DAY_SECONDS, SPEC, WINDOW_SECONDS, BenchStage
from wellhead.chain import keys
from wellhead.chain.contracts.compute_pool import ComputePool, PoolTerms
from wellhead.reference.pool_receipt import Receipt, pool_domain, receipt_digest
from wellhead.units import ONE

TERMS = PoolTerms(SPEC.gpu_class, 7 * DAY_SECONDS, DAY_SECONDS // WINDOW_SECONDS, DAY_SECONDS // 2)
GATEWAY = "authorizer"
PERIODS = 3
INCOME_USD6 = 123_456_789
BILLED_UNITS = 1_654_321


def measure_pool(stage: BenchStage) -> dict[str, int]:
    """Gas of `pool_sync`, `pool_record` (a member's only record of a period, proofs as `oracle_prove`),
    `pool_distribute` and `pool_claim` (with the share's own sync)."""
    owner = stage.address("owner")
    arguments = (owner, owner, stage.factory.address, stage.oracle.address, stage.address(GATEWAY))
    pool = ComputePool(stage.w3, stage.create("ComputePool", *arguments, TERMS.encode()))
    node = stage.attested_node()
    stage.share(node, eligibility=ADDRESS_ZERO, issuer=ADDRESS_ZERO, supply_units=1_000 * ONE)
    stage.sender("owner").send(pool.admit(node))
    stage.sender("operator").send(pool.join(node))
    reporting = Reporting(stage)
    base = reporting.post_provable(pool.rounds_of(1)[0], node)
    gas: dict[str, int] = {}
    for period in range(1, PERIODS + 1):
        stage.pass_time(WINDOW_SECONDS // 3)
        stage.sender("customer").send(stage.usd.transfer(pool.address, INCOME_USD6))
        gas["pool_sync"] = stage.gas("customer", pool.sync())
        end = reporting.post_provable(pool.rounds_of(period)[1], node)
        stage.pass_time(stage.oracle.finality_delay_seconds())
        receipt = Receipt(node, period, (period - 1) * BILLED_UNITS, period * BILLED_UNITS)
        gas["pool_record"] = stage.gas("customer", pool.record(receipt, _sign(pool, receipt), base, end))
        stage.pass_time(TERMS.collecting_seconds)
        gas["pool_distribute"] = stage.gas("customer", pool.distribute(period))
        gas["pool_claim"] = stage.gas("customer", pool.claim(node))
        base = end
    return gas


def _sign(pool: ComputePool, receipt: Receipt) -> bytes:
    digest = receipt_digest(pool_domain(pool.w3.eth.chain_id, pool.address), receipt)
    return bytes(keys.local_account(GATEWAY).unsafe_sign_hash(Hash32(digest)).signature)

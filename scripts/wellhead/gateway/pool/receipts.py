"""The receipts that a pool's gateway signs, one per member and period, for whoever brings them to the chain."""

from __future__ import annotations

from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import Hash32

from wellhead.chain.contracts.compute_pool import ComputePool
from wellhead.errors import Refused
from wellhead.gateway.chain_clock import ChainClock
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.pool.billed_work import BilledWork
from wellhead.reference.pool_receipt import Receipt, pool_domain, receipt_digest


class PoolReceipts:
    """Counts and signs for one pool."""

    def __init__(
        self, config: GatewayConfig, pool: ComputePool, key: LocalAccount, clock: ChainClock
    ) -> None:
        """`key` signs. Raises Refused when the pool, or a member behind an upstream, is not what `config` says."""
        self._key, self._clock = key, clock
        require_ours(config, pool, key.address)
        self._schedule = pool.schedule()
        self._pool, self._domain = pool.address, pool_domain(config.chain_id, pool.address)
        self.billed = BilledWork(config.ledger_url, config.chain_id, pool.address, self.period_now)
        self._signed: dict[Receipt, str] = {}

    def period_now(self) -> int:
        """The period under way; 0 before the first."""
        return self._schedule.period_at(self._clock.now())

    def page(self) -> dict[str, Any]:
        """The receipts of the period that ended last, the only one that can be recorded now."""
        ended = max(0, self.period_now() - 1)
        self.billed.flush()
        receipts = self.billed.receipts(ended) if ended else []
        # Asked for again and again, and signed once; those of periods past are forgotten.
        self._signed = {receipt: self._signed.get(receipt) or self._sign(receipt) for receipt in receipts}
        return {
            "pool": self._pool,
            "gateway": self._key.address,
            "period": ended,
            "receipts": [
                {**receipt._asdict(), "signature": signature} for receipt, signature in self._signed.items()
            ],
        }

    def _sign(self, receipt: Receipt) -> str:
        signed = self._key.unsafe_sign_hash(Hash32(receipt_digest(self._domain, receipt)))
        return f"0x{bytes(signed.signature).hex()}"


def require_ours(config: GatewayConfig, pool: ComputePool, signer: str) -> None:
    """Raise Refused unless receipts by `signer` count in `pool`, which is paid in our dollars and has our members, at
    the latest from its next period on."""
    following = pool.schedule().period_at(pool.now()) + 1
    if pool.gateway() != signer:
        raise Refused(
            f"the gateway of the pool at {pool.address} is {pool.gateway()}: receipts by {signer} would be worth "
            "nothing to its members"
        )
    if pool.asset() != config.asset:
        raise Refused(f"the pool at {pool.address} is paid in {pool.asset()}, not in {config.asset}")
    for member in config.members:
        if not pool.membership_of(member).covers(following):
            raise Refused(
                f"node {member} is no member of the pool at {pool.address}: its operator joins it "
                f"(`wellhead pool join`), once the pool's owner has admitted it (`wellhead pool admit`)"
            )

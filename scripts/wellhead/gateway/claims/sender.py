"""Batches of claims and the outbox that brings them: what is claimed goes in, what the chain decided comes back.

Claims are cumulative, so not even a batch that is mined twice could claim anything twice.
"""

from __future__ import annotations

import logging
from typing import NamedTuple

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.chain.outbox.fees import Fees
from wellhead.chain.outbox.journal import DROPPED, FINAL, REVERTED, Call
from wellhead.chain.outbox.sender import Decision, Outbox, UnderWay
from wellhead.chain.revert import ContractRefused
from wellhead.gateway.channels.figures import ChannelLedger, look_again
from wellhead.gateway.claims.batch import BatchBuilder
from wellhead.gateway.claims.journal import Batch, ClaimJournal, JournalRow
from wellhead.gateway.claims.policy import ClaimPlan

_log = logging.getLogger(__name__)


class BatchUnderWay(NamedTuple):
    """A batch that the chain has not decided about for good."""

    transaction: str
    nonce: int
    channels: int
    value: int
    fees: Fees
    mined: bool


class ClaimSender:
    """Brings claims to one router."""

    def __init__(
        self,
        outbox: Outbox,
        journal: ClaimJournal,
        builder: BatchBuilder,
        router: str,
        settlement: BatchSettlement,
        ledger: ChannelLedger,
    ) -> None:
        self._outbox, self._journal, self._builder, self._router = outbox, journal, builder, router
        self._settlement, self._ledger = settlement, ledger

    def submit(self, plan: ClaimPlan) -> BatchUnderWay | None:
        """Claim what can be claimed of the plan; None if nothing can. No batch may be open.

        Raises LeaseLostError; then nothing was sent.
        """
        built = self._builder.build(plan.rows)
        if built is None:
            return None
        rows = {row.channel_id: JournalRow(row.total_claimed, row.value) for row in built.rows}
        subject = f"a batch of {len(rows)} channels"
        call = Call(self._router, built.calldata, built.gas, subject, plan.urgent_at)
        try:
            sent = self._outbox.submit(call, self._journal.beside(rows))
        except ContractRefused as refused:  # the chain moved since it was built
            _log.warning("%s is built anew: %s", subject, refused)
            return None
        return None if sent is None else _under_way(Batch(sent.entry, rows), sent)

    def advance(self) -> BatchUnderWay | None:
        """Do what the batch under way needs now; it, unless there is none (any more)."""
        while isinstance(now := self._outbox.advance(), Decision):
            self._act(now)
            self._outbox.close(now)
        return None if now is None else _under_way(self._journal.batch(now.entry), now)

    def _act(self, decision: Decision) -> None:
        """The ledger first, then the outbox forgets it: if the process dies between the two, both are done again."""
        batch = self._journal.batch(decision.entry)
        if decision.state == FINAL:
            self._builder.has_passed(batch.rows)
        elif decision.state == REVERTED:
            self._builder.has_reverted(batch.rows)
        look_again(self._ledger, self._settlement, list(batch.rows))
        self._tell(batch, decision)

    def _tell(self, batch: Batch, decision: Decision) -> None:
        if decision.state == DROPPED:
            _log.warning("%s is built anew: %s", batch.entry.call.subject, decision.reason)
        if decision.state != FINAL or decision.receipt is None:
            return
        _log.info("claimed %s of %s channels for good", batch.value, len(batch.rows))
        for what, receiver in self._builder.failures(decision.receipt):
            _log.warning(
                "%s: %s; its money is safe where it is, and the next batch tries again", what, receiver
            )


def _under_way(batch: Batch, now: UnderWay) -> BatchUnderWay:
    return BatchUnderWay(
        now.transaction, now.entry.nonce, len(batch.rows), batch.value, now.signed.fees, now.mined
    )

"""Which channels to claim now, and when to look again. Pure.

Value, age and withdrawals decide. What is charged and not claimed is what the receiver's holders may lose: by value
its sum stays bounded, by age each part of it is. A payer that asks for its money back is claimed from at once, so
that a whole withdrawal delay is left for a transaction that gets stuck.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from wellhead.errors import Misused
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.ledger import Claimable
from wellhead.reference.channel import MIN_WITHDRAW_DELAY_SECONDS
from wellhead.reference.dense_claims import MAX_RECEIVERS


@dataclass(frozen=True, slots=True)
class ClaimPolicy:
    """When it is time. Money in atomic units of the token, times in seconds."""

    # Claim when so much is unclaimed in all, of channels that are worth their gas.
    min_value_usd6: int = 5_000_000
    # Claim what has waited so long, even if it is worth less than its gas.
    max_age_seconds: int = 3_600
    # A channel with less does not pay the gas of its row (about 15,000): it waits for its age.
    min_channel_usd6: int = 10_000
    # So long before a withdrawal matures it should be over; from then on a stuck transaction is pushed harder.
    withdrawal_margin_seconds: int = 600
    # A row's memory costs the more the more there are: some hundreds are cheap.
    max_rows: int = 200
    # How often the chain is asked for withdrawals.
    look_seconds: float = 15

    def __post_init__(self) -> None:
        least = min(self.min_value_usd6, self.min_channel_usd6, self.withdrawal_margin_seconds)
        if least < 0 or self.max_age_seconds <= 0 or self.look_seconds <= 0 or self.max_rows <= 0:
            raise Misused(f"{self}: amounts and the margin are at least 0, the rest is above 0")
        if self.look_seconds + self.withdrawal_margin_seconds >= MIN_WITHDRAW_DELAY_SECONDS:
            raise Misused(
                f"a withdrawal may mature after {MIN_WITHDRAW_DELAY_SECONDS} s: looking every {self.look_seconds} s "
                f"with a margin of {self.withdrawal_margin_seconds} s may be too late; make their sum less"
            )

    @property
    def spare_seconds(self) -> float:
        """How long nobody may look, at the most: half of what a withdrawal's delay has above the margin."""
        return (MIN_WITHDRAW_DELAY_SECONDS - self.withdrawal_margin_seconds) / 2


class ClaimRow(NamedTuple):
    """What would be claimed of one channel: `total_claimed` in all."""

    channel_id: bytes
    account: ChannelAccount
    since: float
    total_claimed: int

    @property
    def value(self) -> int:
        """What this claim adds."""
        return self.total_claimed - self.account.total_claimed

    @property
    def matures_at(self) -> int | None:
        """When the payer may finalize its withdrawal, in the chain's time; None if none is pending."""
        requested_at = self.account.withdraw_requested_at
        return requested_at + self.account.config.withdraw_delay if requested_at else None

    @property
    def shared(self) -> tuple[str, str, int]:
        """What all rows of a batch agree in."""
        config = self.account.config
        return config.receiver_authorizer, config.token, config.withdraw_delay


class ClaimPlan(NamedTuple):
    """`rows` are one batch, sorted by receiver."""

    rows: list[ClaimRow]
    # From when the batch is urgent, in the chain's time; None if no withdrawal is pending.
    urgent_at: int | None
    # When age will force a claim if nothing else does, by the ledger's clock; None if nothing can be claimed.
    due_at: float | None


def claim_rows(
    claimable: Sequence[Claimable], authorizer: str, without: Collection[bytes] = ()
) -> list[ClaimRow]:
    """What `authorizer` can claim of each channel: never above what was charged, signed or is still there."""
    rows = []
    for channel_id, account, since in claimable:
        total = min(account.charged, account.signed_ceiling, account.balance)
        able = account.signature and account.config.receiver_authorizer == authorizer
        if able and total > account.total_claimed and channel_id not in without:
            rows.append(ClaimRow(channel_id, account, since, total))
    return rows


def unclaimable(claimable: Sequence[Claimable], rows: Sequence[ClaimRow]) -> int:
    """What was charged and is none of `rows`: withdrawn by the payer first, on a voucher that was lost, refused by the
    chain, or for another authorizer to claim."""
    return sum(one.account.unclaimed for one in claimable) - sum(row.value for row in rows)


def plan_claims(
    rows: Sequence[ClaimRow], policy: ClaimPolicy, now: float, *, everything: bool = False
) -> ClaimPlan:
    """The batch to claim now, if any, the most urgent first. `now` is by the ledger's clock."""
    due_at = min((row.since for row in rows), default=None)
    due_at = None if due_at is None else due_at + policy.max_age_seconds
    forced, worth = [], []
    for row in rows:
        if everything or row.matures_at or now - row.since >= policy.max_age_seconds:
            forced.append(row)
        elif row.value >= policy.min_channel_usd6:
            worth.append(row)
    if not forced and (not worth or sum(row.value for row in worth) < policy.min_value_usd6):
        return ClaimPlan([], None, due_at)
    due = sorted([*forced, *worth], key=_urgency)
    batch = _fitting([row for row in due if row.shared == due[0].shared], policy.max_rows)
    maturities = [row.matures_at for row in batch if row.matures_at]
    urgent_at = min(maturities) - policy.withdrawal_margin_seconds if maturities else None
    return ClaimPlan(sorted(batch, key=_receiver), urgent_at, due_at)


def _urgency(row: ClaimRow) -> tuple[bool, float]:
    return row.matures_at is None, row.matures_at or row.since


def _receiver(row: ClaimRow) -> tuple[str, bytes]:
    return row.account.config.receiver, row.channel_id


def _fitting(due: Sequence[ClaimRow], max_rows: int) -> list[ClaimRow]:
    batch: list[ClaimRow] = []
    receivers: set[str] = set()
    for row in due[:max_rows]:
        receivers.add(row.account.config.receiver)
        if len(receivers) > MAX_RECEIVERS:
            break
        batch.append(row)
    return batch

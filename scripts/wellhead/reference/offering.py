"""The primary sale in integers: what Offering, SaleTerms and Delivery compute on-chain, equal to the unit.

Money is atomic stablecoin units (usd6), shares have 6 decimals (1 share = 10**6 units), time is seconds.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum

from wellhead.reference.record import NodeRecord, difference

SHARE_UNITS = 10**6
BPS = 10_000


class RefusedError(ValueError):
    """What the contract would revert with: the name of its custom error and the values it carries."""

    def __init__(self, name: str, *values: int) -> None:
        super().__init__(f"{name}({', '.join(map(str, values))})")
        self.name = name
        self.values = values


def cost_up(units: int, price_usd6_per_share: int) -> int:
    """What `units` cost; up, against the buyer: no share is had for less than its price."""
    return -(-units * price_usd6_per_share // SHARE_UNITS)


def upfront_down(raised_usd6: int, upfront_bps: int) -> int:
    """What a successful close releases; down, against the operator."""
    return raised_usd6 * upfront_bps // BPS


def retained_down(retained_units: int, sold_units: int, hard_cap_units: int) -> int:
    """The operator's shares, in proportion to what was sold; down, against the operator."""
    return retained_units * sold_units // hard_cap_units


def refund_down(refundable_usd6: int, units: int, supply_units: int) -> int:
    """What burning `units` of the `supply_units` left pays; down, so that the rest is enough for the others."""
    return refundable_usd6 * units // supply_units


class State(IntEnum):
    """IOffering.State."""

    NONE = 0
    OPEN = 1
    DELIVERING = 2
    DELIVERED = 3
    FAILED = 4


@dataclass(frozen=True, slots=True)
class Sale:
    """A sale's sums and the steps between them; each step gives the next sale, or raises RefusedError.

    `outstanding_units` are the shares that could still be refunded or held: sold, and not burned.
    """

    price_usd6_per_share: int
    soft_cap_units: int
    hard_cap_units: int
    retained_units: int
    upfront_bps: int
    state: State = State.OPEN
    sold_units: int = 0
    outstanding_units: int = 0
    raised_usd6: int = 0
    released_usd6: int = 0
    refunded_usd6: int = 0
    withdrawn_usd6: int = 0

    @property
    def refundable_usd6(self) -> int:
        """Neither released nor refunded."""
        return self.raised_usd6 - self.released_usd6 - self.refunded_usd6

    @property
    def owed_usd6(self) -> int:
        """What the contract must still hold for this sale."""
        return self.raised_usd6 - self.refunded_usd6 - self.withdrawn_usd6

    def buy(self, units: int) -> tuple[Sale, int]:
        """The sale after the purchase, and its cost."""
        left = self.hard_cap_units - self.sold_units
        if units > left:
            raise RefusedError("Offering_HardCapExceeded", units, left)
        cost = cost_up(units, self.price_usd6_per_share)
        bought = replace(
            self,
            sold_units=self.sold_units + units,
            outstanding_units=self.outstanding_units + units,
            raised_usd6=self.raised_usd6 + cost,
        )
        return bought, cost

    def close(self) -> tuple[Sale, int]:
        """The sale once it has closed, and the units that the operator retains, locked."""
        if self.sold_units < self.soft_cap_units:
            return replace(self, state=State.FAILED), 0
        released = upfront_down(self.raised_usd6, self.upfront_bps)
        retained = retained_down(self.retained_units, self.sold_units, self.hard_cap_units)
        return replace(self, state=State.DELIVERING, released_usd6=released), retained

    def deliver(self) -> Sale:
        """Delivered: all that was raised is the operator's."""
        return replace(self, state=State.DELIVERED, released_usd6=self.raised_usd6)

    def fail(self) -> Sale:
        """Not delivered: what is not released is refundable."""
        return replace(self, state=State.FAILED)

    def refund(self, units: int) -> tuple[Sale, int]:
        """The sale after `units` were burned, and what that paid."""
        paid = refund_down(self.refundable_usd6, units, self.outstanding_units)
        burned = replace(
            self,
            outstanding_units=self.outstanding_units - units,
            refunded_usd6=self.refunded_usd6 + paid,
        )
        return burned, paid

    def withdraw(self) -> tuple[Sale, int]:
        """The sale after the operator took what was released, and how much that was."""
        return replace(self, withdrawn_usd6=self.released_usd6), self.released_usd6 - self.withdrawn_usd6


def window_end_up(time: int, genesis: int, window_seconds: int) -> int:
    """End of the first oracle window that does not end before `time`."""
    if time <= genesis:
        return genesis
    return genesis + -(-(time - genesis) // window_seconds) * window_seconds


def zero_record(registered_at: int, genesis: int, window_seconds: int, gpu_count: int) -> NodeRecord:
    """The record of a node that nobody has measured, at the start of the window of its registration."""
    end = genesis if registered_at <= genesis else registered_at - (registered_at - genesis) % window_seconds
    return NodeRecord(end, 0, 0, 0, 0, 0, gpu_count)


@dataclass(frozen=True, slots=True)
class DeliveryRule:
    """When a node counts as having delivered. Times are seconds since the epoch."""

    counts_from: int
    required_seconds: int
    deliver_by: int
    hard_limit: int

    def require_delivered(self, base: NodeRecord, end: NodeRecord) -> tuple[int, int]:
        """Up-seconds and known time; RefusedError unless the two records show delivery in time."""
        if base.window_end < self.counts_from:
            raise RefusedError("Delivery_BaseTooEarly", base.window_end, self.counts_from)
        up, known = _measure(base, end)
        if up < self.required_seconds:
            raise RefusedError("Delivery_UpTooShort", up, self.required_seconds)
        if known > self.deliver_by:
            raise RefusedError("Delivery_TooLate", known, self.deliver_by)
        if end.window_end > self.hard_limit:
            raise RefusedError("Delivery_PastHardLimit", end.window_end, self.hard_limit)
        return up, known

    def require_missed(self, base: NodeRecord, end: NodeRecord) -> tuple[int, int]:
        """Up-seconds and known time; RefusedError unless the two records show that it was missed."""
        if base.window_end > self.counts_from:
            raise RefusedError("Delivery_BaseTooLate", base.window_end, self.counts_from)
        up, known = _measure(base, end)
        if up >= self.required_seconds:
            raise RefusedError("Delivery_UpLongEnough", up, self.required_seconds)
        if known < self.deliver_by:
            raise RefusedError("Delivery_NotDue", known, self.deliver_by)
        return up, known


def _measure(base: NodeRecord, end: NodeRecord) -> tuple[int, int]:
    delta = difference(base, end)
    return delta.up_seconds, base.window_end + delta.covered_seconds

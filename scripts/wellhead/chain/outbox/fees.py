"""What a transaction may pay for its gas. Pure. Fees are wei per unit of gas."""

from __future__ import annotations

from typing import NamedTuple


class Fees(NamedTuple):
    """EIP-1559's two fields."""

    max_fee_wei: int
    priority_fee_wei: int


def first_fees(base_fee_wei: int, tip_wei: int, most_wei: int) -> Fees:
    """For a new transaction: room for the base fee to double, never above `most_wei`."""
    max_fee = min(2 * base_fee_wei + tip_wei, most_wei)
    return Fees(max_fee, min(tip_wei, max_fee))


def raised_fees(before: Fees, wanted: Fees, most_wei: int) -> Fees | None:
    """For another transaction of the same nonce: an eighth more in both fields, rounded up, as nodes want before they
    replace one; more if `wanted` is more. None if that is above `most_wei`."""
    max_fee = max(_eighth_more_up(before.max_fee_wei), wanted.max_fee_wei)
    priority_fee = max(_eighth_more_up(before.priority_fee_wei), wanted.priority_fee_wei)
    if max_fee > most_wei:
        max_fee = most_wei
        if max_fee < _eighth_more_up(before.max_fee_wei):
            return None
    return Fees(max_fee, min(priority_fee, max_fee))


def _eighth_more_up(fee: int) -> int:
    return max(fee + 1, -(-fee * 9 // 8))

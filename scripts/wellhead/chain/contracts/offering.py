"""Offering: the primary sale of a node's shares."""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.merkle import Reading


class State(IntEnum):
    """Where a sale stands."""

    NONE = 0
    OPEN = 1
    DELIVERING = 2
    DELIVERED = 3
    FAILED = 4


class Terms(NamedTuple):
    """The terms of a sale, immutable once opened, in the order of the ABI."""

    price_usd6_per_share: int
    soft_cap_units: int
    hard_cap_units: int
    retained_units: int
    opens_at: int
    closes_at: int
    upfront_bps: int
    delivery_seconds: int
    deliver_by: int
    deliver_hard_limit: int
    service_term_seconds: int
    floor_price_usd6_per_gpu_hour: int


class Offering(Wrapper):
    """Shares in units (6 decimals), money in usd6."""

    artifact = "Offering"

    def open(self, node: int, terms: Terms) -> ContractFunction:
        return self.call("open", node, terms)

    def abandon(self, node: int) -> ContractFunction:
        return self.call("abandon", node)

    def buy(self, node: int, units: int, max_cost_usd6: int, to: str) -> ContractFunction:
        return self.call("buy", node, units, max_cost_usd6, to)

    def close(self, node: int) -> ContractFunction:
        return self.call("close", node)

    def confirm_delivery(self, node: int, base: Reading, end: Reading) -> ContractFunction:
        return self.call("confirmDelivery", node, base, end)

    def fail_delivery(self, node: int, base: Reading, end: Reading) -> ContractFunction:
        return self.call("failDelivery", node, base, end)

    def expire(self, node: int) -> ContractFunction:
        return self.call("expire", node)

    def refund(self, node: int, units: int, to: str) -> ContractFunction:
        return self.call("refund", node, units, to)

    def withdraw(self, node: int, to: str) -> ContractFunction:
        return self.call("withdraw", node, to)

    def cost_up(self, node: int, units: int) -> int:
        return int(self.read("costUp", node, units))

    def state_of(self, node: int) -> State:
        return State(self.read("stateOf", node))

    def terms_of(self, node: int) -> Terms:
        return Terms(*self.read("termsOf", node))

"""NodeShare: one token per node; its income streams to whoever holds it."""

from __future__ import annotations

from enum import IntEnum

from web3.contract.contract import ContractFunction
from web3.types import BlockIdentifier

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.reservoir import Reservoir


class Phase(IntEnum):
    """Whether shares are being sold, earn, or were not sold."""

    SALE = 0
    LIVE = 1
    FAILED = 2


class NodeShare(Wrapper):
    """Shares have 6 decimals (units); money is usd6."""

    artifact = "NodeShare"

    def phase(self) -> Phase:
        return Phase(self.read("phase"))

    def symbol(self) -> str:
        return str(self.read("symbol"))

    def node(self) -> int:
        return int(self.read("node"))

    def balance_of(self, account: str) -> int:
        return int(self.read("balanceOf", account))

    def total_supply(self) -> int:
        return int(self.read("totalSupply"))

    def claimable_usd6(self, account: str, block: BlockIdentifier = "latest") -> int:
        """What `account` could claim at the time of `block`."""
        return int(self.read("claimableUsd6", account, block=block))

    def reservoir(self) -> Reservoir:
        return Reservoir(*self.read("reservoir"))

    def tau_seconds(self) -> int:
        return int(self.read("tauSeconds"))

    def streaming_usd6(self, at: int) -> int:
        """What is in the reservoir and not released to holders by the time `at`, rounded down."""
        unreleased = self.reservoir().checkpoint(at, self.tau_seconds())
        return unreleased.pending_x48 * self.total_supply() >> 48

    def credits(self) -> tuple[int, int]:
        """What the operator and the protocol may claim now, usd6."""
        operator, protocol = self.read("credits")
        return int(operator), int(protocol)

    def unsynced_usd6(self) -> int:
        return int(self.read("unsyncedUsd6"))

    def payout_of(self, account: str) -> str:
        return str(self.read("payoutOf", account))

    def sync(self) -> ContractFunction:
        return self.call("sync")

    def claim(self) -> ContractFunction:
        return self.call("claim")

    def claim_for(self, account: str) -> ContractFunction:
        return self.call("claimFor", account)

    def claim_operator_credit(self) -> ContractFunction:
        return self.call("claimOperatorCredit")

    def claim_protocol_credit(self) -> ContractFunction:
        return self.call("claimProtocolCredit")

    def set_payout(self, payout: str) -> ContractFunction:
        return self.call("setPayout", payout)

    def transfer(self, to: str, units: int) -> ContractFunction:
        return self.call("transfer", to, units)

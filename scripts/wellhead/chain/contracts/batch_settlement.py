"""BatchSettlement: x402's batch-settlement, ours on local chains and x402's own elsewhere. Amounts are atomic."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.reference.channel import ChannelConfig, ChannelFigures


class VoucherClaim(NamedTuple):
    """A signed voucher, and how much of the channel is claimed on it, cumulatively."""

    config: ChannelConfig
    max_claimable_amount: int
    signature: bytes
    total_claimed: int

    @property
    def on_chain(self) -> tuple[tuple[ChannelConfig, int], bytes, int]:
        """As the contract nests it."""
        return (self.config, self.max_claimable_amount), self.signature, self.total_claimed


class BatchSettlement(Wrapper):
    artifact = "BatchSettlement"

    def deposit(self, config: ChannelConfig, amount: int, collector: str, data: bytes) -> ContractFunction:
        return self.call("deposit", config, amount, collector, data)

    def claim(self, claims: Sequence[VoucherClaim]) -> ContractFunction:
        return self.call("claim", [claim.on_chain for claim in claims])

    def claim_with_signature(self, claims: Sequence[VoucherClaim], signature: bytes) -> ContractFunction:
        return self.call("claimWithSignature", [claim.on_chain for claim in claims], signature)

    def settle(self, receiver: str, token: str) -> ContractFunction:
        return self.call("settle", receiver, token)

    def refund_with_signature(
        self, config: ChannelConfig, amount: int, nonce: int, signature: bytes
    ) -> ContractFunction:
        return self.call("refundWithSignature", config, amount, nonce, signature)

    def initiate_withdraw(self, config: ChannelConfig, amount: int) -> ContractFunction:
        return self.call("initiateWithdraw", config, amount)

    def finalize_withdraw(self, config: ChannelConfig) -> ContractFunction:
        return self.call("finalizeWithdraw", config)

    def figures(self, channel_id: bytes) -> ChannelFigures:
        """All of a channel, as of one block."""
        block = self.w3.eth.block_number
        balance, total_claimed = self.read("channels", channel_id, block=block)
        _, requested_at = self.read("pendingWithdrawals", channel_id, block=block)
        nonce = self.read("refundNonce", channel_id, block=block)
        return ChannelFigures(int(balance), int(total_claimed), int(nonce), int(requested_at))

    def settled(self, receiver: str, token: str) -> int:
        """Sent to the receiver so far."""
        _, settled = self.read("receivers", receiver, token)
        return int(settled)

    def unsettled(self, receiver: str, token: str) -> int:
        """Claimed for the receiver and not sent to it yet."""
        claimed, settled = self.read("receivers", receiver, token)
        return int(claimed) - int(settled)

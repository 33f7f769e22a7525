"""What x402's batch-settlement signs, and what BatchSettlement makes of it: the twin of ChannelHashes.sol and
BatchSettlement.sol. Amounts are atomic units of the channel's token, cumulative; time is seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from eth_abi.abi import encode
from eth_hash.auto import keccak

from wellhead.reference.eip712 import domain_separator, typed_digest

DOMAIN = ("x402 Batch Settlement", "1")
MIN_WITHDRAW_DELAY_SECONDS = 900
MAX_WITHDRAW_DELAY_SECONDS = 30 * 86_400
MAX_AMOUNT = 2**128 - 1

_CHANNEL_CONFIG_TYPE = (
    b"ChannelConfig(address payer,address payerAuthorizer,address receiver,address receiverAuthorizer,"
    b"address token,uint40 withdrawDelay,bytes32 salt)"
)
VOUCHER_TYPE = b"Voucher(bytes32 channelId,uint128 maxClaimableAmount)"
_REFUND_TYPE = b"Refund(bytes32 channelId,uint256 nonce,uint128 amount)"
_CLAIM_ENTRY_TYPE = b"ClaimEntry(bytes32 channelId,uint128 maxClaimableAmount,uint128 totalClaimed)"
_CLAIM_BATCH_TYPE = b"ClaimBatch(ClaimEntry[] claims)" + _CLAIM_ENTRY_TYPE


class ChannelConfig(NamedTuple):
    """What a channel is, for good, in the contract's order. Addresses are checksummed, `salt` is 32 bytes."""

    payer: str
    payer_authorizer: str
    receiver: str
    receiver_authorizer: str
    token: str
    withdraw_delay: int
    salt: bytes


class ChannelFigures(NamedTuple):
    """What the chain knows of a channel. `withdraw_requested_at` is zero if no withdrawal is pending."""

    balance: int
    total_claimed: int
    refund_nonce: int
    withdraw_requested_at: int


class ClaimRow(NamedTuple):
    """One row of a batch of claims, as its authorizer signs it."""

    channel_id: bytes
    max_claimable_amount: int
    total_claimed: int


# What is signed ---------------------------------------------------------------------------------------------


def settlement_domain(chain_id: int, settlement: str) -> bytes:
    """The domain separator of the settlement contract; worth keeping, as it never changes."""
    return domain_separator(*DOMAIN, chain_id, settlement)


def channel_id(domain: bytes, config: ChannelConfig) -> bytes:
    """The channel's id: the whole digest of its configuration."""
    types = ["bytes32", *["address"] * 5, "uint40", "bytes32"]
    return typed_digest(domain, keccak(encode(types, [keccak(_CHANNEL_CONFIG_TYPE), *config])))


def voucher_digest(domain: bytes, channel: bytes, max_claimable_amount: int) -> bytes:
    """What the payer side signs: a ceiling on all that is ever claimed from the channel."""
    types = ["bytes32", "bytes32", "uint128"]
    return typed_digest(domain, keccak(encode(types, [keccak(VOUCHER_TYPE), channel, max_claimable_amount])))


def refund_digest(domain: bytes, channel: bytes, nonce: int, amount: int) -> bytes:
    """What the receiver authorizer signs to give money back."""
    types = ["bytes32", "bytes32", "uint256", "uint128"]
    return typed_digest(domain, keccak(encode(types, [keccak(_REFUND_TYPE), channel, nonce, amount])))


def claim_batch_digest(domain: bytes, rows: Sequence[ClaimRow]) -> bytes:
    """What the receiver authorizer signs so that anyone may bring the claims."""
    types = ["bytes32", "bytes32", "uint128", "uint128"]
    entries = b"".join(keccak(encode(types, [keccak(_CLAIM_ENTRY_TYPE), *row])) for row in rows)
    batch = encode(["bytes32", "bytes32"], [keccak(_CLAIM_BATCH_TYPE), keccak(entries)])
    return typed_digest(domain, keccak(batch))


# What becomes of the money ----------------------------------------------------------------------------------


class ChannelRefusedError(ValueError):
    """What the contract would revert with: its custom error's name without `BatchSettlement_`, and the amounts."""

    def __init__(self, name: str, *values: int) -> None:
        super().__init__(f"{name}({', '.join(map(str, values))})")
        self.name = name
        self.values = values


@dataclass(frozen=True, slots=True)
class Channel:
    """A channel's money; each step gives the next state, or raises ChannelRefusedError.

    Who may take a step and whose signature it needs is not asked here. Always total_claimed <= balance.
    """

    withdraw_delay: int = MIN_WITHDRAW_DELAY_SECONDS
    balance: int = 0
    total_claimed: int = 0
    refund_nonce: int = 0
    withdrawal_amount: int = 0
    withdrawal_initiated_at: int = 0

    @property
    def available(self) -> int:
        """What is neither claimed nor given back."""
        return self.balance - self.total_claimed

    def deposit(self, amount: int) -> Channel:
        """More money."""
        if amount == 0:
            raise ChannelRefusedError("ZeroAmount")
        if self.balance + amount > MAX_AMOUNT:
            raise ChannelRefusedError("DepositOverflow", self.balance, amount)
        return replace(self, balance=self.balance + amount)

    def claim(self, total_claimed: int, ceiling: int) -> tuple[Channel, int]:
        """The next state, and what this claim added to the receiver's."""
        if total_claimed <= self.total_claimed:
            return self, 0
        if total_claimed > ceiling:
            raise ChannelRefusedError("ClaimAboveCeiling", total_claimed, ceiling)
        if total_claimed > self.balance:
            raise ChannelRefusedError("ClaimAboveBalance", total_claimed, self.balance)
        return replace(self, total_claimed=total_claimed), total_claimed - self.total_claimed

    def refund(self, amount: int) -> tuple[Channel, int]:
        """The next state, and what goes back to the payer: at most `amount`, at most what is available."""
        if amount == 0:
            raise ChannelRefusedError("ZeroAmount")
        paid = min(amount, self.available)
        asked = max(0, self.withdrawal_amount - paid)
        spent = replace(self, refund_nonce=self.refund_nonce + 1, balance=self.balance - paid)
        if asked == 0 and paid > 0:
            return replace(spent, withdrawal_amount=0, withdrawal_initiated_at=0), paid
        return replace(spent, withdrawal_amount=asked), paid

    def initiate_withdraw(self, amount: int, time: int) -> Channel:
        """The payer side asks for its money."""
        if amount == 0:
            raise ChannelRefusedError("ZeroAmount")
        if self.withdrawal_initiated_at != 0:
            raise ChannelRefusedError("WithdrawalPending", self.withdrawal_initiated_at)
        if amount > self.available:
            raise ChannelRefusedError("WithdrawalAboveAvailable", amount, self.available)
        return replace(self, withdrawal_amount=amount, withdrawal_initiated_at=time)

    def finalize_withdraw(self, time: int) -> tuple[Channel, int]:
        """The next state, and what the payer gets: what it asked for, or what is left unclaimed if that is less."""
        if self.withdrawal_initiated_at == 0:
            raise ChannelRefusedError("NoWithdrawalPending")
        due = self.withdrawal_initiated_at + self.withdraw_delay
        if time < due:
            raise ChannelRefusedError("WithdrawalTooEarly", time, due)
        paid = min(self.withdrawal_amount, self.available)
        return replace(
            self, balance=self.balance - paid, withdrawal_amount=0, withdrawal_initiated_at=0
        ), paid


def owed(channels: Iterable[Channel], unsettled: int) -> int:
    """What the contract owes in one token: what is available in every channel, and what is claimed and unsettled."""
    return sum(channel.available for channel in channels) + unsettled

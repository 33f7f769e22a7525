"""The rules by which calls are charged to a channel, apart from where the figures are kept. Pure.

A call is admitted on a signed ceiling, then either charged what it really cost or released. Always
charged <= signed_ceiling, and charged + reserved <= balance until the payer takes some of that back: what was charged
can be claimed, and the customer risks one call above what was honestly charged. Amounts are atomic units of the
token, cumulative.
"""

from __future__ import annotations

import msgspec
from msgspec.structs import replace
from x402.mechanisms.evm.batch_settlement.errors import (
    ERR_CHANNEL_BUSY,
    ERR_CHARGE_EXCEEDS_SIGNED_CUMULATIVE,
    ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED,
    ERR_CUMULATIVE_AMOUNT_MISMATCH,
    ERR_CUMULATIVE_EXCEEDS_BALANCE,
)

from wellhead.reference.channel import ChannelConfig, ChannelFigures

# Of ours: the scheme leaves it to the server whether a channel on its way out is still served.
ERR_WITHDRAWAL_PENDING = "channel_withdrawal_pending"
# What the chain, and so the books, have of a channel that nothing was ever paid into.
NOTHING = ChannelFigures(0, 0, 0, 0)
# Below every refund nonce.
NEVER = -1


class AdmissionError(Exception):
    """Why a voucher buys nothing now. `code` is the scheme's, so that its clients know what to do."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class ChannelAccount(msgspec.Struct, frozen=True):
    """What the gateway knows of one channel: its own books, and the chain's figures as last seen."""

    config: ChannelConfig
    # The gateway's.
    charged: int = 0
    reserved: int = 0
    signed_ceiling: int = 0
    signature: bytes = b""
    # The highest refund nonce that a refund was signed over.
    refunding: int = NEVER
    # The chain's.
    balance: int = 0
    total_claimed: int = 0
    refund_nonce: int = 0
    withdraw_requested_at: int = 0

    @property
    def unclaimed(self) -> int:
        """Charged and not yet claimed: what the receiver loses if the payer's withdrawal comes first."""
        return max(0, self.charged - self.total_claimed)

    @property
    def left(self) -> int:
        """Neither charged nor given back."""
        return max(0, self.balance - self.charged)

    @property
    def is_refunding(self) -> bool:
        """Whether a refund was signed that may still be carried out: by anyone who has seen it, however late, until the
        chain's refund nonce has moved."""
        return self.refunding >= self.refund_nonce

    @property
    def figures(self) -> ChannelFigures:
        """The chain's part."""
        return ChannelFigures(self.balance, self.total_claimed, self.refund_nonce, self.withdraw_requested_at)

    def admit(
        self, ceiling: int, signature: bytes, price: int, *, concurrent: bool = False
    ) -> ChannelAccount:
        """With `price`, the most that the call may cost, reserved, and the voucher kept if it is the highest so far.

        The standard has one call at a time, and its ceiling is charged + price to the unit: so both sides notice at
        once when their books differ. A client that says so (`concurrent`) has several under way: the highest ceiling
        in hand must cover all of them, whatever order they come in. Raises AdmissionError and changes nothing.
        """
        if self.withdraw_requested_at:
            raise AdmissionError(
                ERR_WITHDRAWAL_PENDING,
                "a withdrawal from this channel is pending; pay from another one, or after it is finalized",
            )
        if self.is_refunding:
            raise AdmissionError(
                ERR_CHANNEL_BUSY,
                "a refund of this channel is under way; pay after it, or ask for the refund again should it fail",
            )
        due = self.charged + self.reserved + price
        if not concurrent and self.reserved and ceiling == self.charged + price:
            raise AdmissionError(ERR_CHANNEL_BUSY, "a call on this channel is under way; try again after it")
        highest = max(ceiling, self.signed_ceiling)
        if highest < due if concurrent else ceiling != due or self.reserved:
            raise AdmissionError(
                ERR_CUMULATIVE_AMOUNT_MISMATCH,
                f"the voucher's ceiling is {ceiling}; {self.charged} charged, {self.reserved} under way and "
                f"{price} for this call make {due}",
            )
        if highest <= self.total_claimed:
            raise AdmissionError(
                ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED,
                f"the voucher's ceiling is {ceiling}, and {self.total_claimed} has been claimed already",
            )
        if max(ceiling, due) > self.balance:
            raise AdmissionError(
                ERR_CUMULATIVE_EXCEEDS_BALANCE,
                f"the voucher's ceiling is {ceiling}, the channel holds {self.balance}: deposit more",
            )
        reserved = self.reserved + price
        if ceiling <= self.signed_ceiling:
            return replace(self, reserved=reserved)
        return replace(self, reserved=reserved, signed_ceiling=ceiling, signature=signature)

    def hold(self, ceiling: int) -> ChannelAccount:
        """Shut for calls until the chain's refund nonce moves, for a refund: on a voucher over no more than was
        charged, as the scheme has it. One that failed may be asked for again. Raises AdmissionError."""
        if self.reserved:
            raise AdmissionError(ERR_CHANNEL_BUSY, "a call on this channel is under way; try again after it")
        if ceiling != self.charged:
            raise AdmissionError(
                ERR_CUMULATIVE_AMOUNT_MISMATCH,
                f"the voucher's ceiling is {ceiling}; {self.charged} charged is what a refund is signed over",
            )
        return replace(self, refunding=max(self.refunding, self.refund_nonce))

    def charge(self, price: int, cost: int) -> ChannelAccount:
        """A call admitted at `price` was served and cost `cost`, at most `price`."""
        if not 0 <= cost <= price <= self.reserved:
            raise AdmissionError(
                ERR_CHARGE_EXCEEDS_SIGNED_CUMULATIVE,
                f"a cost of {cost} does not fit into a price of {price}, {self.reserved} reserved",
            )
        return replace(self, charged=self.charged + cost, reserved=self.reserved - price)

    def take_back(self, cost: int) -> ChannelAccount:
        """A charge of `cost` whose answer could not be given after all."""
        return replace(self, charged=self.charged - cost)

    def release(self, price: int) -> ChannelAccount:
        """A call admitted at `price` was not served."""
        return replace(self, reserved=self.reserved - price)

    def seen(self, figures: ChannelFigures, before: ChannelFigures) -> ChannelAccount:
        """With the chain's figures, which were read after these books had `before`. If they have others now, somebody
        told them meanwhile who may have read later: then nothing changes. Claims beyond our books, on a voucher that
        we lost, count as charged."""
        if self.figures != before:
            return self
        claimed = figures.total_claimed
        lost = claimed > self.charged
        return replace(
            self,
            **figures._asdict(),
            charged=max(self.charged, claimed),
            signed_ceiling=max(self.signed_ceiling, claimed),
            signature=b"" if lost and claimed > self.signed_ceiling else self.signature,
        )

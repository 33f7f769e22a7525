"""One channel as its payer knows it, with any number of calls under way. Pure; money in atomic units, cumulative.

Each call is signed for over all that was charged, all that is under way, and itself. So what the gateway has charged
is known exactly once every receipt has come. A receipt that was lost leaves this side with too little: the gateway
refuses, says what it knows, and `correct` takes over as much of it as the refusal proves. Refusals may be about a
moment that is past: what was charged meanwhile must not be counted twice, or the payer would sign for more than is due.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Begun(NamedTuple):
    """A call that was signed for, and the tab as it was then."""

    amount: int
    ceiling: int
    signed: int
    ended: int
    corrected: int


class GatewayBooks(NamedTuple):
    """What a gateway says of the channel as it refuses a call."""

    charged: int
    reserved: int
    # The highest ceiling that it proves by our own signature; 0 if it proves none.
    signed_ceiling: int


@dataclass(slots=True)
class Tab:
    """What was charged is at most what the gateway has charged, unless that says less than before."""

    balance: int = 0
    charged: int = 0
    # What the chain said last that was claimed.
    claimed: int = 0
    # Whether `balance` is the chain's word with all deposits since.
    current: bool = False
    reserved: int = 0
    # All that calls were ever signed at, how many have ended, and how much of `charged` came from refusals.
    signed: int = 0
    ended: int = 0
    corrected: int = 0

    def ceiling(self, amount: int) -> int:
        """What a further call at up to `amount` is signed over."""
        return self.charged + self.reserved + amount

    def missing(self, amount: int) -> int:
        """What the channel lacks for a further call at `amount`; at most 0 if it lacks nothing."""
        return self.ceiling(amount) - self.balance

    def begin(self, amount: int) -> Begun:
        """A call at up to `amount` is signed for."""
        self.reserved += amount
        self.signed += amount
        return Begun(amount, self.ceiling(0), self.signed, self.ended, self.corrected)

    def ask_back(self) -> Begun:
        """A refund is signed for: over what was charged, so that it buys nothing."""
        return Begun(0, self.charged, self.signed, self.ended, self.corrected)

    def end(self, begun: Begun, charged: int) -> None:
        """It is over, and was charged so much."""
        self.reserved -= begun.amount
        self.charged += charged
        self.ended += 1

    def seen(self, balance: int, claimed: int) -> None:
        """The chain was asked."""
        self.balance, self.claimed, self.current = balance, max(self.claimed, claimed), True
        # A call under way may be among what was claimed, and would count again as it ends.
        if self.reserved == 0:
            self.charged = max(self.charged, self.claimed)

    def deposited(self, amount: int) -> None:
        """The gateway took a deposit."""
        self.balance += amount

    def correct(self, refused: Begun, books: GatewayBooks) -> bool:
        """Take over what the gateway knows better, if we signed for it. The refused call is over."""
        proven = max(books.signed_ceiling, self.claimed)  # what was claimed needed our signature as well
        if books.charged > proven:
            return False
        if self.reserved == 0 and self.ended == refused.ended + 1:
            # Nothing else has happened since it was signed.
            self.charged = max(books.charged, self.claimed)
            return True
        # What is due there beyond what was signed here; calls signed for since may have a part in it, unless the
        # gateway had their vouchers.
        due = books.charged + books.reserved + refused.amount
        since = self.signed - refused.signed
        lacked = due - min(max(proven, refused.ceiling), refused.ceiling + since)
        more = lacked - (self.corrected - refused.corrected)
        more = min(more, books.charged - self.charged)
        if more > 0:
            self.charged += more
            self.corrected += more
        return True

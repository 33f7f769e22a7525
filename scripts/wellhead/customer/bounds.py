"""What a wallet's owner allows to be signed. Pure."""

from __future__ import annotations

from typing import NamedTuple

from eth_utils.address import is_address
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.terms import amount_of
from wellhead.errors import Refused
from wellhead.reference.channel import MAX_WITHDRAW_DELAY_SECONDS, MIN_WITHDRAW_DELAY_SECONDS
from wellhead.units import format_usd

SCHEME = "batch-settlement"


class Bounds(NamedTuple):
    """What a purse may sign. Money in atomic units of `asset`."""

    # The chain in CAIP-2 form, "eip155:31337".
    network: str
    asset: str
    max_usd6_per_call: int
    # How much is put into a channel at a time; what is not spent can be had back.
    usd6_per_deposit: int

    @property
    def chain_id(self) -> int:
        return int(self.network.removeprefix("eip155:"))

    def choose(self, terms: PaymentRequired) -> PaymentRequirements:
        """The offer in `terms` that may be paid. Raises Refused when there is none."""
        for offer in terms.accepts:
            if self._allow(offer):
                return offer
        offers = ", ".join(map(_described, terms.accepts))
        raise Refused(f"nothing was signed: the offer ({offers}) is outside this wallet's bounds")

    def _allow(self, offer: PaymentRequirements) -> bool:
        extra = offer.extra or {}
        delay = extra.get("withdrawDelay")
        return (
            offer.scheme == SCHEME
            and (str(offer.network), offer.asset.lower()) == (self.network, self.asset.lower())
            and 0 < (amount_of(offer.amount) or 0) <= self.max_usd6_per_call
            and isinstance(delay, int)
            and MIN_WITHDRAW_DELAY_SECONDS <= delay <= MAX_WITHDRAW_DELAY_SECONDS
            and is_address(offer.pay_to)
            and is_address(extra.get("receiverAuthorizer"))
            and all(isinstance(extra.get(name), str) and extra[name] for name in ("name", "version"))
        )


def _described(offer: PaymentRequirements) -> str:
    amount = amount_of(offer.amount)
    price = f"an amount of {offer.amount[:40]!r}" if amount is None else format_usd(amount)
    return f"{price} by {offer.scheme} in {offer.asset} on {offer.network}"

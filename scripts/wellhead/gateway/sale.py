"""A call that is paid for: from the moment its payment was verified until it is charged or released."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from wellhead.gateway.channels.book import ChannelAccount


class Receipt(NamedTuple):
    """What the customer is told: x402's PAYMENT-RESPONSE, and what the call cost in atomic units."""

    header: str
    charged_usd6: int


class Sale(Protocol):
    """One verified payment. Exactly one of `charge` and `release` is called, once."""

    async def charge(self, cost_usd6: int) -> Receipt:
        """The call was served: take `cost_usd6`, or all where the scheme knows no less. Durable when this returns.

        Raises PaymentRefusedError when nothing could be taken; then nothing was.
        """

    async def release(self) -> Receipt | None:
        """The call was not served: take nothing. A receipt if the payment moved money of its own all the same."""


class KnownChannel(NamedTuple):
    """A channel in our books, for a payer side whose own say otherwise."""

    channel_id: bytes
    account: ChannelAccount


class PaymentRefusedError(Exception):
    """A payment that is not taken. `code` is x402's reason where it has one; `message` is for people."""

    def __init__(
        self,
        code: str,
        message: str,
        *,
        status: int = 402,
        channel: KnownChannel | None = None,
        response_header: str | None = None,
    ) -> None:
        """`channel` goes back to a payer side that should correct its books. `response_header` is the PAYMENT-RESPONSE
        of a settlement that failed; without one the answer carries the terms."""
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.channel, self.response_header = channel, response_header

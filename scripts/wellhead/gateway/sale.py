"""A call that is paid for: from the moment its payment was verified until it is charged or released."""

from __future__ import annotations

import asyncio
import logging
from typing import NamedTuple, Protocol

from wellhead.gateway.channels.book import ChannelAccount

_log = logging.getLogger(__name__)


class Receipt(NamedTuple):
    """What the customer is told: x402's PAYMENT-RESPONSE, and what the call cost in atomic units."""

    header: str
    charged_usd6: int


class Sale(Protocol):
    """One verified payment. One of `charge` and `release` is called; `release` is harmless after either."""

    async def charge(self, cost_usd6: int) -> Receipt:
        """The call was served: take `cost_usd6`, or all where the scheme knows no less. Durable when this returns, and
        taken all the same if its caller is cancelled.

        Raises PaymentRefusedError when nothing could be taken; then nothing was.
        """

    async def release(self) -> Receipt | None:
        """The call was not served: take nothing. A receipt if the payment moved money of its own all the same."""


class OpenSale:
    """A sale while its call is served: it ends once, and to its end though its caller is cancelled."""

    def __init__(self, sale: Sale, *, charges_first: bool) -> None:
        """`charges_first`: by the end of a stream the money may be gone, so it is taken before the first byte."""
        self._sale, self.charges_first = sale, charges_first
        self._has_ended = False

    async def charge(self, cost_usd6: int) -> Receipt:
        """As `Sale.charge`. Whatever it raises, nothing is reserved any more."""
        assert not self._has_ended, "a sale ends once"
        self._has_ended = True
        try:
            return await self._sale.charge(cost_usd6)
        except PaymentRefusedError:
            raise
        except Exception:
            try:
                await asyncio.shield(self._sale.release())
            except Exception:
                _log.exception("a sale could not be released")
            raise

    async def release(self) -> Receipt | None:
        """As `Sale.release`; nothing if the sale has ended."""
        if self._has_ended:
            return None
        self._has_ended = True
        return await asyncio.shield(self._sale.release())

    async def abandon(self) -> None:
        """Release it because of an error, which must not give way to another one."""
        try:
            await self.release()
        except Exception:
            _log.exception("a sale could not be released")


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
        retry_seconds: int | None = None,
    ) -> None:
        """`channel` goes back to a payer side that should correct its books. `response_header` is the PAYMENT-RESPONSE
        of a settlement that failed; without one the answer carries the terms. `retry_seconds`: the same may be paid for
        then."""
        super().__init__(f"{code}: {message}")
        self.code, self.message, self.status = code, message, status
        self.channel, self.response_header = channel, response_header
        self.retry_seconds = retry_seconds

"""Refunds: what a channel has left is given back, once, whatever happens while it is sent.

What was signed for a refund can be carried out by whoever has seen it, until the chain's refund nonce has moved. So the
channel is shut before anything is signed, and the books open it again when they are told that the nonce has moved: with
the new balance, in one step. Only what was never sent is taken back. If nobody knows what became of one, because the
chain stopped answering or the gateway did, it is sent again over the same nonce: once the chain answers, has not moved
the nonce, and has nothing of the gateway's under way. Of any number over one nonce, one can come to pass.
"""

from __future__ import annotations

import logging
import time
from asyncio import sleep
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Protocol, TypeVar

from x402.mechanisms.evm.batch_settlement.errors import ERR_REFUND_AMOUNT_INVALID, ERR_REFUND_NO_BALANCE

from wellhead.gateway.channels.books import Books
from wellhead.gateway.channels.chain import ChannelChain, NotSentError
from wellhead.gateway.channels.ledger import Hold, OpenRefund
from wellhead.gateway.sale import PaymentRefusedError, Receipt
from wellhead.gateway.terms import Terms, header
from wellhead.units import format_usd

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 2.0, 120.0

Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


class Alone(Protocol):
    """Does one thing at a time to a channel. Raises PaymentRefusedError when another one is under way."""

    def __call__(
        self, channel_id: bytes, send: Callable[[], Coroutine[Any, Any, Answer]]
    ) -> Awaitable[Answer]: ...


class Refunds:
    """Gives back, and sees through. Amounts are atomic units."""

    def __init__(self, terms: Terms, books: Books, chain: ChannelChain, alone: Alone) -> None:
        self._terms, self._books, self._chain, self._alone = terms, books, chain, alone
        # To be looked at; most turn out to be over.
        self._open: dict[bytes, OpenRefund] = {}

    async def give_back(self, channel_id: bytes, ceiling: int, asked: int | None) -> Receipt:
        """`asked`, or all that is left, on a voucher over `ceiling`; nothing else is being done to the channel. Raises
        AdmissionError, or PaymentRefusedError."""
        return await self._send(await self._books.hold(channel_id, ceiling, asked), asked)

    async def run(self) -> None:
        """See through what was begun until cancelled: by another process too, and what a reorganisation undid."""
        read_again_at, pause_seconds = 0.0, FIRST_PAUSE_SECONDS
        while True:
            await sleep(pause_seconds)
            before = len(self._open)
            try:
                if time.monotonic() >= read_again_at:
                    self._open |= {one.channel_id: one for one in await self._books.refunds()}
                    read_again_at = time.monotonic() + LONGEST_PAUSE_SECONDS
                for due in list(self._open.values()):
                    if await self._is_over(due) and self._open.get(due.channel_id) == due:
                        del self._open[due.channel_id]
            except Exception as error:  # a database that is started anew: whatever it is, channels are shut
                _log.warning("refunds are not looked after: %s: %s", type(error).__name__, error)
            waits = bool(self._open) and len(self._open) >= before
            pause_seconds = min(2 * pause_seconds, LONGEST_PAUSE_SECONDS) if waits else FIRST_PAUSE_SECONDS

    async def _is_over(self, due: OpenRefund) -> bool:
        try:
            return await self._alone(due.channel_id, lambda: self._see_through(due))
        except PaymentRefusedError as error:
            name = f"0x{due.channel_id.hex()}"
            _log.warning("the outcome of a refund is unknown still: %s", error, extra={"channel": name})
            return False

    async def _see_through(self, due: OpenRefund) -> bool:
        known = await self._books.account(due.channel_id)
        if known.refunding != due.nonce or not known.is_refunding:
            return True
        account = await self._chain.read(due.channel_id, known.config)
        if not account.is_refunding:
            return True
        if await self._chain.is_sending():
            return False  # it may be this one
        hold = await self._books.hold(due.channel_id, account.charged, due.asked)
        if hold.account.refunding != due.nonce:
            # Another gateway was quicker, and nobody asked for a second one.
            await self._books.lift(hold)
            return True
        await self._send(hold, due.asked)
        return True

    async def _send(self, hold: Hold, asked: int | None) -> Receipt:
        channel_id = hold.channel_id
        self._open[channel_id] = OpenRefund(channel_id, hold.account.refunding, asked)
        try:
            amount = self._refundable(asked, hold.account.left)
            moved = await self._chain.refund(channel_id, self._terms.channel(0), hold.account, amount)
        except NotSentError:
            await self._books.lift(hold)
            raise
        account = await self._books.account(channel_id)
        return Receipt(header(moved.response(channel_id, account, None)), 0)

    def _refundable(self, asked: int | None, left: int) -> int:
        amount, least = left if asked is None else asked, self._terms.config.min_deposit_usd6
        if asked == 0:
            raise NotSentError(ERR_REFUND_AMOUNT_INVALID, "a refund of nothing")
        if amount == 0 or amount > left:
            raise NotSentError(
                ERR_REFUND_NO_BALANCE, f"{left} of the channel is neither charged nor given back"
            )
        if amount < min(left, least):
            raise NotSentError(
                ERR_REFUND_AMOUNT_INVALID,
                f"a refund of {format_usd(amount)} is below {format_usd(least)}, which a transaction must move; ask "
                f"for all that is left ({format_usd(left)}), however little, or withdraw it on the chain yourself",
            )
        return amount

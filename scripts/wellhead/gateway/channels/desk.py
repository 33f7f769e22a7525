"""Where channels pay: a payment is checked against terms, signature, books and chain, then opened as a sale."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from msgspec.structs import replace
from x402.mechanisms.evm.batch_settlement.errors import (
    ERR_CHANNEL_BUSY,
    ERR_CHANNEL_ID_MISMATCH,
    ERR_CHANNEL_NOT_FOUND,
    ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED,
    ERR_CUMULATIVE_AMOUNT_MISMATCH,
    ERR_DEPOSIT_BELOW_MIN_DEPOSIT,
    ERR_INVALID_VOUCHER_SIGNATURE,
    ERR_NETWORK_MISMATCH,
    ERR_RECEIVER_AUTHORIZER_MISMATCH,
    ERR_RECEIVER_MISMATCH,
    ERR_TOKEN_MISMATCH,
    ERR_WITHDRAW_DELAY_MISMATCH,
)

from wellhead.gateway.channels.book import AdmissionError, ChannelAccount
from wellhead.gateway.channels.books import Books
from wellhead.gateway.channels.chain import ChannelChain, Moved
from wellhead.gateway.channels.ledger import Admission
from wellhead.gateway.channels.payment import ChannelPayment, Kind
from wellhead.gateway.channels.refunds import Refunds
from wellhead.gateway.channels.voucher import VoucherDomain
from wellhead.gateway.sale import KnownChannel, PaymentRefusedError, Receipt
from wellhead.gateway.terms import Terms, channel_state, header
from wellhead.units import format_usd

NOBODY = "0x" + "00" * 20
_MISMATCHES = (
    *(ERR_NETWORK_MISMATCH, ERR_RECEIVER_MISMATCH, ERR_RECEIVER_AUTHORIZER_MISMATCH),
    *(ERR_TOKEN_MISMATCH, ERR_WITHDRAW_DELAY_MISMATCH),
)
# On these the payer side can correct its books by ours, and pay again.
CORRECTIVE = frozenset({ERR_CUMULATIVE_AMOUNT_MISMATCH, ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED})
# Until it is worth asking whether a transaction, or a call of a client that makes one at a time, is over.
BUSY_RETRY_SECONDS = 1

Answer = TypeVar("Answer")
_log = logging.getLogger(__name__)


class ChannelDesk:
    """Takes vouchers and deposits, gives refunds. Amounts are atomic units.

    What the chain has of a channel is told to the books by the watch alone; here it is only asked for. Whatever is sent
    for a channel is sent alone, see `_alone`.
    """

    def __init__(self, terms: Terms, books: Books, chain: ChannelChain) -> None:
        self._terms, self._books, self._chain = terms, books, chain
        self._vouchers = VoucherDomain(terms.config.chain_id, chain.settlement)
        wanted = terms.config
        self._wanted = (
            *(wanted.network, wanted.pay_to, terms.authorizer),
            *(wanted.asset, wanted.withdraw_delay_seconds),
        )
        self._moving: dict[bytes, asyncio.Task[Any]] = {}
        self.refunds = Refunds(terms, books, chain, self._alone)

    async def open(self, payment: ChannelPayment, ceiling: int) -> ChannelSale:
        """A sale of a call that costs at most `ceiling`. Raises PaymentRefusedError."""
        channel_id = await self._check(payment)
        met = await self._meet(channel_id, payment)
        if payment.concurrent and payment.accepted_amount < ceiling:
            # What it signed before may cover more, and was not meant for this.
            raise PaymentRefusedError(
                ERR_CUMULATIVE_AMOUNT_MISMATCH,
                f"the payment is for a call at up to {payment.accepted_amount}, this one may cost {ceiling}",
                channel=KnownChannel(channel_id, met or await self._books.account(channel_id)),
            )
        moved = None
        if payment.kind is Kind.DEPOSIT:
            account = met or await self._books.account(channel_id)
            self._would_admit(channel_id, account, payment, ceiling)
            moved = await self._alone(channel_id, lambda: self._deposit(payment, ceiling))
        try:
            admitted = await self._books.admit(
                *(channel_id, payment.max_claimable_amount, payment.signature, ceiling),
                concurrent=payment.concurrent,
            )
        except AdmissionError as error:  # perhaps by what another gateway has charged meanwhile
            raise _refused(error, channel_id, await self._books.account(channel_id)) from None
        return ChannelSale(self._books, payment, admitted, self._terms.config.network, moved)

    async def refund(self, payment: ChannelPayment) -> Receipt:
        """Give back what a channel has left, or the part of it that is asked for. Raises PaymentRefusedError.

        A part must be worth its transaction, as a deposit must: so parts cost the gateway no more transactions than as
        many small deposits would. All that is left is given back however little it is, which happens once per deposit
        at most.
        """
        channel_id = await self._check(payment)
        await self._meet(channel_id, payment)
        return await self._alone(channel_id, lambda: self._refund(channel_id, payment))

    # Checks -----------------------------------------------------------------------------------------

    async def _check(self, payment: ChannelPayment) -> bytes:
        """The id of the payment's channel, once its terms and its voucher's signature are found right."""
        self._must_be_on_terms(payment)
        config = payment.config
        channel_id = self._vouchers.channel_id(config)
        if channel_id != payment.claimed_channel_id:
            raise PaymentRefusedError(
                ERR_CHANNEL_ID_MISMATCH, f"this configuration is channel 0x{channel_id.hex()}"
            )
        if config.payer_authorizer == NOBODY:
            signed = await self._chain.signed_by_contract(payment)
        else:
            signer = self._vouchers.signer(channel_id, payment.max_claimable_amount, payment.signature)
            signed = signer == bytes.fromhex(config.payer_authorizer[2:])
        if not signed:
            raise PaymentRefusedError(
                ERR_INVALID_VOUCHER_SIGNATURE,
                f"the voucher over {payment.max_claimable_amount} is not signed by the channel's payer side",
            )
        return channel_id

    def _must_be_on_terms(self, payment: ChannelPayment) -> None:
        config = payment.config
        said = (
            *(payment.network, config.receiver, config.receiver_authorizer),
            *(config.token, config.withdraw_delay),
        )
        if said == self._wanted:
            return
        names = ("network", "receiver", "receiverAuthorizer", "token", "withdrawDelay")
        for code, name, one, wanted in zip(_MISMATCHES, names, said, self._wanted, strict=True):
            if one != wanted:
                raise PaymentRefusedError(code, f"the channel must be on other terms: {name} {wanted}")

    async def _meet(self, channel_id: bytes, payment: ChannelPayment) -> ChannelAccount | None:
        """The channel's books with what the chain has of it; None if they are told that anyway. It is read if this
        process sees it for the first time, and before a refund: one that has nothing left to give back moves the
        refund nonce without an event."""
        self._chain.must_be_followed()
        if self._chain.is_followed(channel_id) and payment.kind is not Kind.REFUND:
            return None
        account = await self._chain.read(channel_id, payment.config)
        if account.balance == 0 and payment.kind is not Kind.DEPOSIT:
            raise PaymentRefusedError(ERR_CHANNEL_NOT_FOUND, "the channel holds nothing: deposit first")
        return account

    def _would_admit(
        self, channel_id: bytes, account: ChannelAccount, payment: ChannelPayment, ceiling: int
    ) -> None:
        """Nobody's money is moved for a call that would not be admitted then."""
        funded = replace(account, balance=account.balance + payment.deposit_amount)
        try:
            funded.admit(
                *(payment.max_claimable_amount, payment.signature, ceiling), concurrent=payment.concurrent
            )
        except AdmissionError as error:
            raise _refused(error, channel_id, account) from None

    # Transactions -----------------------------------------------------------------------------------

    async def _alone(self, channel_id: bytes, send: Callable[[], Coroutine[Any, Any, Answer]]) -> Answer:
        """One deposit or refund of a channel at a time: the gas is the gateway's. What has begun goes on if the
        customer hangs up. Raises PaymentRefusedError."""
        if channel_id in self._moving:
            raise PaymentRefusedError(
                ERR_CHANNEL_BUSY,
                "a deposit or refund of this channel is under way; try again after it. Nothing was charged",
                retry_seconds=BUSY_RETRY_SECONDS,
            )
        sending = self._moving[channel_id] = asyncio.create_task(send())
        sending.add_done_callback(lambda _: self._moving.pop(channel_id))
        return await asyncio.shield(sending)

    async def _refund(self, channel_id: bytes, payment: ChannelPayment) -> Receipt:
        try:
            return await self.refunds.give_back(
                channel_id, payment.max_claimable_amount, payment.refund_amount
            )
        except AdmissionError as error:
            raise _refused(error, channel_id, await self._books.account(channel_id)) from None

    async def _deposit(self, payment: ChannelPayment, ceiling: int) -> Moved:
        least = self._terms.config.min_deposit_usd6
        if payment.deposit_amount < least:
            raise PaymentRefusedError(
                ERR_DEPOSIT_BELOW_MIN_DEPOSIT,
                f"a deposit of {format_usd(payment.deposit_amount)} is below {format_usd(least)}",
            )
        moved = await self._chain.deposit(payment, self._terms.channel(ceiling))
        _log.info("deposit", extra={"usd6": payment.deposit_amount, "transaction": moved.transaction})
        return moved


class ChannelSale:
    """A call that a channel pays for."""

    def __init__(
        self,
        books: Books,
        payment: ChannelPayment,
        admitted: Admission,
        network: str,
        moved: Moved | None,
    ) -> None:
        self._books, self._payment, self._admitted = books, payment, admitted
        self._network, self._moved = network, moved

    async def charge(self, cost_usd6: int) -> Receipt:
        account = await self._books.charge(self._admitted, cost_usd6)
        return self._receipt(account, cost_usd6)

    async def release(self) -> Receipt | None:
        await self._books.release(self._admitted)
        if self._moved is None:
            return None
        return self._receipt(await self._books.account(self._admitted.channel_id), 0)

    def _receipt(self, account: ChannelAccount, cost_usd6: int) -> Receipt:
        channel_id = self._admitted.channel_id
        if self._moved is not None:
            return Receipt(header(self._moved.response(channel_id, account, cost_usd6)), cost_usd6)
        document = {
            "success": True,
            "payer": self._payment.config.payer,
            "transaction": "",
            "network": self._network,
            "amount": "",
            "extra": {"chargedAmount": str(cost_usd6), "channelState": channel_state(channel_id, account)},
        }
        return Receipt(header(document), cost_usd6)


def _refused(error: AdmissionError, channel_id: bytes, account: ChannelAccount) -> PaymentRefusedError:
    known = KnownChannel(channel_id, account) if error.code in CORRECTIVE else None
    again = BUSY_RETRY_SECONDS if error.code == ERR_CHANNEL_BUSY else None
    return PaymentRefusedError(error.code, error.message, channel=known, retry_seconds=again)

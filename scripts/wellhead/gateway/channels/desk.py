"""Where channels pay: a payment is checked against terms, signature, books and chain, then opened as a sale."""

from __future__ import annotations

import logging
from dataclasses import replace

from x402.mechanisms.evm.batch_settlement.errors import (
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
from wellhead.gateway.channels.ledger import Admission, UnknownChannelError
from wellhead.gateway.channels.payment import ChannelPayment, Kind
from wellhead.gateway.channels.voucher import VoucherDomain
from wellhead.gateway.sale import KnownChannel, PaymentRefusedError, Receipt
from wellhead.gateway.terms import Terms, channel_state, header
from wellhead.units import format_usd

NOBODY = "0x" + "00" * 20
# On these the payer side can correct its books by ours, and pay again.
CORRECTIVE = frozenset({ERR_CUMULATIVE_AMOUNT_MISMATCH, ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED})

_log = logging.getLogger(__name__)


class ChannelDesk:
    """Takes vouchers and deposits, gives refunds. Amounts are atomic units."""

    def __init__(self, terms: Terms, books: Books, chain: ChannelChain) -> None:
        self._terms, self._books, self._chain = terms, books, chain
        self._vouchers = VoucherDomain(terms.config.chain_id, chain.settlement)

    async def open(self, payment: ChannelPayment, ceiling: int) -> ChannelSale:
        """A sale of a call that costs at most `ceiling`. Raises PaymentRefusedError."""
        channel_id = await self._check(payment)
        account = await self._account(channel_id, payment)
        if payment.concurrent and payment.accepted_amount < ceiling:
            # What it signed before may cover more, and was not meant for this.
            raise PaymentRefusedError(
                ERR_CUMULATIVE_AMOUNT_MISMATCH,
                f"the payment is for a call at up to {payment.accepted_amount}, this one may cost {ceiling}",
                channel=KnownChannel(channel_id, account),
            )
        moved = None
        if payment.kind is Kind.DEPOSIT:
            self._would_admit(channel_id, account, payment, ceiling)
            moved = await self._deposit(payment, ceiling)
            account = await self._books.seen(channel_id, payment.config, moved.figures)
        try:
            admitted = await self._books.admit(
                *(channel_id, payment.max_claimable_amount, payment.signature, ceiling),
                concurrent=payment.concurrent,
            )
        except AdmissionError as error:  # perhaps by what another gateway has charged meanwhile
            raise _refused(error, channel_id, await self._books.account(channel_id)) from None
        return ChannelSale(self._books, payment, admitted, self._terms.config.network, moved)

    async def refund(self, payment: ChannelPayment) -> Receipt:
        """Give back what a channel has left, or the part of it that is asked for. Raises PaymentRefusedError."""
        channel_id = await self._check(payment)
        account = await self._account(channel_id, payment)
        try:
            held = await self._books.hold(channel_id, payment.max_claimable_amount)
        except AdmissionError as error:
            raise _refused(error, channel_id, account) from None
        try:
            account = await self._books.account(channel_id)
            moved = await self._chain.refund(payment, channel_id, account, held.price)
        finally:
            await self._books.release(held)
        account = await self._books.seen(channel_id, payment.config, moved.figures)
        return Receipt(header(moved.response(channel_id, account, None)), 0)

    # Checks -----------------------------------------------------------------------------------------

    async def _check(self, payment: ChannelPayment) -> bytes:
        """The id of the payment's channel, once its terms and its voucher's signature are found right."""
        config, terms = payment.config, self._terms
        wanted = terms.config
        for right, code, what in (
            (payment.network == wanted.network, ERR_NETWORK_MISMATCH, wanted.network),
            (config.receiver == wanted.pay_to, ERR_RECEIVER_MISMATCH, f"receiver {wanted.pay_to}"),
            (
                config.receiver_authorizer == terms.authorizer,
                ERR_RECEIVER_AUTHORIZER_MISMATCH,
                f"receiverAuthorizer {terms.authorizer}",
            ),
            (config.token == wanted.asset, ERR_TOKEN_MISMATCH, f"token {wanted.asset}"),
            (
                config.withdraw_delay == wanted.withdraw_delay_seconds,
                ERR_WITHDRAW_DELAY_MISMATCH,
                f"withdrawDelay {wanted.withdraw_delay_seconds}",
            ),
        ):
            if not right:
                raise PaymentRefusedError(code, f"the channel must be on other terms: {what}")
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

    async def _account(self, channel_id: bytes, payment: ChannelPayment) -> ChannelAccount:
        """The channel's books, read from the chain if this process sees it for the first time."""
        self._chain.must_be_followed()
        if self._chain.is_followed(channel_id):
            try:
                return await self._books.account(channel_id)
            except UnknownChannelError:
                pass
        self._chain.follow(channel_id)  # first, so that no change falls between
        figures = await self._chain.figures(channel_id)
        if figures.balance == 0 and payment.kind is not Kind.DEPOSIT:
            raise PaymentRefusedError(ERR_CHANNEL_NOT_FOUND, "the channel holds nothing: deposit first")
        if figures.balance == 0:
            return ChannelAccount(payment.config)  # becomes known when the deposit is there
        return await self._books.seen(channel_id, payment.config, figures)

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
    return PaymentRefusedError(error.code, error.message, channel=known)

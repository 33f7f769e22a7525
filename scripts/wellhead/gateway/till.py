"""From a PAYMENT-SIGNATURE header to a sale, whichever scheme it pays by."""

from __future__ import annotations

from x402.mechanisms.evm.batch_settlement.constants import SCHEME_BATCH_SETTLEMENT

from wellhead.gateway.channels import payment as channel_payment
from wellhead.gateway.channels.desk import ChannelDesk
from wellhead.gateway.channels.payment import Kind, UnreadablePaymentError
from wellhead.gateway.exact_desk import ExactDesk
from wellhead.gateway.openai_shape import RequestError
from wellhead.gateway.sale import OpenSale, PaymentRefusedError, Receipt
from wellhead.gateway.terms import PAYMENT_SIGNATURE


class Till:
    """Both desks behind one counter."""

    def __init__(self, channels: ChannelDesk, exact: ExactDesk) -> None:
        self._channels, self._exact = channels, exact

    async def open(self, payment_header: str, ceiling_usd6: int) -> OpenSale | Receipt:
        """A sale of a call that costs at most `ceiling_usd6`; a receipt if the header asks for a refund instead.

        Raises RequestError when it holds no payment, PaymentRefusedError when it holds one that is not taken.
        """
        try:
            document = channel_payment.decode(payment_header)
            if channel_payment.scheme_of(document) != SCHEME_BATCH_SETTLEMENT:
                # What was signed is reserved nowhere: its owner can spend it while the call is served.
                return OpenSale(await self._exact.open(document, ceiling_usd6), charges_first=True)
            payment = channel_payment.read(document)
        except UnreadablePaymentError as error:
            raise RequestError(f"{PAYMENT_SIGNATURE}: {error}", code="invalid_payment") from None
        if payment.kind is Kind.REFUND:
            return await self._channels.refund(payment)
        return OpenSale(await self._channels.open(payment, ceiling_usd6), charges_first=False)

    async def refund(self, payment_header: str) -> Receipt:
        """The refund that the header asks for. Raises as `open` does, and for any other payment."""
        try:
            payment = channel_payment.read(channel_payment.decode(payment_header))
        except UnreadablePaymentError as error:
            raise RequestError(f"{PAYMENT_SIGNATURE}: {error}", code="invalid_payment") from None
        if payment.kind is not Kind.REFUND:
            raise PaymentRefusedError("not_a_refund", "a GET buys nothing; POST the request that you pay for")
        return await self._channels.refund(payment)

"""Where one-off callers pay: an EIP-3009 authorization per call, settled by a transaction per call (`exact`)."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import ValidationError
from x402.mechanisms.evm.constants import ERR_SETTLEMENT_PENDING
from x402.schemas import PaymentPayload, PaymentRequirements

from wellhead.gateway.facilitator import CHAIN_UNAVAILABLE, Facilitator
from wellhead.gateway.openai_shape import RequestError
from wellhead.gateway.sale import PaymentRefusedError, Receipt
from wellhead.gateway.terms import PAYMENT_SIGNATURE, Terms, header
from wellhead.units import format_usd

TERMS_MISMATCH = "terms_mismatch"


class ExactDesk:
    """Verifies before the call, settles after it. For one event loop."""

    def __init__(self, terms: Terms, facilitator: Facilitator) -> None:
        self._terms, self._facilitator = terms, facilitator
        # One signed payment is served by one request at a time; once it has settled, the chain knows it.
        self._in_use: set[tuple[str, str]] = set()

    async def open(self, document: dict[str, Any], ceiling: int) -> ExactSale:
        """A sale of a call at `ceiling`, which is its price. Raises RequestError, PaymentRefusedError."""
        key = _payer_and_nonce(document)
        try:
            payload = PaymentPayload.model_validate(document)
        except ValidationError:
            raise _unreadable() from None
        wanted = PaymentRequirements.model_validate(self._terms.exact(ceiling))
        if payload.accepted != wanted:
            raise PaymentRefusedError(
                TERMS_MISMATCH,
                f"the payment was signed for other terms; this call costs {format_usd(ceiling)} by `exact`. "
                "Nothing was charged",
            )
        if key in self._in_use:
            raise PaymentRefusedError(
                "payment_in_use", "this payment is being used by another request; sign one per call"
            )
        self._in_use.add(key)
        try:
            verdict = await self._facilitator.verify(payload, wanted)
            if not verdict.is_valid:
                raise _unpaid(verdict.invalid_reason)
        except BaseException:
            self._in_use.discard(key)
            raise
        return ExactSale(self._facilitator, payload, wanted, lambda: self._in_use.discard(key))


class ExactSale:
    """A call that one authorization pays for."""

    def __init__(
        self, facilitator: Facilitator, payload: PaymentPayload, terms: PaymentRequirements, free: Any
    ) -> None:
        self._facilitator, self._payload, self._terms, self._free = facilitator, payload, terms, free

    async def charge(self, cost_usd6: int) -> Receipt:  # noqa: ARG002 - the scheme has one price
        """Takes what was signed: this scheme cannot take less, whatever the call came to."""
        return await asyncio.shield(self._settle())

    async def _settle(self) -> Receipt:
        try:
            outcome = await self._facilitator.settle(self._payload, self._terms)
        finally:
            self._free()
        document = outcome.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not outcome.success:
            raise _unsettled(outcome.error_reason or "unknown", outcome.transaction, header(document))
        return Receipt(header(document), int(self._terms.amount))

    async def release(self) -> Receipt | None:
        self._free()
        return None


def _payer_and_nonce(document: dict[str, Any]) -> tuple[str, str]:
    try:
        terms = document["payload"]["authorization"]
        return str(terms["from"]).lower(), str(terms["nonce"]).lower()
    except (KeyError, TypeError):
        raise _unreadable() from None


def _unreadable() -> RequestError:
    return RequestError(
        f"{PAYMENT_SIGNATURE} does not hold a payment by EIP-3009 authorization in base64 JSON",
        code="invalid_payment",
    )


def _unpaid(reason: str | None) -> PaymentRefusedError:
    code, _, said = (reason or "unknown").partition(": ")
    if code == CHAIN_UNAVAILABLE:
        message = f"payments cannot be verified now: {said}. Nothing was charged"
        return PaymentRefusedError(code, message, status=503)
    return PaymentRefusedError(code, f"the payment was refused: {said or code}. Nothing was charged")


def _unsettled(code: str, transaction: str, response_header: str) -> PaymentRefusedError:
    message = f"the payment was verified but did not settle ({code}). Nothing was charged"
    if code == ERR_SETTLEMENT_PENDING:
        message = (
            f"the payment was sent as {transaction} but is not confirmed; look it up before paying again"
        )
    elif code == CHAIN_UNAVAILABLE:
        message = (
            "the chain stopped answering while the payment was being sent; look at the authorization's nonce "
            "before paying again"
        )
    return PaymentRefusedError(code, message, response_header=response_header)

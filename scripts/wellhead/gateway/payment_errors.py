"""x402 says why in a header; OpenAI's clients look into the body. Every 402 says it in both."""

from __future__ import annotations

from fastapi import Response
from fastapi.responses import JSONResponse
from x402.http import PAYMENT_REQUIRED_HEADER, PAYMENT_RESPONSE_HEADER
from x402.http.utils import decode_payment_required_header, decode_payment_response_header
from x402.mechanisms.evm.constants import ERR_SETTLEMENT_PENDING
from x402.schemas import PaymentRequired, SettleResponse

from wellhead.gateway.facilitator import CHAIN_UNAVAILABLE
from wellhead.gateway.openai_shape import error_body
from wellhead.units import format_usd

UNPAID = "payment_required"
_OWN_HEADERS = ("content-length", "content-type")


def with_openai_error(response: Response) -> Response:
    """`response` with OpenAI's error in its body; anything that is not a bare 402 is returned as it is."""
    if response.status_code != 402 or response.headers.get("content-type") != "application/json":
        return response
    kept = {name: value for name, value in response.headers.items() if name not in _OWN_HEADERS}
    if PAYMENT_RESPONSE_HEADER in response.headers:
        settlement = decode_payment_response_header(response.headers[PAYMENT_RESPONSE_HEADER])
        status, code, message = _unsettled(settlement)
    else:
        terms = decode_payment_required_header(response.headers[PAYMENT_REQUIRED_HEADER])
        assert isinstance(terms, PaymentRequired)  # this gateway offers version 2 alone
        status, code, message = _unpaid(terms)
    return JSONResponse(error_body(message, status, code), status_code=status, headers=kept)


def _unpaid(terms: PaymentRequired) -> tuple[int, str, str]:
    offer = terms.accepts[0]
    price = f"{format_usd(int(offer.amount))} to {offer.pay_to} on {offer.network}"
    code, _, said = (terms.error or "").partition(": ")
    if code == "Payment required":
        return (
            402,
            UNPAID,
            f"this call costs {price}; any x402 client pays it (terms: {PAYMENT_REQUIRED_HEADER})",
        )
    if code == CHAIN_UNAVAILABLE:
        return 503, code, f"payments cannot be verified now: {said}. Nothing was charged"
    return 402, code, f"the payment was refused: {said or code}. Nothing was charged; the call costs {price}"


def _unsettled(settlement: SettleResponse) -> tuple[int, str, str]:
    code = settlement.error_reason or "unknown"
    if code == ERR_SETTLEMENT_PENDING:
        sent = f"the payment was sent as {settlement.transaction} but is not confirmed"
        return 402, code, f"{sent}; look it up before paying again"
    if code == CHAIN_UNAVAILABLE:
        lost = "the chain stopped answering while the payment was being sent"
        return 402, code, f"{lost}; look at the authorization's nonce before paying again"
    return 402, code, f"the payment was verified but did not settle ({code}). Nothing was charged"

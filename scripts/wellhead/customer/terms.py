"""What a 402 asks for, and what an answer says went wrong."""

from __future__ import annotations

from typing import Any, NamedTuple

import httpx
from x402.http import PAYMENT_REQUIRED_HEADER
from x402.http.utils import decode_payment_required_header
from x402.schemas import PaymentRequired

from wellhead.customer.tab import GatewayBooks
from wellhead.errors import Refused
from wellhead.reference.channel import MAX_AMOUNT

MOST_DIGITS = len(str(MAX_AMOUNT))


class Correction(NamedTuple):
    """What a refusal says of the channel, and the signature that is to prove `books.signed_ceiling`."""

    books: GatewayBooks
    signature: str


def read_terms(answer: httpx.Response) -> PaymentRequired:
    """The terms of a 402, whose body has been read. Raises Refused when there are none of version 2."""
    try:
        terms = decode_payment_required_header(answer.headers[PAYMENT_REQUIRED_HEADER])
    except (KeyError, ValueError) as error:
        raise Refused(f"{answer.url} asks for payment without x402 terms: {said(answer)}") from error
    if not isinstance(terms, PaymentRequired):
        raise Refused(f"{answer.url} speaks x402 version 1; only version 2 is spoken here")
    return terms


def correction_of(terms: PaymentRequired, scheme: str) -> Correction | None:
    """None if the terms say nothing of a channel."""
    extra = next((offer.extra for offer in terms.accepts if offer.scheme == scheme), None) or {}
    state, voucher = extra.get("channelState"), extra.get("voucherState")
    charged = amount_of(state.get("chargedCumulativeAmount")) if isinstance(state, dict) else None
    if charged is None:
        return None
    if not isinstance(voucher, dict):
        voucher = {}
    signed_ceiling = amount_of(voucher.get("signedMaxClaimable")) or 0
    reserved = amount_of(extra.get("reserved")) or 0
    return Correction(GatewayBooks(charged, reserved, signed_ceiling), str(voucher.get("signature")))


def amount_of(value: Any) -> int | None:
    """An amount as x402 writes it, which a channel can hold; None for anything else."""
    if not (isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) <= MOST_DIGITS):
        return None
    return amount if (amount := int(value)) <= MAX_AMOUNT else None


def said(answer: httpx.Response) -> str:
    """What an answer says went wrong, from OpenAI's error object if it has one."""
    try:
        body: Any = answer.json()
        return str(body["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"

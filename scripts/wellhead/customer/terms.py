"""From a 402 to a signed payment, each step by itself."""

from __future__ import annotations

from typing import Any

import httpx
from x402.http.x402_http_client import x402HTTPClientSync
from x402.schemas import PaymentPayload, PaymentRequired, PaymentRequirements
from x402.schemas.errors import NoMatchingRequirementsError

from wellhead.errors import Refused
from wellhead.units import format_usd


def read_terms(x402: x402HTTPClientSync, answer: httpx.Response) -> PaymentRequired:
    """The terms of a 402, whose body has been read. Raises Refused when there are none of version 2."""
    try:
        terms = x402.get_payment_required_response(answer.headers.get)
    except ValueError as error:
        raise Refused(f"{answer.url} asks for payment without x402 terms: {said(answer)}") from error
    if not isinstance(terms, PaymentRequired):
        raise Refused(f"{answer.url} speaks x402 version 1; only version 2 is spoken here")
    return terms


def exact_offer(terms: PaymentRequired) -> PaymentRequirements:
    """The offer that one transaction pays. Raises Refused when there is none."""
    for offer in terms.accepts:
        if offer.scheme == "exact":
            return offer
    raise Refused("the gateway takes no payment by `exact`")


def sign_terms(x402: x402HTTPClientSync, terms: PaymentRequired) -> tuple[PaymentPayload, dict[str, str]]:
    """A payment that meets `terms`, and the header that carries it. Raises Refused beyond the wallet's bounds."""
    try:
        payment = x402.create_payment_payload(terms)
    except NoMatchingRequirementsError as error:
        offers = ", ".join(
            f"{format_usd(int(offer.amount))} by {offer.scheme} in {offer.asset} on {offer.network}"
            for offer in terms.accepts
        )
        raise Refused(f"nothing was signed: the offer ({offers}) is outside this wallet's bounds") from error
    if not isinstance(payment, PaymentPayload):
        raise Refused("the terms are x402 version 1; only version 2 is spoken here")
    return payment, x402.encode_payment_signature_header(payment)


def said(answer: httpx.Response) -> str:
    """What an answer says went wrong, from OpenAI's error object if it has one."""
    try:
        body: Any = answer.json()
        return str(body["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"

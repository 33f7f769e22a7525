"""What a 402 asks for, and what an answer says went wrong."""

from __future__ import annotations

from typing import Any

import httpx
from x402.http import PAYMENT_REQUIRED_HEADER
from x402.http.utils import decode_payment_required_header
from x402.schemas import PaymentRequired

from wellhead.errors import Refused


def read_terms(answer: httpx.Response) -> PaymentRequired:
    """The terms of a 402, whose body has been read. Raises Refused when there are none of version 2."""
    try:
        terms = decode_payment_required_header(answer.headers[PAYMENT_REQUIRED_HEADER])
    except (KeyError, ValueError) as error:
        raise Refused(f"{answer.url} asks for payment without x402 terms: {said(answer)}") from error
    if not isinstance(terms, PaymentRequired):
        raise Refused(f"{answer.url} speaks x402 version 1; only version 2 is spoken here")
    return terms


def said(answer: httpx.Response) -> str:
    """What an answer says went wrong, from OpenAI's error object if it has one."""
    try:
        body: Any = answer.json()
        return str(body["error"]["message"])
    except (ValueError, KeyError, TypeError):
        return f"HTTP {answer.status_code}"

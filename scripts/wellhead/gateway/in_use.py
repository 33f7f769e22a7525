"""One signed payment is served by one request at a time; once it has settled, the chain knows it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from x402.http import PAYMENT_SIGNATURE_HEADER
from x402.http.utils import decode_payment_signature_header

from wellhead.gateway.openai_shape import RequestError


class AuthorizationsInUse:
    """The payments of requests under way, by payer and nonce. For one event loop."""

    def __init__(self) -> None:
        self._in_use: set[tuple[str, str]] = set()

    @contextmanager
    def claim(self, header: str | None) -> Iterator[None]:
        """While this lasts, the payment in `header` is this request's alone; no header, no claim.

        Raises RequestError: 400 when the header holds no payment, 402 when another request uses it.
        """
        if header is None:
            yield
            return
        key = _payer_and_nonce(header)
        if key in self._in_use:
            raise RequestError(
                "this payment is being used by another request; sign one per call",
                status=402,
                code="payment_in_use",
            )
        self._in_use.add(key)
        try:
            yield
        finally:
            self._in_use.discard(key)


def _payer_and_nonce(header: str) -> tuple[str, str]:
    try:
        terms = decode_payment_signature_header(header).payload["authorization"]
        return str(terms["from"]).lower(), str(terms["nonce"]).lower()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise RequestError(
            f"{PAYMENT_SIGNATURE_HEADER} does not hold a payment by EIP-3009 authorization in base64 JSON",
            code="invalid_payment",
        ) from None

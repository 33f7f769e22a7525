"""Receipts of answers: in a header, or as the last event of a stream. Pure."""

from __future__ import annotations

import re
from typing import Any

from x402.http import PAYMENT_RESPONSE_HEADER
from x402.http.utils import decode_payment_response_header

from wellhead.customer.once import PaidButUnanswered

_END = re.compile(rb"\r?\n\r?\n")
_RECEIPT = b"event: payment-response"
_DONE = b"data: [DONE]"


def read_receipt(encoded: str) -> dict[str, Any] | None:
    """What x402's PAYMENT-RESPONSE says beside success; None if it says that nothing was taken. Raises
    PaidButUnanswered."""
    try:
        receipt = decode_payment_response_header(encoded)
    except ValueError as error:
        raise PaidButUnanswered(
            f"the receipt in {PAYMENT_RESPONSE_HEADER} cannot be read: look before paying again"
        ) from error
    if not receipt.success:
        return None
    return {"transaction": receipt.transaction, "network": str(receipt.network), **(receipt.extra or {})}


class ReceiptFilter:
    """Takes the receipt out of a stream of events. The end mark comes after it was taken: a reader may stop there."""

    def __init__(self) -> None:
        self.receipt: dict[str, Any] | None = None
        self._rest = b""
        self._held = b""

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream is for the reader now. Raises PaidButUnanswered for a receipt that cannot be read."""
        *events, self._rest = _END.split(self._rest + chunk)
        passed = b""
        for event in events:
            if event.startswith(_RECEIPT):
                self._take(event)
            elif event.startswith(_DONE):
                self._held = event + b"\n\n"
            else:
                passed += event + b"\n\n"
        return passed

    def finish(self) -> bytes:
        """What is left when the stream has ended."""
        return self._rest + self._held

    def _take(self, event: bytes) -> None:
        data = [line[5:].strip() for line in event.splitlines() if line.startswith(b"data:")]
        self.receipt = read_receipt(b"".join(data).decode("ascii", "replace"))

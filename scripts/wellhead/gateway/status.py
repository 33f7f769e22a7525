"""What a running gateway says of itself."""

from __future__ import annotations

from typing import Any

import httpx

from wellhead.errors import Refused
from wellhead.gateway.paths import OFFER_PATH, STATUS_PATH

TIMEOUT_SECONDS = 10
# The offer page speaks x402's names.
_SHOWN = {
    "network": "network",
    "asset": "asset",
    "payTo": "pay_to",
    "receiverAuthorizer": "authorizer",
    "withdrawDelay": "withdraw_delay_seconds",
    "models": "models",
}


def ask(url: str) -> dict[str, Any]:
    """What a gateway sells and how it stands. Raises Refused when nothing like a gateway is at `url`."""
    offer, now = _read(f"{url.rstrip('/')}{OFFER_PATH}"), _read(f"{url.rstrip('/')}{STATUS_PATH}")
    if "models" not in offer or "unclaimed_usd6" not in now:
        raise Refused(f"what answers at {url} is no gateway: is it the node itself?")
    named = {_SHOWN[name]: value for name, value in offer.items() if name in _SHOWN}
    return named | now


def _read(address: str) -> dict[str, Any]:
    try:
        answer = httpx.get(address, timeout=TIMEOUT_SECONDS)
        document = answer.json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Refused(f"no gateway answers at {address}: {type(error).__name__}") from error
    if not isinstance(document, dict):
        raise Refused(f"what answers at {address} is no gateway: is it the node itself?")
    return document

"""What a running gateway says of itself."""

from __future__ import annotations

from typing import Any

import httpx

from wellhead.errors import Refused

TIMEOUT_SECONDS = 10


def ask(url: str) -> dict[str, Any]:
    """The gateway's own facts from /healthz. Raises Refused when nothing like a gateway is at `url`."""
    address = f"{url.rstrip('/')}/healthz"
    try:
        facts = httpx.get(address, timeout=TIMEOUT_SECONDS).raise_for_status().json()
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        raise Refused(f"no gateway answers at {address}: {type(error).__name__}") from error
    if not isinstance(facts, dict) or "price_usd6" not in facts:
        raise Refused(f"what answers at {address} is no gateway: is it the node itself?")
    return facts

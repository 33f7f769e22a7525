"""A chain and a gateway of a test's own, without a network, and a purse between them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import httpx
from eth_account import Account
from x402.http.utils import (
    decode_payment_signature_header,
    encode_payment_required_header,
    encode_payment_response_header,
)
from x402.schemas import PaymentRequired, PaymentRequirements, SettleResponse

from wellhead.customer.bounds import Bounds
from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.spending import SpendingLimit
from wellhead.customer.transports import AsyncPayingTransport, PayingTransport
from wellhead.reference.channel import ChannelFigures

PRICE, DEPOSIT = 1_000, 100_000
ASSET, NETWORK, URL = "0x" + "11" * 20, "eip155:1", "http://gateway/v1/embeddings"
PATIENCE_SECONDS = 5
Answer = Callable[[httpx.Request], httpx.Response]


def offer(**changes: Any) -> PaymentRequirements:
    extra = {
        **{"withdrawDelay": 86_400, "receiverAuthorizer": "0x" + "33" * 20, "name": "USDC", "version": "2"},
        **changes.pop("extra", {}),
    }
    fields: dict[str, Any] = {
        "scheme": "batch-settlement",
        "network": NETWORK,
        "asset": ASSET,
        "amount": str(PRICE),
    }
    fields |= {"pay_to": "0x" + "22" * 20, "max_timeout_seconds": 300, **changes}
    return PaymentRequirements(**fields, extra=extra)


def terms(*offers: PaymentRequirements, error: str = "") -> PaymentRequired:
    return PaymentRequired(x402_version=2, error=error, accepts=list(offers or [offer()]))


class Chain:
    """What the chain says of the only channel, or that it is down, or late."""

    def __init__(self, balance: int = 0) -> None:
        self.balance, self.claimed, self.down = balance, 0, False
        self.asked, self.answers = threading.Event(), threading.Event()
        self.answers.set()

    def figures(self, _: bytes) -> ChannelFigures:
        self.asked.set()
        assert self.answers.wait(PATIENCE_SECONDS)
        if self.down:
            raise ConnectionError("nobody answers")
        return ChannelFigures(self.balance, self.claimed, 0, 0)


class Gateway:
    """Asks for payment, then answers as the test wants. Keeps what it was sent."""

    def __init__(self, *answers: Answer | httpx.Response) -> None:
        """One for each payment; the last for all that follow."""
        self._answers, self.ceilings = list(answers), list[int]()
        self.asked = self.deposits = 0

    def __call__(self, request: httpx.Request) -> httpx.Response:
        header = request.headers.get("PAYMENT-SIGNATURE")
        if header is None:
            self.asked += 1
            return asking()
        payload = decode_payment_signature_header(header).payload
        self.ceilings.append(int(payload["voucher"]["maxClaimableAmount"]))
        self.deposits += payload["type"] == "deposit"
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return answer(request) if callable(answer) else answer

    async def later(self, request: httpx.Request) -> httpx.Response:
        return self(request)


def asking(*offers: PaymentRequirements) -> httpx.Response:
    return httpx.Response(402, headers={"PAYMENT-REQUIRED": encode_payment_required_header(terms(*offers))})


def receipt(charged: int) -> str:
    said = SettleResponse(
        success=True, transaction="", network=NETWORK, extra={"chargedAmount": str(charged)}
    )
    return encode_payment_response_header(said)


def answer(charged: int = PRICE) -> httpx.Response:
    return httpx.Response(200, json={}, headers={"PAYMENT-RESPONSE": receipt(charged)})


def purse_of(chain: Chain, limit: SpendingLimit | None = None) -> Purse:
    return Purse(
        Account.from_key("0x" + "07" * 32), Bounds(NETWORK, ASSET, PRICE, DEPOSIT), chain.figures, limit=limit
    )


def next_payment(purse: Purse) -> Payment:
    """As `pay`, which must not wait for what never comes."""
    while isinstance(found := purse.try_pay(offer()), Future):
        found.result(PATIENCE_SECONDS)
    return found


def call_sync(purse: Purse, gateway: Gateway) -> httpx.Response:
    with httpx.Client(transport=PayingTransport(purse, httpx.MockTransport(gateway))) as http:
        return http.post(URL, json={})


def call_async(purse: Purse, gateway: Gateway) -> httpx.Response:
    async def call() -> httpx.Response:
        async with asyncio.timeout(PATIENCE_SECONDS):
            transport = AsyncPayingTransport(purse, httpx.MockTransport(gateway.later))
            async with httpx.AsyncClient(transport=transport) as http:
                return await http.post(URL, json={})

    return asyncio.run(call())

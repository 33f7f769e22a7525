"""Customers who call a gateway whenever there is one, whatever becomes of it, and keep what it gave them."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from hashlib import sha256
from itertools import count
from typing import Any

import httpx
from eth_account import Account
from eth_account.signers.local import LocalAccount
from gateway_stage import USD
from standin_upstream import MODEL
from x402 import x402Client
from x402.http.clients.httpx import PaymentError, x402HttpxClient
from x402.http.utils import decode_payment_response_header
from x402.mechanisms.evm import EthAccountSignerWithRPC
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme as ChannelScheme

from wellhead.chain import local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.customer.bounds import Bounds
from wellhead.customer.clients import paying_client
from wellhead.customer.once import PaidButUnanswered
from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import ReceiptFilter
from wellhead.deploy.canonical import SETTLEMENT

# So dear that the five dollars for which the settler claims are charged at once, and deposits are spent soon.
PRICES = """
[[models]]
id = "*"
usd_per_call = "0.05"
usd_per_million_input_tokens = "5000"
usd_per_million_output_tokens = "20000"
"""
CALL_USD6, INPUT_TOKEN_USD6, OUTPUT_TOKEN_USD6 = 50_000, 5_000, 20_000
MAX_CALL_USD6, DEPOSIT_USD6 = 2 * USD, 6 * USD
MAX_INPUTS = 40
CALLS_AT_ONCE = 4
NETWORK = f"eip155:{local.CHAIN_ID}"
STOCK_TIMEOUT_SECONDS = 20

_call: ContextVar[str] = ContextVar("call")


def price(wanted: dict[str, Any]) -> int:
    """What an answer of the stand-in costs."""
    if "input" in wanted:
        return CALL_USD6 + 3 * len(wanted["input"]) * INPUT_TOKEN_USD6
    return CALL_USD6 + 7 * INPUT_TOKEN_USD6 + 5 * OUTPUT_TOKEN_USD6


class Spell:
    """The time from a start to a kill."""

    def __init__(self, calls: int) -> None:
        """Enough is served after so many `calls`."""
        self.url, self._left = "", calls
        self.enough, self.depositing, self.over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    def served(self) -> None:
        self._left -= 1
        if self._left <= 0:
            self.enough.set()


class WatchedPurse(Purse):
    """A purse that notes what receipts said, by call, and tells of deposits."""

    def __init__(
        self, account: LocalAccount, chain: local.LocalChain, asset: str, receipts: dict[str, int]
    ) -> None:
        settlement = BatchSettlement(chain.connect(), SETTLEMENT.address)
        super().__init__(account, Bounds(NETWORK, asset, MAX_CALL_USD6, DEPOSIT_USD6), settlement.figures)
        self._receipts = receipts
        self.on_deposit: Callable[[], object] = lambda: None
        self.deposits_under_way = 0

    def try_pay(self, offer: Any) -> Any:
        payment = super().try_pay(offer)
        if isinstance(payment, Payment) and payment.deposit_usd6:
            self.deposits_under_way += 1
            self.on_deposit()
        return payment

    def settled(self, payment: Payment, extra: dict[str, Any]) -> int:
        charged = super().settled(payment, extra)
        self._receipts[_call.get()] = charged
        self.deposits_under_way -= payment.deposit_usd6 > 0
        return charged

    def unsettled(self, payment: Payment) -> None:
        self.deposits_under_way -= payment.deposit_usd6 > 0 and not payment.over
        super().unsettled(payment)


class Customer:
    """Somebody with a channel and a client, who calls for as long as there is a gateway. Amounts are atomic."""

    def __init__(self, number: int, chain: local.LocalChain, asset: str, *, stock: bool) -> None:
        """With our purse, and several calls at once; or with x402's own client (`stock`), and one."""
        self.name, self.at_once = f"customer-{number}", 1 if stock else CALLS_AT_ONCE
        self.account: LocalAccount = Account.from_key(sha256(self.name.encode()).digest())
        self.receipts: dict[str, int] = {}
        self.purse = None if stock else WatchedPurse(self.account, chain, asset, self.receipts)
        self.http = paying_client(self.purse) if self.purse else _stock_client(self.account, chain, asset)
        self._source, self._numbers = random.Random(number), count(1)
        # By the time of the last kill.
        self.charged, self.known = 0, frozenset[str]()

    async def call_on(self, spell: Spell) -> None:
        while not spell.over.is_set():
            call = f"{self.name}/{next(self._numbers)}"
            _call.set(call)
            with suppress(httpx.HTTPError, PaidButUnanswered, PaymentError):
                answer = await self._call(spell.url, call)
                if answer.status_code == 200:
                    self._read(call, answer)
                    spell.served()

    async def _call(self, url: str, call: str) -> httpx.Response:
        """A third of the calls are streamed chats."""
        if self._source.randrange(3) == 0:
            said = {"role": "user", "content": "a barrel of compute"}
            wanted = {"model": MODEL, "messages": [said], "max_tokens": 8, "stream": True, "user": call}
            return await self.http.post(f"{url}/v1/chat/completions", json=wanted)
        inputs = ["oil"] * self._source.randint(1, MAX_INPUTS)
        return await self.http.post(
            f"{url}/v1/embeddings", json={"model": MODEL, "input": inputs, "user": call}
        )

    def _read(self, call: str, answer: httpx.Response) -> None:
        """The receipt, if our own client did not take it."""
        said: dict[str, Any] | None
        if header := answer.headers.get("PAYMENT-RESPONSE"):
            said = decode_payment_response_header(header).extra
        else:
            stream = ReceiptFilter()
            stream.feed(answer.content)
            said = stream.receipt
        if said is not None:
            self.receipts[call] = int(said["chargedAmount"])


def _stock_client(account: LocalAccount, chain: local.LocalChain, asset: str) -> httpx.AsyncClient:
    wallet = x402Client()
    wallet.register(NETWORK, ChannelScheme(EthAccountSignerWithRPC(account, chain.url)))
    wallet.set_spend_controls({"allowed_assets": [{"network": NETWORK, "asset": asset}]})
    return x402HttpxClient(wallet, timeout=STOCK_TIMEOUT_SECONDS)

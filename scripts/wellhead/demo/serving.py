"""Second part: a real model serves, and a customer pays for every inference through stock x402 clients."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient

from wellhead.chain import keys, local
from wellhead.customer.clients import async_openai_client, openai_client, paying_client, paying_client_sync
from wellhead.customer.infer import Customer
from wellhead.customer.wallet import bounded, network_of
from wellhead.demo.listing import SPEC, Listed
from wellhead.demo.stage import Stage
from wellhead.errors import Refused
from wellhead.processes import ManagedProcess
from wellhead.units import format_usd

PRICE_USD6 = 5_000
START_TIMEOUT_SECONDS = 60
MODEL = SPEC.models[0]
SENTENCES = (
    "Oil is metered by the barrel.",
    "Crude is sold in standard barrels.",
    "A graphics processor multiplies matrices.",
    "Bitcoin miners already run power sites.",
    "The cat sleeps on the warm machine.",
    "Heat from servers warms the greenhouse.",
)


class Sample(NamedTuple):
    """One paid call: what went in, the first numbers that came out, and the transaction that paid for it."""

    text: str
    embedding: list[float]
    dimensions: int
    transaction: str


class Served(NamedTuple):
    """What was served and paid. Money in usd6."""

    model: str
    calls: int
    tokens: int
    paid_usd6: int
    scheme: str
    sample: dict[str, Any]


class Site:
    """The operator's machine: the node's runtime, and the gateway before it. Two processes of their own."""

    def __init__(self, stage: Stage, listed: Listed) -> None:
        """Start both and wait until they answer. Raises Refused with their logs."""
        self._stage = stage
        self._folder: Path = stage.folder
        self._runtime_port, gateway_port = local.free_port(), local.free_port()
        self.runtime_url = f"http://{local.HOST}:{self._runtime_port}"
        self.gateway_url = f"http://{local.HOST}:{gateway_port}"
        self._runtime = self._start_runtime()
        self._gateway = self._start(
            "gateway",
            *("--upstream", self.runtime_url, "--pay-to", listed.share.address, "--price", "0.005"),
            *("--asset", stage.usd.address, "--network", stage.chain.url, "--key", "facilitator"),
            *("--host", local.HOST, "--port", str(gateway_port)),
        )
        try:
            self._wait(self._runtime, self.runtime_url)
            self._wait(self._gateway, self.gateway_url)
        except Refused:
            self.stop()
            raise

    def stop_runtime(self) -> None:
        """The node goes down; its gateway stays."""
        self._runtime.stop()

    def restart_runtime(self) -> None:
        """The node comes back and answers again."""
        self._runtime = self._start_runtime()
        self._wait(self._runtime, self.runtime_url)

    def stop(self) -> None:
        """End both processes."""
        self._gateway.stop()
        self._runtime.stop()

    def _start_runtime(self) -> ManagedProcess:
        return self._start("runtime", "--host", local.HOST, "--port", str(self._runtime_port))

    def _start(self, module: str, *arguments: str) -> ManagedProcess:
        command = [sys.executable, "-m", f"wellhead.{module}", *arguments]
        return ManagedProcess(command, self._folder / f"{module}.log")

    @staticmethod
    def _wait(process: ManagedProcess, url: str) -> None:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while time.monotonic() < deadline:
            if not process.running:
                raise Refused(f"{' '.join(process.command[1:3])} ended at once:\n{process.log_tail()}")
            try:
                if httpx.get(f"{url}/healthz", timeout=1).status_code == 200:
                    return
            except httpx.HTTPError:
                time.sleep(0.05)  # a process of its own has no event to wait for
        raise Refused(f"nothing answers at {url} after {START_TIMEOUT_SECONDS} s:\n{process.log_tail()}")


class Buying:
    """The customer: counts what it bought, and compares with what the chain says it paid."""

    def __init__(self, stage: Stage, site: Site, listed: Listed) -> None:
        self._stage, self._site, self._listed = stage, site, listed
        self._account = keys.local_account("customer")
        self._paid_before = stage.usd.balance_of(self._account.address)
        self.calls = 0
        self.tokens = 0
        self._sample: Sample | None = None

    def show_one(self) -> None:
        """One call, step by step."""
        tell = self._stage.narrator.tell
        with Customer(
            self._site.gateway_url, self._account, self._stage.chain.url, self._stage.usd.address, PRICE_USD6
        ) as customer:
            call = customer.infer(MODEL, [SENTENCES[0]])
        vector = call.answer.body["data"][0]["embedding"]
        self._sample = Sample(SENTENCES[0], vector[:4], len(vector), call.receipt.transaction)
        self._count([SENTENCES[0]], call.answer.prompt_tokens)
        tell("gateway", f"402: {format_usd(call.terms.price_usd6)} to the share {call.terms.pay_to[:10]}…")
        tell("customer", f"signs an EIP-3009 authorization, nonce {call.payment.nonce[:10]}…")
        tell("node", f"answers {call.answer.dimensions} numbers for {call.answer.prompt_tokens} tokens")
        tell("gateway", f"receipt: transaction {call.receipt.transaction[:18]}…")

    def by_x402(self, calls: int) -> None:
        """Calls through x402's own httpx client, as it comes."""
        asyncio.run(self._by_x402(calls))
        self._stage.narrator.tell("customer", f"{calls} calls through the stock x402HttpxClient")

    def by_openai(self) -> None:
        """The official clients, synchronous and asynchronous, each one call; similar texts must be closer."""
        url, asset = self._stage.chain.url, self._stage.usd.address
        texts = list(SENTENCES[:3])
        with paying_client_sync(self._account, url, asset, PRICE_USD6) as http:
            answer = openai_client(self._site.gateway_url, http).embeddings.create(model=MODEL, input=texts)
        self._count(texts, answer.usage.prompt_tokens)
        first, similar, other = (item.embedding for item in answer.data)
        near, far = _dot(first, similar), _dot(first, other)
        asyncio.run(self._by_async_openai())
        self._stage.narrator.tell("customer", "1 call through openai.OpenAI, 1 through openai.AsyncOpenAI")
        self._stage.narrator.check(
            "the model is real",
            near > far and abs(_dot(first, first) - 1) < 1e-4,
            f"cosine of two oil sentences {near:.3f}, of oil and processor {far:.3f}",
        )

    def fails_unpaid(self) -> None:
        """A call while the node is down must cost nothing."""
        before = self._stage.usd.balance_of(self._account.address)
        try:
            with Customer(
                self._site.gateway_url,
                self._account,
                self._stage.chain.url,
                self._stage.usd.address,
                PRICE_USD6,
            ) as customer:
                customer.infer(MODEL, [SENTENCES[0]])
            answer = "answered"
        except Refused as refused:
            answer = str(refused)
        paid = before - self._stage.usd.balance_of(self._account.address)
        self._stage.narrator.check(
            "an outage costs the customer nothing",
            paid == 0 and answer != "answered",
            f"paid {paid} usd6: {answer}",
        )

    def finish(self) -> Served:
        """Compare with the chain and sum up."""
        paid = self._paid_before - self._stage.usd.balance_of(self._account.address)
        arrived = self._stage.usd.balance_of(self._listed.share.address)
        self._stage.narrator.check(
            "every call was paid, straight to the share",
            paid == arrived == self.calls * PRICE_USD6,
            f"{self.calls} calls x {PRICE_USD6} = customer paid {paid} = share received {arrived} usd6",
        )
        if self._sample is None:
            raise Refused("no call was shown")
        return Served(MODEL, self.calls, self.tokens, paid, "exact", self._sample._asdict())

    def _count(self, texts: Sequence[str], tokens: int) -> None:
        if tokens < len(texts):
            raise Refused(f"{tokens} tokens for {len(texts)} texts: the node counts too few")
        self.calls += 1
        self.tokens += tokens

    async def _by_x402(self, calls: int) -> None:
        url, asset = self._stage.chain.url, self._stage.usd.address
        wallet = bounded(x402Client(), self._account, network_of(url), asset, PRICE_USD6)
        async with x402HttpxClient(wallet, timeout=30) as http:
            for number in range(calls):
                text = SENTENCES[number % len(SENTENCES)]
                answer = await http.post(
                    f"{self._site.gateway_url}/v1/embeddings", json={"model": MODEL, "input": text}
                )
                if answer.status_code != 200:
                    raise Refused(
                        f"paid call {number} was answered with {answer.status_code}: {answer.text[:300]}"
                    )
                self._count([text], answer.json()["usage"]["prompt_tokens"])

    async def _by_async_openai(self) -> None:
        url, asset = self._stage.chain.url, self._stage.usd.address
        async with paying_client(self._account, url, asset, PRICE_USD6) as http:
            client = async_openai_client(self._site.gateway_url, http)
            answer = await client.embeddings.create(model=MODEL, input=SENTENCES[4])
        self._count([SENTENCES[4]], answer.usage.prompt_tokens)


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))

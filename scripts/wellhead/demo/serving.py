"""Second part: a real model serves, and a customer pays for every inference through stock x402 clients."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from eth_typing import HexStr
from web3 import Web3
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm import EthAccountSignerWithRPC
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme
from x402.mechanisms.evm.batch_settlement.client.config import (
    BatchSettlementDepositPolicy,
    BatchSettlementEvmSchemeOptions,
)
from x402.mechanisms.evm.exact.client import ExactEvmScheme

from wellhead.chain import keys, local
from wellhead.customer.clients import async_openai_client, open_purse, openai_client, paying_client
from wellhead.customer.infer import Customer
from wellhead.demo.listing import SPEC, Listed
from wellhead.demo.stage import Stage
from wellhead.errors import Refused
from wellhead.gateway.assembly import open_settler
from wellhead.gateway.channels.ledger import Ledger
from wellhead.processes import ManagedProcess
from wellhead.units import format_usd

PRICE_USD6 = 5_000
DEPOSIT_USD6 = 400 * PRICE_USD6
# Another channel than the stock client's, whose salt is zero.
OWN_SALT = (1).to_bytes(32, "big")
START_TIMEOUT_SECONDS = 60
SETTLE_TIMEOUT_SECONDS = 60
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
    """One paid call: what went in, the first numbers that came out, and the channel that paid for it."""

    text: str
    embedding: list[float]
    dimensions: int
    channel: str


class Served(NamedTuple):
    """What was served and paid. Money in usd6."""

    model: str
    calls: int
    tokens: int
    paid_usd6: int
    scheme: str
    # Transactions that brought all of it on-chain (deposits, claims, refunds), and the claims' gas per call.
    transactions: int
    claim_gas_per_call: int
    sample: dict[str, Any]


class Site:
    """The operator's machine: the node's runtime, and the gateway before it. Two processes of their own."""

    def __init__(self, stage: Stage, listed: Listed) -> None:
        """Start both; they take a while, see `wait`."""
        self._stage = stage
        self._folder: Path = stage.folder
        self._runtime_port, gateway_port = local.free_port(), local.free_port()
        self.ledger_url = f"sqlite:///{self._folder / 'gateway.db'}"
        self.runtime_url = f"http://{local.HOST}:{self._runtime_port}"
        self.gateway_url = f"http://{local.HOST}:{gateway_port}"
        self._runtime = self._start_runtime()
        self._gateway = self._start(
            *("gateway", "wellhead", "gateway", "run", str(listed.node)),
            *("--upstream", self.runtime_url, "--price", "0.005", "--ledger", self.ledger_url),
            *("--network", stage.chain.url, "--deployments", str(stage.deployments)),
            *("--host", local.HOST, "--port", str(gateway_port)),
        )

    def wait(self) -> None:
        """Return when both answer. Raises Refused with the logs of what does not."""
        self._wait(self._runtime, self.runtime_url)
        self._wait(self._gateway, self.gateway_url)

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
        listening = ("--host", local.HOST, "--port", str(self._runtime_port))
        return self._start("runtime", "wellhead.runtime", *listening)

    def _start(self, name: str, module: str, *arguments: str) -> ManagedProcess:
        command = [sys.executable, "-m", module, *arguments]
        return ManagedProcess(command, self._folder / f"{name}.log")

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
        self._purse = open_purse(
            *(self._account, stage.chain.url, stage.usd.address, PRICE_USD6, DEPOSIT_USD6), OWN_SALT
        )
        self.calls = 0
        self.tokens = 0
        self._by_channel = 0
        self._sample: Sample | None = None

    def show_one(self) -> None:
        """One call, step by step."""
        tell = self._stage.narrator.tell
        with Customer(self._site.gateway_url, self._purse) as customer:
            call = customer.infer(MODEL, [SENTENCES[0]])
        vector = call.answer.body["data"][0]["embedding"]
        self._sample = Sample(SENTENCES[0], vector[:4], len(vector), call.payment.channel_id)
        self._count([SENTENCES[0]], call.answer.prompt_tokens)
        tell("gateway", f"402: {format_usd(call.terms.ceiling_usd6)} to the share {call.terms.pay_to[:10]}…")
        tell(
            "customer", f"deposits {format_usd(call.payment.deposit_usd6)} into a channel and signs a voucher"
        )
        tell("node", f"answers {call.answer.dimensions} numbers for {call.answer.prompt_tokens} tokens")
        tell("gateway", f"charges {format_usd(call.receipt.charged_usd6)}; the next calls touch no chain")

    def by_x402(self, calls: int) -> None:
        """Calls through x402's own httpx client as it comes: by channel, and one by `exact`."""
        asyncio.run(self._by_x402(calls))

    def many(self, calls: int, at_once: int) -> None:
        """Calls on one channel, several at a time."""
        before = self._transactions()
        asyncio.run(self._many(calls, at_once))
        sent = self._transactions() - before
        self._stage.narrator.tell(
            "customer",
            f"{calls} calls on one channel, {at_once} at a time; {sent} transactions, to top it up",
        )

    def by_openai(self) -> None:
        """The official clients, synchronous and asynchronous, each one call; similar texts must be closer."""
        texts = list(SENTENCES[:3])
        with openai_client(self._site.gateway_url, self._purse) as client:
            answer = client.embeddings.create(model=MODEL, input=texts)
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
        with Customer(self._site.gateway_url, self._purse) as customer:
            before = self._charged()
            try:
                customer.infer(MODEL, [SENTENCES[0]])
                answer = "answered"
            except Refused as refused:
                answer = str(refused)
        charged = self._charged() - before
        self._stage.narrator.check(
            "an outage costs the customer nothing",
            charged == 0 and answer != "answered",
            f"charged {charged} usd6: {answer}",
        )

    def finish(self) -> Served:
        """Have everything claimed, compare with the chain and sum up."""
        stage = self._stage
        transaction, channels = self._settle()
        with Customer(self._site.gateway_url, self._purse) as customer:
            back = customer.refund()
        stage.narrator.tell("customer", f"has {format_usd(back)} given back, which no call had used")
        paid = self._paid_before - stage.usd.balance_of(self._account.address)
        arrived = stage.usd.balance_of(self._listed.share.address)
        stage.narrator.check(
            "every call was paid, straight to the share",
            paid == arrived == self.calls * PRICE_USD6,
            f"{self.calls} calls x {PRICE_USD6} = customer paid {paid} = share received {arrived} usd6",
        )
        if self._sample is None:
            raise Refused("no call was shown")
        gas = stage.w3.eth.get_transaction_receipt(HexStr(transaction))["gasUsed"]
        transactions = self._transactions()
        stage.narrator.check(
            "one claim settled every call by channel",
            transactions <= 8,
            f"{self._by_channel} calls on {channels} channels: {gas} gas, {gas // self._by_channel} per call; "
            f"{transactions} transactions with deposits and refunds",
        )
        return Served(
            *(MODEL, self.calls, self.tokens, paid, "batch-settlement"),
            *(transactions, gas // self._by_channel, self._sample._asdict()),
        )

    def _settle(self) -> tuple[str, int]:
        """Ask the gateway's settler for everything; the transaction, and how many channels it claimed."""
        session = self._stage
        settler = open_settler(
            session.w3,
            session.manifest.address("SettleRouter"),
            keys.local_account("authorizer"),
            Ledger(self._site.ledger_url),
            self._site.ledger_url,
        )
        try:
            done = settler.settle_now(SETTLE_TIMEOUT_SECONDS)
        finally:
            settler.stop()
        if len(done.transactions) != 1:
            raise Refused(f"one claim was expected, {len(done.transactions)} were made")
        session.narrator.tell(
            "gateway",
            f"claims {format_usd(done.claimed_usd6)} of {done.channels} channels in one transaction",
        )
        return done.transactions[0], done.channels

    def _transactions(self) -> int:
        """Those that the gateway's two keys sent."""
        eth = self._stage.w3.eth
        senders = {keys.local_account(role).address for role in ("facilitator", "authorizer")}
        return sum(eth.get_transaction_count(Web3.to_checksum_address(sender)) for sender in senders)

    def _charged(self) -> int:
        return int(httpx.get(f"{self._site.gateway_url}/status", timeout=10).json()["unclaimed_usd6"])

    def _count(self, texts: Sequence[str], tokens: int, *, by_channel: bool = True) -> None:
        if tokens < len(texts):
            raise Refused(f"{tokens} tokens for {len(texts)} texts: the node counts too few")
        self.calls += 1
        self.tokens += tokens
        self._by_channel += by_channel

    async def _by_x402(self, calls: int) -> None:
        network = f"eip155:{self._stage.w3.eth.chain_id}"
        signer = EthAccountSignerWithRPC(self._account, self._stage.chain.url)
        policy = BatchSettlementDepositPolicy(deposit_multiplier=calls)
        by_channel = BatchSettlementEvmScheme(signer, BatchSettlementEvmSchemeOptions(deposit_policy=policy))
        for scheme, count in ((by_channel, calls), (ExactEvmScheme(signer), 1)):
            wallet = x402Client()
            wallet.register(network, scheme)
            wallet.set_spend_controls(
                {
                    "allowed_assets": [
                        {
                            "network": network,
                            "asset": self._stage.usd.address,
                            "max_amount_per_payment": str(PRICE_USD6),
                        }
                    ]
                }
            )
            async with x402HttpxClient(wallet, timeout=30) as http:
                for number in range(count):
                    await self._call(http, number, by_channel=scheme is by_channel)
        self._stage.narrator.tell(
            "customer", f"{calls} calls by channel and one by `exact` through the stock x402HttpxClient"
        )

    async def _many(self, calls: int, at_once: int) -> None:
        async with paying_client(self._purse) as http:
            numbers = iter(range(calls))

            async def one_after_another() -> None:
                for number in numbers:
                    await self._call(http, number)

            await asyncio.gather(*(one_after_another() for _ in range(at_once)))

    async def _call(self, http: httpx.AsyncClient, number: int, *, by_channel: bool = True) -> None:
        text = SENTENCES[number % len(SENTENCES)]
        answer = await http.post(
            f"{self._site.gateway_url}/v1/embeddings", json={"model": MODEL, "input": text}
        )
        if answer.status_code != 200:
            raise Refused(f"paid call {number} was answered with {answer.status_code}: {answer.text[:300]}")
        self._count([text], answer.json()["usage"]["prompt_tokens"], by_channel=by_channel)

    async def _by_async_openai(self) -> None:
        async with async_openai_client(self._site.gateway_url, self._purse) as client:
            answer = await client.embeddings.create(model=MODEL, input=SENTENCES[4])
        self._count([SENTENCES[4]], answer.usage.prompt_tokens)


def _dot(left: Sequence[float], right: Sequence[float]) -> float:
    return sum(a * b for a, b in zip(left, right, strict=True))

"""What a paid call costs on its way: upstream alone, and before it a proxy that sells nothing, our gateway, x402's own
middleware.

All on one machine in one run, so that ratios mean something: the same upstream, the same load, vouchers of the same
shape signed beforehand, one deposit per channel. Times are the client's, CPU is the server process's own.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, TypeAlias

import httpx
from web3.constants import ADDRESS_ZERO
from x402.schemas import PaymentRequirements

from wellhead.bench.apart import figures_of
from wellhead.bench.gateway_sides import PATH
from wellhead.bench.stage import GENESIS, BenchStage
from wellhead.bench.turns import CUSTOMERS, Contestant, Server, Side, take_turns
from wellhead.chain import keys, local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.customer.bounds import Bounds
from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import read_receipt
from wellhead.customer.terms import read_terms
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.errors import Refused
from wellhead.processes import ManagedProcess
from wellhead.units import ONE

PRICE_USD6 = 100
DEPOSIT_USD6 = 10**9
START_TIMEOUT_SECONDS = 60
_JSON = {"content-type": "application/json"}
Sides: TypeAlias = dict[int, Side]
BODY = json.dumps({"model": "bench", "input": "Oil is metered by the barrel."}).encode()


@dataclass(frozen=True)
class Measured:
    """All sides of one run by the number of customers, and what they come to."""

    upstream: Sides
    # The gateway's server and upstream client without anything between them.
    bare_proxy: Sides
    gateway: Sides
    stock: Sides
    # Two gateways over one PostgreSQL, if one was given.
    shared: Sides | None
    added_p50_ms: float
    times_stock_throughput: dict[int, float]
    # The same two of the bare proxy: no gateway of these parts can do better.
    bare_proxy_added_p50_ms: float
    bare_proxy_times_stock_throughput: dict[int, float]
    shared_times_stock_throughput: dict[int, float] | None
    verify_us: float


def measure(calls: int, shared_ledger_url: str | None = None) -> Measured:
    """Run all sides by turns, with `calls` paid calls each (the stock one with a fifth) of several numbers of customers
    at once, and an eighth as many of a single one.

    With the URL of an empty PostgreSQL database also two gateways that share it. Raises Refused.
    """
    with TemporaryDirectory(prefix="wellhead-bench-") as folder, ExitStack() as stack:
        place = Path(folder)
        chain = stack.enter_context(local.running("anvil", log=place / "chain.log", genesis=GENESIS))
        stage = BenchStage(chain.connect(), place, plain_usd=False)
        node = stage.attested_node()
        share = stage.share(node, eligibility=ADDRESS_ZERO, issuer=ADDRESS_ZERO, supply_units=1_000 * ONE)
        bare = stack.enter_context(_serving(place, "wellhead.bench.gateway_sides", "upstream", "{port}"))
        upstream_url = bare.url.removesuffix(PATH)
        passing_on = stack.enter_context(
            _serving(place, "wellhead.bench.gateway_sides", "bare_proxy", "{port}", upstream_url)
        )

        def start_gateway(ledger_url: str) -> Server:
            return stack.enter_context(
                _serving(
                    place,
                    "wellhead",
                    *("gateway", "run", str(node), "--upstream", upstream_url, "--price", "0.0001"),
                    *("--network", chain.url, "--deployments", str(place)),
                    *("--port", "{port}", "--ledger", ledger_url),
                )
            )

        sole = start_gateway(f"sqlite:///{place / 'ledger.db'}")
        several = [start_gateway(shared_ledger_url) for _ in range(2)] if shared_ledger_url else []
        stock_server = stack.enter_context(
            _serving(
                place,
                "wellhead.bench.gateway_sides",
                *("stock", "{port}", upstream_url, chain.url, stage.usd.address, share.address),
                str(PRICE_USD6),
            )
        )
        customer = _Customer(chain, stage.usd.address)
        paid = customer.headers
        upstream = Contestant([bare], calls, BODY, _free)
        bare_proxy = Contestant([passing_on], calls, BODY, _free)
        gateway = Contestant([sole], calls, BODY, paid)
        stock = Contestant([stock_server], calls // 5, BODY, paid)
        shared = Contestant(several, calls, BODY, paid) if several else None
        take_turns([upstream, bare_proxy, gateway, stock, *([shared] if shared else [])])
    return Measured(
        upstream.sides,
        bare_proxy.sides,
        gateway.sides,
        stock.sides,
        shared.sides if shared else None,
        added_p50_ms=gateway.added_p50_ms(upstream),
        times_stock_throughput=gateway.times_throughput(stock),
        bare_proxy_added_p50_ms=bare_proxy.added_p50_ms(upstream),
        bare_proxy_times_stock_throughput=bare_proxy.times_throughput(stock),
        shared_times_stock_throughput=shared.times_throughput(stock) if shared else None,
        verify_us=figures_of("wellhead.bench.verify")["verify_us"],
    )


def as_json(measured: Measured) -> dict[str, Any]:
    """For machines."""
    return asdict(measured)


# Sides ------------------------------------------------------------------------------------------------------


class _Customer:
    """Signs all vouchers beforehand: what is measured is the server."""

    def __init__(self, chain: local.LocalChain, asset: str) -> None:
        figures = BatchSettlement(chain.connect(), SETTLEMENT.address).figures
        bounds = Bounds(f"eip155:{local.CHAIN_ID}", asset, PRICE_USD6, DEPOSIT_USD6)
        self._purses = [
            Purse(keys.local_account("customer"), bounds, figures, number.to_bytes(32, "big"))
            for number in range(1, max(CUSTOMERS) + 1)
        ]
        self._http = httpx.Client(timeout=30)
        self._offers: dict[str, PaymentRequirements] = {}

    def headers(self, url: str, customers: int, count: int) -> list[list[dict[str, str]]]:
        """For each customer a channel of its own with money in it, and the payments of its calls in order."""
        return [self._of_one(purse, url, count) for purse in self._purses[:customers]]

    def _of_one(self, purse: Purse, url: str, calls: int) -> list[dict[str, str]]:
        offer = self._offer(purse, url)
        first = purse.pay(offer)
        if first.deposit_usd6:
            answer = self._http.post(url, content=BODY, headers=_JSON | {"PAYMENT-SIGNATURE": first.header})
            if answer.status_code != 200:
                why = read_terms(answer).error if answer.status_code == 402 else answer.text[:300]
                raise Refused(f"the deposit was answered with {answer.status_code}: {why}")
            purse.settled(first, read_receipt(answer.headers["PAYMENT-RESPONSE"]) or {})
        else:
            purse.unsettled(first)
        return [_signed(purse, purse.pay(offer)) for _ in range(calls)]

    def _offer(self, purse: Purse, url: str) -> PaymentRequirements:
        """What a server asks for a call: the same of everybody, each time."""
        if url not in self._offers:
            self._offers[url] = purse.choose(read_terms(self._http.post(url, content=BODY, headers=_JSON)))
        return self._offers[url]


def _signed(purse: Purse, payment: Payment) -> dict[str, str]:
    """As if the call were over and had cost its price, so that the next voucher stands on it."""
    purse.settled(payment, {"chargedAmount": str(PRICE_USD6)})
    return {"PAYMENT-SIGNATURE": payment.header}


def _free(_url: str, customers: int, count: int) -> list[list[dict[str, str]]]:
    """Of calls that nobody pays for."""
    return [[{}] * count] * customers


@contextmanager
def _serving(folder: Path, module: str, *arguments: str) -> Iterator[Server]:
    """A server process on a free port: its URL, and its process id."""
    port = local.free_port()
    command = [sys.executable, "-m", module, *(part.format(port=port) for part in arguments)]
    process = ManagedProcess(command, folder / f"{module}-{port}.log")
    try:
        url = f"http://{local.HOST}:{port}"
        _wait(process, url)
        yield Server(url + PATH, process.child_pid)
    finally:
        process.stop()


def _wait(process: ManagedProcess, url: str) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while time.monotonic() < deadline:
        if not process.running:
            raise Refused(f"{' '.join(process.command[1:4])} ended at once:\n{process.log_tail()}")
        try:
            httpx.post(url + PATH, content=BODY, timeout=1)
            return
        except httpx.HTTPError:
            time.sleep(0.05)  # a process of its own has no event to wait for
    raise Refused(f"nothing answers at {url} after {START_TIMEOUT_SECONDS} s:\n{process.log_tail()}")

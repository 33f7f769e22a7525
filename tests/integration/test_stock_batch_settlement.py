"""x402's own client, server, channel manager and facilitator over our contract: nothing of ours between them but the
chain. What they sign, send and read is what the contract takes, or this fails."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from eth_account import Account
from fastapi import FastAPI, Response
from gateway_stage import CUSTOMER_USD6, Dollars
from loopback import serving
from x402 import x402Client, x402FacilitatorSync, x402ResourceServer
from x402.http.clients.httpx import x402HttpxClient
from x402.http.middleware.fastapi import payment_middleware, set_settlement_overrides
from x402.http.types import PaymentOption, RouteConfig
from x402.http.utils import decode_payment_response_header
from x402.mechanisms.evm import EthAccountSignerWithRPC, FacilitatorWeb3Signer
from x402.mechanisms.evm.batch_settlement.authorizer_signer import LocalAuthorizerSigner
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme as ClientScheme
from x402.mechanisms.evm.batch_settlement.facilitator import BatchSettlementEvmFacilitator
from x402.mechanisms.evm.batch_settlement.server import (
    BatchSettlementChannelManager,
    BatchSettlementEvmScheme,
    BatchSettlementEvmSchemeServerConfig,
    ChannelManagerConfig,
)
from x402.schemas import AssetAmount

from wellhead.bench.gateway_sides import InProcess
from wellhead.chain import keys, local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.deploy.canonical import SETTLEMENT, ensure_canonical

PRICE_USD6 = 1_000
CHARGE_USD6 = 700
NETWORK = f"eip155:{local.CHAIN_ID}"


class StockStage(NamedTuple):
    """A stock server that charges CHARGE_USD6 of at most PRICE_USD6, and the means to look at what it did."""

    url: str
    rpc_url: str
    usd: Dollars
    settlement: BatchSettlement
    manager: BatchSettlementChannelManager
    pay_to: str

    def client(self) -> tuple[x402HttpxClient, ClientScheme]:
        """The stock client of the customer."""
        signer = EthAccountSignerWithRPC(keys.local_account("customer"), self.rpc_url)
        scheme = ClientScheme(signer)
        wallet = x402Client()
        wallet.register(NETWORK, scheme)
        wallet.set_spend_controls({"allowed_assets": [{"network": NETWORK, "asset": self.usd.address}]})
        return x402HttpxClient(wallet, timeout=30), scheme


@pytest.fixture
def stage(chain: local.LocalChain, usd: Dollars) -> Iterator[StockStage]:
    w3 = chain.connect()
    ensure_canonical(w3)
    receiver = Account.create().address
    signer = FacilitatorWeb3Signer(keys.local_account("facilitator").key.hex(), chain.url)
    facilitator = x402FacilitatorSync()
    facilitator.register([NETWORK], BatchSettlementEvmFacilitator(signer))
    scheme = BatchSettlementEvmScheme(
        receiver,
        BatchSettlementEvmSchemeServerConfig(
            receiver_authorizer_signer=LocalAuthorizerSigner(keys.local_account("treasury"))
        ),
    )
    server = x402ResourceServer(InProcess(facilitator))
    server.register(NETWORK, scheme)
    price = AssetAmount(amount=str(PRICE_USD6), asset=usd.address, extra={"name": "Mock USD", "version": "2"})
    option = PaymentOption(scheme="batch-settlement", pay_to=receiver, price=price, network=NETWORK)
    app = FastAPI()
    pay = payment_middleware({"GET /answer": RouteConfig(accepts=option)}, server)

    @app.middleware("http")
    async def charge(request: Any, call_next: Any) -> Any:
        return await pay(request, call_next)

    @app.get("/answer")
    async def answer(response: Response) -> dict[str, int]:
        set_settlement_overrides(response, {"amount": str(CHARGE_USD6)})
        return {"answer": 42}

    manager = BatchSettlementChannelManager(
        ChannelManagerConfig(
            scheme=scheme,
            facilitator=InProcess(facilitator),
            receiver=receiver,
            token=usd.address,
            network=NETWORK,
        )
    )
    with serving(app) as url:
        yield StockStage(url, chain.url, usd, BatchSettlement(w3, SETTLEMENT.address), manager, receiver)


async def call(http: httpx.AsyncClient, stage: StockStage) -> dict[str, Any]:
    answer = await http.get(f"{stage.url}/answer")
    assert answer.status_code == 200, answer.text
    receipt = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert receipt.success
    return {"transaction": receipt.transaction, **(receipt.extra or {})}


def test_many_calls_are_one_deposit_one_claim_and_one_transfer(stage: StockStage) -> None:
    async def story() -> list[dict[str, Any]]:
        http, _ = stage.client()
        async with http:
            receipts = [await call(http, stage) for _ in range(6)]
        await stage.manager.claim_and_settle()
        return receipts

    blocks = stage.settlement.w3.eth.block_number
    first, *rest = asyncio.run(story())
    assert first["transaction"]
    assert [receipt["transaction"] for receipt in rest] == [""] * 5
    assert stage.usd.of(stage.pay_to) == 6 * CHARGE_USD6
    assert stage.settlement.w3.eth.block_number == blocks + 3
    channel = bytes.fromhex(first["channelState"]["channelId"][2:])
    figures = stage.settlement.figures(channel)
    assert figures.total_claimed == 6 * CHARGE_USD6
    assert stage.usd.of(SETTLEMENT.address) == figures.balance - figures.total_claimed


def test_the_stock_refund_gives_back_what_is_left(stage: StockStage) -> None:
    async def pay() -> ClientScheme:
        http, scheme = stage.client()
        async with http:
            await call(http, stage)
            await call(http, stage)
        return scheme

    scheme = asyncio.run(pay())
    refunded = scheme.refund(f"{stage.url}/answer")
    assert refunded.success
    assert stage.usd.of(keys.local_account("customer").address) == CUSTOMER_USD6 - 2 * CHARGE_USD6
    assert stage.usd.of(SETTLEMENT.address) == 2 * CHARGE_USD6  # claimed with the refund, not settled yet


def test_a_client_that_lost_its_memory_resyncs(stage: StockStage) -> None:
    async def story() -> None:
        http, _ = stage.client()
        async with http:
            await call(http, stage)
            await call(http, stage)
        forgetful, _ = stage.client()
        async with forgetful:
            resumed = await call(forgetful, stage)
        assert resumed["channelState"]["chargedCumulativeAmount"] == str(3 * CHARGE_USD6)

    asyncio.run(story())

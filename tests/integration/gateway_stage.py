"""What a gateway test stands on: dollars, prices, a running gateway with everything around it."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, NamedTuple

import httpx
from eth_account.signers.local import LocalAccount
from standin_upstream import MODEL, StandInUpstream
from web3 import Web3
from web3.contract import Contract
from web3.types import RPCEndpoint
from x402 import x402Client
from x402.http.clients.httpx import x402HttpxClient
from x402.mechanisms.evm import EthAccountSigner, EthAccountSignerWithRPC
from x402.mechanisms.evm.batch_settlement.client import BatchSettlementEvmScheme as ChannelScheme
from x402.mechanisms.evm.batch_settlement.client.config import BatchSettlementEvmSchemeOptions
from x402.mechanisms.evm.exact.client import ExactEvmScheme

from wellhead.chain.transact import Sender
from wellhead.customer.clients import open_purse
from wellhead.customer.purse import Purse
from wellhead.gateway.assembly import Gateway
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.prices import ANY_MODEL, ModelPrice

USD = 10**6
PRICE_USD6 = 1_500
CUSTOMER_USD6 = 10 * USD
REQUEST = {"model": MODEL, "input": "a barrel of compute"}


class Dollars(NamedTuple):
    """MockUSD, driven by the account that has all its roles."""

    contract: Contract
    owner: Sender

    @property
    def address(self) -> str:
        return str(self.contract.address)

    def of(self, account: str) -> int:
        return int(self.contract.functions.balanceOf(account).call())

    def do(self, function: str, *arguments: Any) -> None:
        self.owner.send(self.contract.functions[function](*arguments))

    def payments(self) -> int:
        """EIP-3009 transfers ever carried out."""
        return len(self.contract.events.AuthorizationUsed().get_logs(from_block=0))


class Stage(NamedTuple):
    """A running gateway with everything around it. Dollars are atomic."""

    url: str
    config: GatewayConfig
    gateway: Gateway
    upstream: StandInUpstream
    usd: Dollars
    w3: Web3
    customer: LocalAccount
    pay_to: str

    @property
    def earned_usd6(self) -> int:
        return self.usd.of(self.pay_to)

    def rpc(self, method: str, *parameters: Any) -> Any:
        return self.w3.provider.make_request(RPCEndpoint(method), list(parameters)).get("result")


def flat(price_usd6: int) -> tuple[ModelPrice, ...]:
    """One price per call, whatever is called."""
    return (ModelPrice(id=ANY_MODEL, usd6_per_call=price_usd6),)


OpenStage = Callable[..., AbstractContextManager[Stage]]


def stock_client(stage: Stage) -> x402HttpxClient:
    """x402's own client, told no more than that this token is allowed."""
    wallet = x402Client()
    wallet.register(stage.config.network, ExactEvmScheme(EthAccountSigner(stage.customer)))
    wallet.set_spend_controls(
        {"allowed_assets": [{"network": stage.config.network, "asset": stage.config.asset}]}
    )
    return x402HttpxClient(wallet, timeout=20)


def channel_client(stage: Stage, salt: str | None = None) -> tuple[x402HttpxClient, ChannelScheme]:
    """x402's own client paying by channel; another salt makes another channel."""
    signer = EthAccountSignerWithRPC(stage.customer, stage.config.rpc_url)
    scheme = ChannelScheme(signer, BatchSettlementEvmSchemeOptions(salt=salt))
    wallet = x402Client()
    wallet.register(stage.config.network, scheme)
    wallet.set_spend_controls(
        {"allowed_assets": [{"network": stage.config.network, "asset": stage.config.asset}]}
    )
    return x402HttpxClient(wallet, timeout=20), scheme


def purse(stage: Stage, max_usd6: int = PRICE_USD6, salt: bytes = bytes(32), **bounds: int) -> Purse:
    """The customer's purse, which signs for calls at up to `max_usd6`."""
    return open_purse(stage.customer, stage.config.rpc_url, stage.config.asset, max_usd6, salt=salt, **bounds)


def until(holds: Callable[[], bool]) -> None:
    """Waits for what another thread does with the chain's help; there is no event to wait for."""
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline, "it never came true"
        time.sleep(0.05)


def post(stage: Stage, **options: object) -> httpx.Response:
    """One call by nobody in particular."""
    return httpx.post(f"{stage.url}/v1/embeddings", **{"json": REQUEST, "timeout": 20, **options})  # type: ignore[arg-type]


async def pay(stage: Stage) -> httpx.Response:
    """One call, paid for by a stock client."""
    async with stock_client(stage) as client:
        return await client.post(f"{stage.url}/v1/embeddings", json=REQUEST)

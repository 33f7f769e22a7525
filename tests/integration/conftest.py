"""A chain with dollars on it, a stand-in node, and a gateway between; and a copy of the checkout to build in."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from checkout_copy import copy_checkout
from eth_account import Account
from gateway_stage import CUSTOMER_USD6, PRICE_USD6, Dollars, OpenStage, Stage, flat
from loopback import serving
from standin_upstream import StandInUpstream
from web3.types import RPCEndpoint

from wellhead.chain import artifacts, keys, local
from wellhead.chain.transact import Sender
from wellhead.deploy.canonical import SETTLEMENT, ensure_canonical
from wellhead.gateway.assembly import Gateway
from wellhead.gateway.config import GatewayConfig


@pytest.fixture(scope="session", autouse=True)
def authorities_read_once() -> Iterator[None]:
    """Each HTTP client would read all of the world's authorities, for longer than most calls take; none is needed."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ssl, "create_default_context", cache(ssl.create_default_context))
        yield


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One copy for all, as compiling is what costs."""
    copy = tmp_path_factory.mktemp("checkout")
    copy_checkout(copy)
    return copy


@pytest.fixture(scope="session")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local.LocalChain]:
    with local.running("anvil", log=tmp_path_factory.mktemp("chain") / "anvil.log") as running:
        yield running


@pytest.fixture(scope="session")
def session_usd(chain: local.LocalChain) -> Dollars:
    w3 = chain.connect()
    owner = Sender(w3, keys.local_account("owner"))
    built = artifacts.load("MockUSD")
    factory = w3.eth.contract(abi=built.abi, bytecode=built.bytecode)
    deployed = owner.send(factory.constructor(owner.address))
    usd = Dollars(w3.eth.contract(address=deployed.receipt["contractAddress"], abi=built.abi), owner)
    usd.do("configureMinter", owner.address, 10**15)
    usd.do("mint", keys.local_account("customer").address, CUSTOMER_USD6)
    return usd


@pytest.fixture(scope="session")
def settle_router(chain: local.LocalChain) -> str:
    w3 = chain.connect()
    ensure_canonical(w3)
    built = artifacts.load("SettleRouter")
    factory = w3.eth.contract(abi=built.abi, bytecode=built.bytecode)
    owner = Sender(w3, keys.local_account("owner"))
    return str(owner.send(factory.constructor(SETTLEMENT.address)).receipt["contractAddress"])


@pytest.fixture
def usd(session_usd: Dollars) -> Iterator[Dollars]:
    """Dollars on a chain that every test leaves as it found it."""
    provider = session_usd.contract.w3.provider
    taken = provider.make_request(RPCEndpoint("evm_snapshot"), [])["result"]
    yield session_usd
    assert provider.make_request(RPCEndpoint("evm_revert"), [taken])["result"]


@pytest.fixture
def open_stage(chain: local.LocalChain, settle_router: str, usd: Dollars, tmp_path: Path) -> OpenStage:
    """open_stage(**changes to the gateway's configuration): a context with a running stage."""

    @contextmanager
    def opened(**changes: Any) -> Iterator[Stage]:
        upstream = StandInUpstream()
        pay_to = Account.create().address
        with serving(upstream.app) as upstream_url:
            settings = {
                "upstreams": [upstream_url],
                "rpc_url": chain.url,
                "chain_id": local.CHAIN_ID,
                "asset": usd.address,
                "pay_to": pay_to,
                "settle_router": settle_router,
                "models": flat(PRICE_USD6),
                "ledger_url": f"sqlite:///{tmp_path / 'ledger.db'}",
                **changes,
            }
            config = GatewayConfig(**settings)
            w3 = chain.connect()
            gateway = Gateway(config, keys.local_account("facilitator"), keys.local_account("authorizer"))
            with serving(gateway.app) as url:
                yield Stage(url, config, gateway, upstream, usd, w3, keys.local_account("customer"), pay_to)

    return opened


@pytest.fixture
def stage(open_stage: OpenStage) -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened

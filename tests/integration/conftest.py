"""A chain with dollars on it, a stand-in node, and a gateway between; and a copy of the checkout to build in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from checkout_copy import copy_checkout
from eth_account import Account
from gateway_stage import CUSTOMER_USD6, PRICE_USD6, Dollars, OpenStage, Stage
from loopback import serving
from standin_upstream import StandInUpstream
from web3.types import RPCEndpoint

from wellhead.chain import artifacts, keys, local
from wellhead.chain.transact import Sender
from wellhead.gateway.app import create_app
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.facilitator import Facilitator


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


@pytest.fixture
def usd(session_usd: Dollars) -> Iterator[Dollars]:
    """Dollars on a chain that every test leaves as it found it."""
    provider = session_usd.contract.w3.provider
    taken = provider.make_request(RPCEndpoint("evm_snapshot"), [])["result"]
    yield session_usd
    assert provider.make_request(RPCEndpoint("evm_revert"), [taken])["result"]


@pytest.fixture
def open_stage(chain: local.LocalChain, usd: Dollars) -> OpenStage:
    """open_stage(**changes to the gateway's configuration): a context with a running stage."""

    @contextmanager
    def opened(**changes: Any) -> Iterator[Stage]:
        upstream = StandInUpstream()
        pay_to = Account.create().address
        with serving(upstream.app) as upstream_url:
            settings = {
                "upstream_url": upstream_url,
                "rpc_url": chain.url,
                "chain_id": local.CHAIN_ID,
                "asset": usd.address,
                "pay_to": pay_to,
                "price_usd6": PRICE_USD6,
                **changes,
            }
            config = GatewayConfig(**settings)
            facilitator = Facilitator(config, keys.local_account("facilitator"))
            with serving(create_app(config, facilitator)) as url:
                customer = keys.local_account("customer")
                yield Stage(url, config, upstream, usd, chain.connect(), customer, pay_to)

    return opened


@pytest.fixture
def stage(open_stage: OpenStage) -> Iterator[Stage]:
    with open_stage() as opened:
        yield opened

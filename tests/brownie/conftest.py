"""A node, its dollar and its shares on brownie's own chain; every test between a snapshot and its revert."""

import signal
import sys

import pytest
from brownie import network, rpc
from brownie.network.account import Accounts

from wellhead.chain import keys
from wellhead.reference.quorum import ascending, sign

DAY = 86_400
SHARE = 10**6
USD = 10**6
SUPPLY = 1_000 * SHARE
OPERATOR_CUT_BPS = 1_000
PROTOCOL_CUT_BPS = 250
HOLDERS_BPS = 10_000 - OPERATOR_CUT_BPS - PROTOCOL_CUT_BPS
NOBODY = "0x" + "00" * 20
ATTESTORS = tuple(f"attestor-{number}" for number in range(5))
FAULTY = 1
SIGNERS = 2 * FAULTY + 1
SPEC = (b"H100-SXM-80GB".ljust(16, b"\0"), 8, b"US-TX".ljust(8, b"\0"), 10_200, 9_950, b"\x5e" * 32)

# Brownie ends its chain when it exits, but not when it is told to by a signal.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))


class Cast:
    """The chain's accounts by their roles: cast["holder"]."""

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    def __getitem__(self, role: str) -> object:
        return self._accounts[keys.LOCAL_ROLES.index(role)]


@pytest.fixture(scope="session", autouse=True)
def _own_chain():
    """Brownie takes whatever chain answers at its port, even one that another brownie resets and ends."""
    if network.show_active() == "development" and not rpc.is_child():
        pytest.exit(f"another chain (pid {rpc.process.pid}) has brownie's port: end it, or take --network", 1)


@pytest.fixture(autouse=True)
def _isolated(fn_isolation):
    """Brownie takes its snapshot once the module's contracts are there."""


@pytest.fixture(scope="module")
def cast(accounts):
    return Cast(accounts)


@pytest.fixture(scope="module")
def usd(cast, MockUSD):
    dollar = MockUSD.deploy(cast["owner"], {"from": cast["owner"]})
    dollar.configureMinter(cast["owner"], 10**18, {"from": cast["owner"]})
    for role in ("owner", "customer", "holder", "second-holder"):
        dollar.mint(cast[role], 1_000_000 * USD, {"from": cast["owner"]})
    return dollar


@pytest.fixture(scope="module")
def registry(cast, usd, NodeRegistry):
    attestors = ascending((cast[role].address for role in ATTESTORS), FAULTY)
    return NodeRegistry.deploy(
        *(cast["owner"], cast["guardian"], usd, 0, 7 * DAY, attestors, FAULTY), {"from": cast["owner"]}
    )


@pytest.fixture(scope="module")
def factory(cast, usd, registry, NodeShareFactory):
    return NodeShareFactory.deploy(
        *(cast["owner"], registry, usd, cast["enforcer"], cast["treasury"], PROTOCOL_CUT_BPS),
        {"from": cast["owner"]},
    )


@pytest.fixture(scope="module")
def node(cast, registry):
    """The operator's attested node; its number."""
    number = registry.register(SPEC, "ipfs://spec", {"from": cast["operator"]}).return_value
    signers = [keys.local_account(role) for role in ATTESTORS[:SIGNERS]]
    signatures = sign(bytes(registry.attestationDigest(number)), signers)
    registry.attest(number, signatures, {"from": cast["operator"]})
    return number


@pytest.fixture(scope="module")
def share(cast, factory, node, NodeShare):
    """Live shares of the node, all of them the operator's."""
    terms = ("Node One", "NODE1", DAY, OPERATOR_CUT_BPS, NOBODY, NOBODY, SUPPLY)
    factory.create(node, terms, {"from": cast["operator"]})
    return NodeShare.at(factory.shareOf(node))


@pytest.fixture(scope="module")
def offering(cast, chain, registry, factory, TelemetryOracle, Offering):
    """An Offering that registry and factory know, with an oracle that measures by the hour."""
    reporters = ascending((cast[f"reporter-{number}"].address for number in range(5)), FAULTY)
    oracle = TelemetryOracle.deploy(
        *(chain.time(), 3_600, 1_800, 4_096, cast["owner"], cast["guardian"], reporters, FAULTY),
        {"from": cast["owner"]},
    )
    sale = Offering.deploy(
        *(cast["owner"], cast["guardian"], registry, factory, oracle), {"from": cast["owner"]}
    )
    registry.setMarket(sale, True, {"from": cast["owner"]})
    factory.setIssuer(sale, True, {"from": cast["owner"]})
    return sale


@pytest.fixture(scope="module")
def earn(cast, usd, share):
    """earn(amount): income reaches the share as a customer's plain transfer, and is synced."""

    def earn_usd6(amount):
        usd.transfer(share, amount, {"from": cast["customer"]})
        return share.sync({"from": cast["customer"]})

    return earn_usd6


@pytest.fixture(scope="module")
def pass_time(chain):
    """pass_time(seconds) mines a block that much later. (`chain.mine(timedelta=...)` fails over Anvil.)"""

    def sleep_and_mine(seconds):
        chain.sleep(seconds)
        chain.mine()

    return sleep_and_mine

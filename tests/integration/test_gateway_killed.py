"""A gateway that is killed again and again while customers call it: after every death the books are right to the unit.

Its process is real and dies by SIGKILL. What was served is what the node behind it has answered; what was paid is
what customers hold receipts for. Between the two lie the calls that a kill has cut off: any of them may have been
charged, once.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from eth_account import Account
from eth_typing import Hash32
from gateway_stage import USD, Dollars
from killed_customers import PRICES, Customer, Spell, price
from loopback import serving
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError
from standin_upstream import StandInUpstream
from warm_gateway import WarmGateway

from wellhead.chain import keys, local
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.database import open_database
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.gateway.assembly import open_settler
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.figures import read_figures
from wellhead.gateway.channels.ledger import Ledger, UnknownChannelError
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.price_file import read_prices
from wellhead.reference import channel as twin
from wellhead.reference.channel import ChannelConfig

FUNDS_USD6 = 10_000 * USD
PURSES, STOCK_CLIENTS = 3, 2
STARTING, SERVING, DEPOSITING, CLAIMING = "starting", "serving", "depositing", "claiming"
KILLS = {STARTING: 9, SERVING: 21, DEPOSITING: 12, CLAIMING: 8}
# The same code but for the ledger's, which a shared database only makes slower.
SHARED_KILLS = {SERVING: 3, DEPOSITING: 1, CLAIMING: 1}
# What was begun at the moment that a kill waits for is over at the latest after so many seconds, or nearly.
AT_MOST_SECONDS = {STARTING: 0.3, SERVING: 0.02, DEPOSITING: 0.1, CLAIMING: 0.1}
MOST_CALLS = 30
PATIENCE_SECONDS = 20
DOMAIN = twin.settlement_domain(local.CHAIN_ID, SETTLEMENT.address)


class World(NamedTuple):
    """All that outlives the gateway."""

    chain: local.LocalChain
    usd: Dollars
    pay_to: str
    router: str
    ledger_url: str
    upstream: StandInUpstream
    customers: list[Customer]
    tally: Counter[str]

    def served(self) -> dict[str, int]:
        """What the node has answered, and what that costs."""
        return {wanted["user"]: price(wanted) for wanted in self.upstream.answered}

    def channel(self, customer: Customer) -> tuple[bytes, ChannelConfig]:
        """The customer's channel, as both sides make it by themselves."""
        config = ChannelConfig(
            payer=customer.account.address,
            payer_authorizer=customer.account.address,
            receiver=self.pay_to,
            receiver_authorizer=keys.local_account("authorizer").address,
            token=self.usd.address,
            withdraw_delay=GatewayConfig.model_fields["withdraw_delay_seconds"].default,
            salt=bytes(32),
        )
        return twin.channel_id(DOMAIN, config), config


@pytest.fixture
def world(
    chain: local.LocalChain,
    settle_router: str,
    usd: Dollars,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> World:
    customers = [
        Customer(number, chain, usd.address, stock=number >= PURSES)
        for number in range(PURSES + STOCK_CLIENTS)
    ]
    for customer in customers:
        usd.do("mint", customer.account.address, FUNDS_USD6)
    shared = request.param == "postgresql"
    url = request.getfixturevalue("postgres_url") if shared else f"sqlite:///{tmp_path / 'ledger.db'}"
    pay_to = Account.create().address
    return World(chain, usd, pay_to, settle_router, url, StandInUpstream(), customers, Counter())


@pytest.mark.parametrize(
    ("world", "kills"), [("sqlite", KILLS), ("postgresql", SHARED_KILLS)], indirect=["world"]
)
def test_sigkill_at_random_points_under_load(world: World, kills: dict[str, int], tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    moments = [moment for moment, times in kills.items() for _ in range(times)]
    source.shuffle(moments)
    assert len(moments) == sum(kills.values())
    prices = tmp_path / "prices.toml"
    prices.write_text(PRICES)
    warm = WarmGateway(tmp_path / "gateway.log")

    async def story(upstream_url: str) -> None:
        config = {
            "upstreams": [upstream_url],
            "rpc_url": world.chain.url,
            "chain_id": local.CHAIN_ID,
            "asset": world.usd.address,
            "pay_to": world.pay_to,
            "settle_router": world.router,
            "models": [model.model_dump() for model in read_prices(prices)],
            "ledger_url": world.ledger_url,
            "port": 0,
        }
        try:
            async with httpx.AsyncClient() as passer_by:
                for moment in moments:
                    await live_and_die(world, warm, config, passer_by, moment, source)
                    await asyncio.to_thread(reconcile, world)
        finally:
            await warm.close()
            for customer in world.customers:
                await customer.http.aclose()

    began = time.monotonic()
    with serving(world.upstream.app) as upstream_url:
        asyncio.run(story(upstream_url))
    print(f"{dict(world.tally)}, {time.monotonic() - began:.1f} s")
    claim_everything(world)
    for what in ("calls", "charges", "deposits", "claims") if kills == KILLS else ("calls",):
        assert world.tally[f"{what} cut off"] > 0, f"no {what} were cut off: the kills come at the wrong time"


async def live_and_die(
    world: World,
    warm: WarmGateway,
    config: dict[str, Any],
    passer_by: httpx.AsyncClient,
    moment: str,
    source: random.Random,
) -> None:
    """A gateway, and customers that call it until it is killed shortly after `moment`."""
    spell, last = Spell(source.randint(1, MOST_CALLS)), newest_batch(world.ledger_url)
    loop = asyncio.get_running_loop()
    purses = [customer.purse for customer in world.customers if customer.purse is not None]
    for purse in purses:
        purse.on_deposit = lambda: loop.call_soon_threadsafe(spell.depositing.set)

    async def open_doors() -> None:
        spell.url = await warm.url()
        while (await passer_by.get(f"{spell.url}/healthz")).status_code != 200:  # it looks at the chain first
            await asyncio.sleep(0.01)
        for customer in world.customers:
            for _ in range(customer.at_once):
                tasks.create_task(customer.call_on(spell))

    await warm.start(config)
    async with asyncio.timeout(2 * PATIENCE_SECONDS), asyncio.TaskGroup() as tasks:
        opening = tasks.create_task(open_doors())
        if moment != STARTING:
            await opening
        if moment == SERVING:
            await spell.enough.wait()
        elif moment == DEPOSITING:
            await spell.depositing.wait()
        elif moment == CLAIMING:
            await asyncio.to_thread(await_claim, world.ledger_url, last)
        await asyncio.sleep(source.uniform(0, AT_MOST_SECONDS[moment]))
        opening.cancel()
        await asyncio.wait([opening])
        spell.over.set()
        world.tally["kills"] += 1
        world.tally["deposits cut off"] += any(purse.deposits_under_way for purse in purses)
        await warm.kill()


def await_claim(ledger_url: str, last: int) -> None:
    """Until the settler has written down a batch after `last`."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while newest_batch(ledger_url) == last:
        assert time.monotonic() < deadline, "nothing was claimed"
        time.sleep(0.005)


def newest_batch(ledger_url: str) -> int:
    return int(ask(ledger_url, "SELECT max(entry_id) FROM outbox_entries") or 0)


def ask(ledger_url: str, query: str) -> Any:
    """What the database says; None if the gateway did not come to make its tables."""
    engine = open_database(ledger_url)
    try:
        with engine.begin() as connection:
            return connection.execute(text(query)).scalar()
    except (OperationalError, ProgrammingError):
        return None
    finally:
        engine.dispose()


# Reconciling ------------------------------------------------------------------------------------------------


def reconcile(world: World) -> None:
    """What everybody knows after a kill, compared."""
    served = world.served()
    channels = [world.channel(customer)[0] for customer in world.customers]
    figures = read_figures(BatchSettlement(world.chain.connect(), SETTLEMENT.address), channels)
    ledger = Ledger(world.ledger_url)
    for customer in world.customers:
        channel_id, config = world.channel(customer)
        try:
            account = ledger.account(channel_id)
        except UnknownChannelError:
            account = ChannelAccount(config)
        mine = {call: cost for call, cost in served.items() if call.startswith(f"{customer.name}/")}
        receipts = customer.receipts
        assert receipts.items() <= mine.items(), "a receipt over what was not served, or at another price"
        assert sum(receipts.values()) <= account.charged <= sum(mine.values())
        # To the unit: since the last kill, what there are receipts for, and any of the calls that were cut off.
        fresh = mine.keys() - customer.known
        paid = sum(receipts[call] for call in fresh & receipts.keys())
        cut_off = [mine[call] for call in fresh - receipts.keys()]
        assert account.charged - customer.charged - paid in sums(cut_off), "charged twice, or unserved"
        world.tally["calls paid"] += len(fresh & receipts.keys())
        world.tally["calls cut off"] += len(cut_off)
        world.tally["charges cut off"] += account.charged > customer.charged + paid
        customer.charged, customer.known = account.charged, frozenset(mine)
        # Claimable: covered by a voucher of the customer's own and by money on the chain.
        assert account.charged <= figures[channel_id].balance
        assert figures[channel_id].total_claimed <= account.charged <= account.signed_ceiling
        if account.charged:
            digest = Hash32(twin.voucher_digest(DOMAIN, channel_id, account.signed_ceiling))
            signature = bytes(customer.account.unsafe_sign_hash(digest).signature)  # RFC 6979: the only one
            assert account.signature == signature
    ledger.close()
    world.tally["claims cut off"] += bool(
        ask(world.ledger_url, "SELECT count(*) FROM outbox_entries WHERE state = 'open'")
    )
    # For the next gateway and settler, a minute later.
    ask(world.ledger_url, "UPDATE settler_lease SET expires_at = 0 RETURNING 1")
    ask(world.ledger_url, "UPDATE admissions SET expires_at = 0 RETURNING 1")


def sums(parts: list[int]) -> set[int]:
    """Of every selection of `parts`."""
    found = {0}
    for part in parts:
        found |= {part + other for other in found}
    return found


def claim_everything(world: World) -> None:
    """What is in the books comes to its receiver, once."""
    ledger = Ledger(world.ledger_url)
    settler = open_settler(
        *(world.chain.connect(), world.router, keys.local_account("authorizer"), ledger, world.ledger_url)
    )
    charged = sum(customer.charged for customer in world.customers)
    for _ in range(2):
        settler.settle_now(PATIENCE_SECONDS)
        assert world.usd.of(world.pay_to) == charged
    assert ledger.claimable() == []
    settler.stop()
    ledger.close()

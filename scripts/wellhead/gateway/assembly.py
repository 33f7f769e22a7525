"""A gateway put together from its configuration and two keys."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

from eth_account.signers.local import LocalAccount
from starlette.applications import Starlette
from starlette.types import ASGIApp
from web3 import Web3

from wellhead.chain import local
from wellhead.chain.connection import connect
from wellhead.chain.contracts.compute_pool import ComputePool
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.database import parse_url
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.gateway.app import Counter, create_app
from wellhead.gateway.chain_clock import ChainClock
from wellhead.gateway.channels.books import Books, SharedBooks, SoleBooks
from wellhead.gateway.channels.chain import ChannelChain
from wellhead.gateway.channels.desk import ChannelDesk
from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.gateway.channels.watch import ChannelWatch
from wellhead.gateway.claims.policy import ClaimPolicy
from wellhead.gateway.claims.settler import DEFAULT_CLAIM_POLICY, Settler, SettlerStatus
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.exact_desk import ExactDesk
from wellhead.gateway.facilitator import Facilitator
from wellhead.gateway.meters import Meters
from wellhead.gateway.offer import offer_page
from wellhead.gateway.pool.receipts import PoolReceipts
from wellhead.gateway.streaming import Billed
from wellhead.gateway.terms import Terms
from wellhead.gateway.till import Till
from wellhead.gateway.upstreams import Upstreams


class Gateway:
    """All parts of one gateway. Its `app` starts and stops them."""

    def __init__(
        self, config: GatewayConfig, facilitator_account: LocalAccount, authorizer: LocalAccount
    ) -> None:
        """`facilitator_account` pays the gas of payments; `authorizer` signs for the receiver and pays the gas of
        claims. Neither key may be used for anything else meanwhile. Raises Misused or Refused when chain or token are
        not what `config` says."""
        facilitator = Facilitator(config, facilitator_account)
        w3 = connect(config.rpc_url, timeout_seconds=30)
        self.terms = Terms(config, facilitator.domain, authorizer.address)
        self._ledger, self.books = _open_books(config)
        clock = ChainClock()
        self._pool: PoolReceipts | None = None
        if config.members:
            self._pool = PoolReceipts(config, ComputePool(w3, config.pay_to), authorizer, clock)
        self._watch = ChannelWatch(w3, SETTLEMENT.address, self.books, config.withdraw_delay_seconds, clock)
        chain = ChannelChain(SETTLEMENT.address, facilitator, authorizer, self._watch)
        desk = ChannelDesk(self.terms, self.books, chain)
        self._refunds = desk.refunds
        till = Till(desk, ExactDesk(self.terms, facilitator))
        claiming = ClaimPolicy(
            min_value_usd6=config.claim_value_usd6,
            max_age_seconds=config.claim_age_seconds,
            min_channel_usd6=config.claim_channel_usd6,
        )
        self._settler = open_settler(
            *(w3, config.settle_router, authorizer, self._ledger, config.ledger_url), claiming
        )
        self._upstreams = Upstreams(
            [str(url) for url in config.upstreams], config.upstream_timeout_seconds, config.members
        )
        self.meters = Meters()
        self._asking = asyncio.Lock()
        self._claims_known: SettlerStatus | None = None
        self._claims_until = 0.0
        billed: Billed = self._pool.billed.add if self._pool else _pays_no_pool
        counter = Counter(self.terms, till, self._upstreams, self.meters, billed)
        offer = offer_page(self.terms)
        self.app: ASGIApp = create_app(
            counter,
            offer,
            self.meters,
            self.status,
            lambda: not self._watch.is_blind(),
            self._running,
            self.receipts if self._pool else None,
        )

    async def status(self) -> dict[str, Any]:
        """How the gateway stands now. Amounts are atomic units."""
        claims = await self._claims()
        return {
            "status": "chain lost" if self._watch.is_blind() else "ok",
            "channels_to_claim": claims.channels,
            "unclaimed_usd6": claims.unclaimed_usd6,
            "unclaimable_usd6": claims.unclaimable_usd6,
            "oldest_unclaimed_seconds": round(claims.oldest_age_seconds),
            "next_claim_at": claims.next_claim_at and round(claims.next_claim_at),
            "claim_under_way": claims.under_way and claims.under_way.transaction,
            "claim_problem": claims.problem,
            "settles": claims.settles,
            "nodes": [
                {"url": node.url, "under_way": node.under_way, "failures": node.failures}
                for node in self._upstreams.nodes
            ],
        }

    async def _claims(self) -> SettlerStatus:
        """Where claiming stands. Anyone may ask, and with many channels it takes a second: so it is told again for
        twenty times as long as it took."""
        async with self._asking:
            now = time.monotonic()
            if self._claims_known is None or now >= self._claims_until:
                self._claims_known = await asyncio.to_thread(self._settler.status)
                self._claims_until = time.monotonic() + 20 * (time.monotonic() - now)
                self.meters.unclaimed_usd6 = self._claims_known.unclaimed_usd6
                self.meters.unclaimable_usd6 = self._claims_known.unclaimable_usd6
            return self._claims_known

    async def receipts(self) -> dict[str, Any]:
        """What a pool's gateway signs for the period that ended last."""
        assert self._pool is not None
        return await asyncio.to_thread(self._pool.page)

    @asynccontextmanager
    async def _running(self, _: Starlette) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:  # each end is reached, whatever another one raises
            stack.push_async_callback(self.books.close)
            stack.callback(self._upstreams.close)
            await self._watch.try_look()  # until then nobody is served by channel
            stack.callback(asyncio.create_task(self._watch.run()).cancel)
            stack.callback(asyncio.create_task(self._refunds.run()).cancel)
            if self._pool:
                stack.push_async_callback(asyncio.to_thread, self._pool.billed.close)
                stack.callback(asyncio.create_task(self._pool.billed.run()).cancel)
            self._settler.start()
            stack.push_async_callback(asyncio.to_thread, self._settler.stop)
            yield


def _pays_no_pool(_member: int, _units: int) -> None:
    """A node's whole income is its own: nobody asks whose work it was."""


def open_settler(
    w3: Web3,
    router: str,
    authorizer: LocalAccount,
    ledger: Ledger | SoleLedger,
    ledger_url: str,
    claiming: ClaimPolicy = DEFAULT_CLAIM_POLICY,
) -> Settler:
    """A settler whose authorizer pays the gas of its claims. Raises Refused when there is no router."""
    sending = SendingPolicy()
    if local.is_local(w3):
        # It answers at once, and makes a block per transaction: a second confirmation may never come.
        claiming = replace(claiming, look_seconds=0.5)
        sending = SendingPolicy(confirmations=1, poll_seconds=0.1)
    return Settler(
        *(w3, router, authorizer, authorizer, ledger, ledger_url),
        claiming=claiming,
        sending=sending,
        clock=ledger.clock,
    )


def _open_books(config: GatewayConfig) -> tuple[Ledger | SoleLedger, Books]:
    url = parse_url(config.ledger_url)
    ledger = Ledger(config.ledger_url)
    if url.get_backend_name() != "sqlite":
        return ledger, SharedBooks(ledger)
    sole = SoleLedger(ledger)
    return sole, SoleBooks(sole)

"""The books of channels as the gateway's event loop uses them, over either kind of ledger."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import ParamSpec, Protocol, TypeVar

from wellhead.database import CONNECTIONS
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.ledger import Admission, Claimable, Hold, Ledger
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.reference.channel import ChannelConfig, ChannelFigures

# What a gateway that died had reserved is free after so long; a living one renews it well before. The clocks of
# machines that share a ledger must agree to a few seconds.
RESERVED_SECONDS, RENEW_SECONDS = 30.0, 8.0
_log = logging.getLogger(__name__)

P = ParamSpec("P")
Answer = TypeVar("Answer")


class Books(Protocol):
    """Admit, then charge or release. Errors are the ledgers': UnknownChannelError, AdmissionError."""

    async def account(self, channel_id: bytes) -> ChannelAccount:
        """The channel as it stands."""

    async def admit(
        self, channel_id: bytes, ceiling: int, signature: bytes, price: int, *, concurrent: bool
    ) -> Admission:
        """Reserve `price` for a call."""

    async def hold(self, channel_id: bytes, ceiling: int) -> Hold:
        """Shut the channel for a refund, until the chain's refund nonce moves."""

    async def lift(self, hold: Hold) -> None:
        """The refund was neither sent nor shown to anybody."""

    async def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        """The call was served; the charge is durable when this returns."""

    async def release(self, admitted: Admission) -> None:
        """The call was not served."""

    async def seen(
        self, channel_id: bytes, config: ChannelConfig, figures: ChannelFigures, before: ChannelFigures
    ) -> ChannelAccount:
        """Take over the chain's figures, read after the books had `before`; the channel as it stands then."""

    async def claimable(self) -> list[Claimable]:
        """Every channel with something to claim."""

    async def close(self) -> None:
        """Nobody uses them any more; the ledger is closed with them."""


class SoleBooks:
    """Books in memory. Only what must be durable is waited for."""

    def __init__(self, ledger: SoleLedger) -> None:
        self._ledger = ledger
        self._written: tuple[Future[None], asyncio.Future[None]] | None = None

    async def account(self, channel_id: bytes) -> ChannelAccount:
        return self._ledger.account(channel_id)

    async def admit(
        self, channel_id: bytes, ceiling: int, signature: bytes, price: int, *, concurrent: bool
    ) -> Admission:
        return self._ledger.admit(channel_id, ceiling, signature, price, concurrent=concurrent)

    async def hold(self, channel_id: bytes, ceiling: int) -> Hold:
        return await asyncio.to_thread(self._ledger.hold, channel_id, ceiling)

    async def lift(self, hold: Hold) -> None:
        await asyncio.to_thread(self._ledger.lift, hold)

    async def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        charged = self._ledger.charge(admitted, cost)
        if self._written is None or self._written[0] is not charged.written:
            # All who wait for the same write share one way back from its thread.
            self._written = charged.written, asyncio.wrap_future(charged.written)
        await asyncio.shield(self._written[1])  # the write goes on if the waiting is cancelled
        return charged.account

    async def release(self, admitted: Admission) -> None:
        self._ledger.release(admitted)

    async def seen(
        self, channel_id: bytes, config: ChannelConfig, figures: ChannelFigures, before: ChannelFigures
    ) -> ChannelAccount:
        return await asyncio.to_thread(self._ledger.seen, channel_id, config, figures, before)

    async def claimable(self) -> list[Claimable]:
        return await asyncio.to_thread(self._ledger.claimable)

    async def close(self) -> None:
        await asyncio.to_thread(self._ledger.close)


class SharedBooks:
    """Books in a database that several gateways share: every step is a transaction, in a thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        # As many as there are connections: nobody waits for one, nor for threads that wait for the chain.
        self._threads = ThreadPoolExecutor(CONNECTIONS, thread_name_prefix="ledger")
        # Calls under way. What is in none of these hands, as after a cancelled step, is left to expire.
        self._admitted: set[str] = set()
        self._closed = threading.Event()
        self._renewing = threading.Thread(target=self._renew_on, name="reservations", daemon=True)
        self._renewing.start()

    async def account(self, channel_id: bytes) -> ChannelAccount:
        return await self._in_thread(self._ledger.account, channel_id)

    async def admit(
        self, channel_id: bytes, ceiling: int, signature: bytes, price: int, *, concurrent: bool
    ) -> Admission:
        admitted = await self._in_thread(
            self._ledger.admit,
            *(channel_id, ceiling, signature, price, RESERVED_SECONDS),
            concurrent=concurrent,
        )
        self._admitted.add(admitted.admission_id)
        return admitted

    async def hold(self, channel_id: bytes, ceiling: int) -> Hold:
        return await self._in_thread(self._ledger.hold, channel_id, ceiling)

    async def lift(self, hold: Hold) -> None:
        await self._in_thread(self._ledger.lift, hold)

    async def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        self._admitted.discard(admitted.admission_id)
        return await self._in_thread(self._ledger.charge, admitted, cost)

    async def release(self, admitted: Admission) -> None:
        self._admitted.discard(admitted.admission_id)
        await self._in_thread(self._ledger.release, admitted)

    async def seen(
        self, channel_id: bytes, config: ChannelConfig, figures: ChannelFigures, before: ChannelFigures
    ) -> ChannelAccount:
        return await self._in_thread(self._ledger.seen, channel_id, config, figures, before)

    async def claimable(self) -> list[Claimable]:
        return await self._in_thread(self._ledger.claimable)

    async def close(self) -> None:
        self._closed.set()
        self._threads.shutdown(wait=False)
        await asyncio.to_thread(self._renewing.join)
        await asyncio.to_thread(self._ledger.close)

    def _renew_on(self) -> None:
        while not self._closed.wait(RENEW_SECONDS):
            try:
                self._ledger.renew(self._admitted.copy(), RESERVED_SECONDS)
            except Exception as error:  # whatever ails the database: the next time may be in time
                _log.warning("reservations are not renewed: %s", type(error).__name__)

    async def _in_thread(self, step: Callable[P, Answer], *arguments: P.args, **options: P.kwargs) -> Answer:
        return await asyncio.get_running_loop().run_in_executor(
            self._threads, partial(step, *arguments, **options)
        )

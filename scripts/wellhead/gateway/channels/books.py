"""The books of channels as the gateway's event loop uses them, over either kind of ledger."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from threading import get_ident
from typing import NamedTuple, ParamSpec, Protocol, TypeVar

from wellhead.database import CONNECTIONS
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.ledger import Admission, Claimable, Hold, Ledger, OpenRefund
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.gateway.channels.step_queue import THREADS, StepQueue
from wellhead.gateway.channels.steps import Admit, Charge, Release
from wellhead.reference.channel import ChannelConfig, ChannelFigures

# What a gateway that died had reserved is free after so long, by the database's clock; a living one renews it well
# before.
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

    async def hold(self, channel_id: bytes, ceiling: int, asked: int | None) -> Hold:
        """Shut the channel for a refund, until the chain's refund nonce moves."""

    async def lift(self, hold: Hold) -> None:
        """The refund was neither sent nor shown to anybody."""

    async def refunds(self) -> list[OpenRefund]:
        """What channels are shut for."""

    async def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        """The call was served; the charge is durable when this returns, and made though its caller is cancelled."""

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


class Waiters(NamedTuple):
    """Who of the event loop waits for the same write."""

    written: Future[None]
    futures: list[asyncio.Future[None]]


class SoleBooks:
    """Books in memory. Only what must be durable is waited for."""

    def __init__(self, ledger: SoleLedger) -> None:
        self._ledger = ledger
        self._waiters: Waiters | None = None

    async def account(self, channel_id: bytes) -> ChannelAccount:
        return self._ledger.account(channel_id)

    async def admit(
        self, channel_id: bytes, ceiling: int, signature: bytes, price: int, *, concurrent: bool
    ) -> Admission:
        return self._ledger.admit(channel_id, ceiling, signature, price, concurrent=concurrent)

    async def hold(self, channel_id: bytes, ceiling: int, asked: int | None) -> Hold:
        return await asyncio.to_thread(self._ledger.hold, channel_id, ceiling, asked)

    async def lift(self, hold: Hold) -> None:
        await asyncio.to_thread(self._ledger.lift, hold)

    async def refunds(self) -> list[OpenRefund]:
        return await asyncio.to_thread(self._ledger.refunds)

    async def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        charged = self._ledger.charge(admitted, cost)
        loop = asyncio.get_running_loop()
        if self._waiters is None or self._waiters.written is not charged.written:
            self._waiters = Waiters(charged.written, [])
            charged.written.add_done_callback(partial(_tell, loop, get_ident(), self._waiters.futures))
            loop.call_soon(self._ledger.commit)  # whoever is charged in this turn of the loop joins
        waiter = loop.create_future()  # of its own: the write goes on if the waiting is cancelled
        self._waiters.futures.append(waiter)
        await waiter
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


def _tell(
    loop: asyncio.AbstractEventLoop,
    loop_thread: int,
    waiting: list[asyncio.Future[None]],
    written: Future[None],
) -> None:
    """In whichever thread it was written."""
    if get_ident() != loop_thread:
        loop.call_soon_threadsafe(_tell, loop, loop_thread, waiting, written)
        return
    error = written.exception()
    for waiter in waiting:
        if waiter.cancelled():
            continue
        if error is None:
            waiter.set_result(None)
        else:
            waiter.set_exception(error)


class SharedBooks:
    """Books in a database that several gateways share. What calls do there waits in a queue; every other step is a
    transaction, in a thread."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._steps = StepQueue(ledger)
        # With those of the queue as many as there are connections: nobody waits for one, nor for threads that wait for
        # the chain.
        self._threads = ThreadPoolExecutor(CONNECTIONS - THREADS, thread_name_prefix="ledger")
        # Calls under way. What is in none of these hands, as after a step that failed, is left to expire.
        self._admitted: set[str] = set()
        self._closed = threading.Event()
        self._renewing = threading.Thread(target=self._renew_on, name="reservations", daemon=True)
        self._renewing.start()

    async def account(self, channel_id: bytes) -> ChannelAccount:
        return await self._in_thread(self._ledger.account, channel_id)

    async def admit(
        self, channel_id: bytes, ceiling: int, signature: bytes, price: int, *, concurrent: bool
    ) -> Admission:
        step = Admit(channel_id, ceiling, signature, price, RESERVED_SECONDS, concurrent)
        admitting = self._steps.put(step)
        try:
            admitted: Admission = await asyncio.shield(admitting)
        except asyncio.CancelledError:
            admitting.add_done_callback(self._give_back)
            raise
        self._admitted.add(admitted.admission_id)
        return admitted

    async def hold(self, channel_id: bytes, ceiling: int, asked: int | None) -> Hold:
        return await self._in_thread(self._ledger.hold, channel_id, ceiling, asked)

    async def lift(self, hold: Hold) -> None:
        await self._in_thread(self._ledger.lift, hold)

    async def refunds(self) -> list[OpenRefund]:
        return await self._in_thread(self._ledger.refunds)

    async def charge(self, admitted: Admission, cost: int) -> ChannelAccount:
        self._admitted.discard(admitted.admission_id)
        # Begun or not, it is done though the waiting is cancelled.
        charged: ChannelAccount = await asyncio.shield(self._steps.put(Charge(admitted, cost)))
        return charged

    async def release(self, admitted: Admission) -> None:
        self._admitted.discard(admitted.admission_id)
        await asyncio.shield(self._steps.put(Release(admitted)))

    async def seen(
        self, channel_id: bytes, config: ChannelConfig, figures: ChannelFigures, before: ChannelFigures
    ) -> ChannelAccount:
        return await self._in_thread(self._ledger.seen, channel_id, config, figures, before)

    async def claimable(self) -> list[Claimable]:
        return await self._in_thread(self._ledger.claimable)

    async def close(self) -> None:
        self._closed.set()
        await self._steps.close()
        self._threads.shutdown(wait=False)
        await asyncio.to_thread(self._renewing.join)
        await asyncio.to_thread(self._ledger.close)

    def _give_back(self, admitting: asyncio.Future[Admission]) -> None:
        """What was reserved for a caller that has gone."""
        if admitting.exception() is None:
            self._steps.put(Release(admitting.result())).add_done_callback(asyncio.Future.exception)

    def _renew_on(self) -> None:
        while not self._closed.wait(RENEW_SECONDS):
            try:
                self._ledger.renew(self._admitted.copy(), RESERVED_SECONDS)
            except Exception as error:  # whatever ails the database: the next time may be in time
                _log.warning("reservations are not renewed: %s", type(error).__name__)

    def _in_thread(
        self, step: Callable[P, Answer], *arguments: P.args, **options: P.kwargs
    ) -> asyncio.Future[Answer]:
        return asyncio.get_running_loop().run_in_executor(self._threads, partial(step, *arguments, **options))

"""The ledger of a gateway that is alone on its database: figures in memory, charges on disk before they count.

No other process writes here, so the rules are applied to what is in memory, at the speed of memory. Whoever charged
waits for `commit`, which writes everything that waits in one transaction: at once while the disk is quick, as handing
it to another thread and back takes longer than such a disk does; in a thread of its own otherwise. A crash forgets
reservations, which is what they are for, and charges that nobody was told of; what is held for a refund it keeps.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from itertools import count
from typing import NamedTuple

from msgspec.structs import replace

from wellhead.gateway.channels.book import NEVER, NOTHING, ChannelAccount
from wellhead.gateway.channels.book_writer import Change
from wellhead.gateway.channels.ledger import (
    Admission,
    Claimable,
    Hold,
    Ledger,
    OpenRefund,
    UnknownChannelError,
)
from wellhead.reference.channel import ChannelConfig, ChannelFigures

# A commit that takes no longer may hold up the event loop; a usual one takes a tenth of it.
QUICK_SECONDS = 0.002


class Charged(NamedTuple):
    """A charge in memory, for `commit`; durable once `written` is done, taken back if that holds an error. All that is
    written at once shares one `written`."""

    account: ChannelAccount
    written: Future[None]


class Waiting(NamedTuple):
    """A channel that somebody waits for to be on disk, and what it was charged for that."""

    channel_id: bytes
    cost: int


class SoleLedger:
    """`Ledger`'s steps for one process, from any of its threads. Close it: what waits is written first."""

    def __init__(self, ledger: Ledger) -> None:
        """Takes `ledger` over; nothing else may write to it."""
        self._ledger = ledger
        ledger.drop_admissions()
        self._accounts: dict[bytes, ChannelAccount] = {}
        self._stored: dict[bytes, ChannelAccount] = {}
        self._admitted: set[str] = set()
        self._ids = count()
        self._changed: set[bytes] = set()
        self._unwritten: set[bytes] = set()
        self._waiting: list[Waiting] = []
        self._written: Future[None] = Future()
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._is_asked = self._closed = False
        self._writing = threading.Lock()  # taken before the other one
        self._took_seconds = 0.0  # by the last commit
        self._writer = threading.Thread(target=self._write_on, name="ledger", daemon=True)
        self._writer.start()

    @property
    def clock(self) -> Callable[[], float]:
        """As `Ledger.clock`."""
        return self._ledger.clock

    def close(self) -> None:
        """Write what waits, and stop."""
        with self._work:
            self._closed = True
            self._work.notify()
        self._writer.join()
        self._ledger.close()

    # Calls ------------------------------------------------------------------------------------------

    def admit(
        self, channel_id: bytes, ceiling: int, signature: bytes, price: int, *, concurrent: bool = False
    ) -> Admission:
        """Reserve `price`. Raises UnknownChannelError, or AdmissionError as the channel's rules do."""
        with self._lock:
            account = self._account(channel_id).admit(ceiling, signature, price, concurrent=concurrent)
            return self._begin(channel_id, account, price)

    def charge(self, admitted: Admission, cost: int) -> Charged:
        """The call was served and cost `cost`. Raises UnknownChannelError for one that has ended already."""
        with self._lock:
            self._end(admitted)
            account = self._account(admitted.channel_id).charge(admitted.price, cost)
            return Charged(account, self._keep(account, Waiting(admitted.channel_id, cost)))

    def commit(self) -> None:
        """Have everything written that waits for it: before this returns, unless the disk is slow or in use."""
        if self._took_seconds < QUICK_SECONDS and self._writing.acquire(blocking=False):
            try:
                if self._ledger.writer.has_turn():
                    self._write_all()
                    return
            finally:
                self._writing.release()
        with self._work:
            self._ask()

    def release(self, admitted: Admission) -> None:
        """The call was not served. Harmless if it has ended already."""
        with self._lock:
            if admitted.admission_id in self._admitted:
                self._admitted.remove(admitted.admission_id)
                account = self._account(admitted.channel_id)
                self._accounts[admitted.channel_id] = account.release(admitted.price)

    # Refunds ----------------------------------------------------------------------------------------

    def hold(self, channel_id: bytes, ceiling: int, asked: int | None = None) -> Hold:
        """Shut the channel for a refund, as `Ledger.hold` does; durable when this returns. Raises as `admit` does."""
        with self._lock:
            account = self._account(channel_id)
            held = account.hold(ceiling)
            self._accounts[channel_id] = held
        try:
            return self._ledger.keep_hold(channel_id, held, asked, again=account.is_refunding)
        except Exception:
            self._set_refunding(channel_id, account.refunding)
            raise

    def lift(self, hold: Hold) -> bool:
        """The refund was not sent, as `Ledger.lift` has it."""
        lifted = self._ledger.lift(hold)
        if lifted:
            self._set_refunding(hold.channel_id, NEVER)
        return lifted

    def refunds(self) -> list[OpenRefund]:
        """What channels are shut for."""
        return self._ledger.refunds()

    def _set_refunding(self, channel_id: bytes, refunding: int) -> None:
        with self._lock:
            self._accounts[channel_id] = replace(self._account(channel_id), refunding=refunding)

    # The chain --------------------------------------------------------------------------------------

    def seen(
        self,
        channel_id: bytes,
        config: ChannelConfig,
        figures: ChannelFigures,
        before: ChannelFigures = NOTHING,
    ) -> ChannelAccount:
        """Take over the chain's figures, as `Ledger.seen` does; durable when this returns."""
        with self._work:
            try:
                account = self._account(channel_id)
            except UnknownChannelError:
                account = ChannelAccount(config)
            known = account.seen(figures, before)
            if known is account:
                return known
            written = self._keep(known, Waiting(channel_id, 0))
            self._ask()
        written.result()
        return known

    # Reading ----------------------------------------------------------------------------------------

    def account(self, channel_id: bytes) -> ChannelAccount:
        """The channel as it stands. Raises UnknownChannelError."""
        with self._lock:
            return self._account(channel_id)

    def claimable(self) -> list[Claimable]:
        """Every channel with something to claim, as it is on disk: what is not durable is not claimed."""
        return self._ledger.claimable()

    # Inside: the lock is held -----------------------------------------------------------------------

    def _account(self, channel_id: bytes) -> ChannelAccount:
        known = self._accounts.get(channel_id)
        if known is None:
            known = self._ledger.account(channel_id)
            self._accounts[channel_id] = self._stored[channel_id] = known
        return known

    def _begin(self, channel_id: bytes, account: ChannelAccount, price: int) -> Admission:
        self._accounts[channel_id] = account
        admitted = Admission(str(next(self._ids)), channel_id, price)
        self._admitted.add(admitted.admission_id)
        return admitted

    def _end(self, admitted: Admission) -> None:
        if admitted.admission_id not in self._admitted:
            raise UnknownChannelError(f"admission {admitted.admission_id} was charged or released")
        self._admitted.remove(admitted.admission_id)

    def _ask(self) -> None:
        """Have the writer do it."""
        self._is_asked = True
        self._work.notify()

    def _keep(self, account: ChannelAccount, waiting: Waiting) -> Future[None]:
        self._accounts[waiting.channel_id] = account
        self._changed.add(waiting.channel_id)
        self._waiting.append(waiting)
        return self._written

    # The writer -------------------------------------------------------------------------------------

    def _write_on(self) -> None:
        while True:
            with self._work:
                self._work.wait_for(lambda: self._is_asked or self._closed)
                last, self._is_asked = self._closed, False
            with self._writing:
                self._write_all()
            if last:
                return

    def _write_all(self) -> None:
        """Write what waits, if anything does; `_writing` is held."""
        with self._lock:
            due = self._changed | self._unwritten
            after = {channel_id: self._accounts[channel_id] for channel_id in due}
            waiting, written = self._waiting, self._written
            self._changed, self._unwritten, self._waiting, self._written = set(), set(), [], Future()
        began = time.perf_counter()
        self._write(after, waiting, written)
        self._took_seconds = time.perf_counter() - began

    def _write(
        self, after: Mapping[bytes, ChannelAccount], waiting: list[Waiting], written: Future[None]
    ) -> None:
        changes = [Change(channel_id, self._stored.get(channel_id), new) for channel_id, new in after.items()]
        try:
            self._ledger.writer.store(changes)
        except Exception as error:  # whatever the disk says goes to everyone who waits for it
            with self._lock:
                # Their answers are not given: before anything else is written, they are charged nothing.
                for one in waiting:
                    account = self._accounts[one.channel_id]
                    self._accounts[one.channel_id] = account.take_back(one.cost)
                self._unwritten |= after.keys()  # should it be on disk after all, the next change corrects it
            written.set_exception(error)
            return
        self._stored.update(after)
        written.set_result(None)

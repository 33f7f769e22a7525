"""Steps of the calls of one gateway on their way to a ledger that several share: a transaction serves all that wait.

One transaction at a time takes whatever has come meanwhile, and waits for nobody. A channel that another gateway has at
that moment is set apart, and waited for in another thread, until no step of it is left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from concurrent.futures import Executor, ThreadPoolExecutor
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.channels.steps import HeldElsewhereError, Outcome, Step

# So many steps are locked, and fail together, at most.
BATCH = 256
# So many channels that others have are waited for at once; however many there are, they take the others no thread.
APART = 8
THREADS = 1 + APART


class Waiting(NamedTuple):
    """A step, and who is told of it."""

    step: Step
    outcome: asyncio.Future[Any]


class StepQueue:
    """For one event loop. A step that was put is carried out, whoever waits for it."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._together_thread = ThreadPoolExecutor(1, thread_name_prefix="steps")
        self._apart_threads = ThreadPoolExecutor(APART, thread_name_prefix="steps apart")
        self._waiting: list[Waiting] = []
        self._apart: dict[bytes, list[Waiting]] = {}
        self._is_working = False
        self._tasks: set[asyncio.Task[None]] = set()

    def put(self, step: Step) -> asyncio.Future[Any]:
        """Its outcome, or the error of the step or of the database."""
        waiting = Waiting(step, asyncio.get_running_loop().create_future())
        apart = self._apart.get(step.channel_id)
        (self._waiting if apart is None else apart).append(waiting)
        if apart is None and not self._is_working:
            self._is_working = True
            self._begin(self._work())
        return waiting.outcome

    async def close(self) -> None:
        """Once no step is left."""
        while self._tasks:
            await asyncio.wait(self._tasks)
        self._together_thread.shutdown(wait=False)
        self._apart_threads.shutdown(wait=False)

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _work(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            held = await self._carry_out(batch, self._together_thread, wait=False)
            if held:
                self._set_apart(held)
        self._is_working = False

    def _set_apart(self, held: list[Waiting]) -> None:
        new = {waiting.step.channel_id for waiting in held}
        self._apart.update({channel_id: [] for channel_id in new})
        others: list[Waiting] = []
        for waiting in chain(held, self._waiting):
            self._apart.get(waiting.step.channel_id, others).append(waiting)
        self._waiting = others
        for channel_id in new:
            self._begin(self._work_apart(channel_id))

    async def _work_apart(self, channel_id: bytes) -> None:
        while batch := self._apart[channel_id][:BATCH]:
            del self._apart[channel_id][:BATCH]
            await self._carry_out(batch, self._apart_threads, wait=True)
        del self._apart[channel_id]

    async def _carry_out(self, batch: list[Waiting], threads: Executor, *, wait: bool) -> list[Waiting]:
        """Tell everybody; those whose channel somebody else has."""
        steps = [waiting.step for waiting in batch]
        outcomes: list[Outcome | Exception]
        try:
            work = partial(self._ledger.carry_out, steps, wait=wait)
            outcomes = [*await asyncio.get_running_loop().run_in_executor(threads, work)]
        except Exception as error:  # whatever ails the database: nothing has changed
            outcomes = [error] * len(batch)
        held = []
        for waiting, outcome in zip(batch, outcomes, strict=True):
            if isinstance(outcome, HeldElsewhereError):
                held.append(waiting)
            elif waiting.outcome.cancelled():
                continue
            elif isinstance(outcome, Exception):
                waiting.outcome.set_exception(outcome)
            else:
                waiting.outcome.set_result(outcome)
        return held

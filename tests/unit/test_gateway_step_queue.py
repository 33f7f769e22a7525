"""The steps of one gateway's calls on their way to a ledger that several share."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import cast

import pytest

from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.channels.step_queue import APART, BATCH, StepQueue
from wellhead.gateway.channels.steps import (
    Admission,
    Admit,
    HeldElsewhereError,
    Outcome,
    Release,
    Step,
    UnknownChannelError,
)

FIRST, SECOND = b"\x01" * 32, b"\x02" * 32
PATIENCE_SECONDS = 20


class SlowLedger:
    """Carries nothing out, and answers when it is let: each step by its name."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.held: set[bytes] = set()
        self.error: Exception | None = None
        # One for each that is waited for, then for each channel that is.
        self.together, self.apart = threading.Semaphore(0), threading.Semaphore(0)

    def carry_out(self, steps: Sequence[Step], *, wait: bool = True) -> list[Outcome]:
        self.batches.append([*("waited" for _ in range(wait)), *(name(step) for step in steps)])
        held = set() if wait else self.held.copy()
        assert (self.apart if wait else self.together).acquire(timeout=PATIENCE_SECONDS)
        if self.error:
            raise self.error
        return [HeldElsewhereError() if step.channel_id in held else _outcome(step) for step in steps]


def name(step: Step) -> str:
    return step.admitted.admission_id if not isinstance(step, Admit) else "admit"


def _outcome(step: Step) -> Outcome:
    if name(step) == "unknown":
        return UnknownChannelError()
    return Admission(name(step), step.channel_id, 1)


def step(called: str, channel_id: bytes = FIRST) -> Release:
    return Release(Admission(called, channel_id, 1))


class Desk:
    """A queue, and what has come out of it, in order."""

    def __init__(self, ledger: SlowLedger) -> None:
        self.ledger = ledger
        self.queue = StepQueue(cast(Ledger, ledger))
        self.told: list[str] = []

    def put(self, called: str, channel_id: bytes = FIRST) -> asyncio.Future[Admission]:
        outcome = self.queue.put(step(called, channel_id))
        outcome.add_done_callback(lambda _: self.told.append(called))
        return outcome

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while not condition():
                await asyncio.sleep(0.001)  # threads are at work


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    opened = Desk(SlowLedger())
    yield opened
    await opened.queue.close()


def played(story: Callable[[Desk], Awaitable[None]]) -> None:
    async def play() -> None:
        async with desk() as opened:
            await story(opened)

    asyncio.run(play())


def test_what_comes_while_one_is_under_way_goes_together_next() -> None:
    async def story(desk: Desk) -> None:
        desk.put("alone")
        await desk.until(lambda: desk.ledger.batches == [["alone"]])
        for called in ("a", "b", "c"):
            desk.put(called)
        desk.ledger.together.release(2)
        await desk.queue.close()
        assert desk.ledger.batches == [["alone"], ["a", "b", "c"]]
        assert desk.told == ["alone", "a", "b", "c"]

    played(story)


def test_a_transaction_has_its_bounds() -> None:
    async def story(desk: Desk) -> None:
        for number in range(BATCH + 1):
            desk.put(str(number))
        desk.ledger.together.release(2)
        await desk.queue.close()
        assert [len(batch) for batch in desk.ledger.batches] == [BATCH, 1]

    played(story)


def test_a_step_that_is_refused_is_told_so_alone() -> None:
    async def story(desk: Desk) -> None:
        good, unknown = desk.put("good"), desk.put("unknown")
        desk.ledger.together.release()
        assert (await good).admission_id == "good"
        with pytest.raises(UnknownChannelError):
            await unknown

    played(story)


def test_an_error_of_the_database_is_told_to_all_and_the_next_go_on() -> None:
    async def story(desk: Desk) -> None:
        lost = [desk.put("a"), desk.put("b")]
        desk.ledger.error = OSError("the database is away")
        desk.ledger.together.release()
        for outcome in lost:
            with pytest.raises(OSError, match="away"):
                await outcome
        desk.ledger.error = None
        desk.ledger.together.release()
        assert (await desk.put("later")).admission_id == "later"

    played(story)


def test_a_channel_that_another_gateway_has_holds_up_no_other() -> None:
    """Its own steps wait for it together, and in order."""

    async def story(desk: Desk) -> None:
        desk.ledger.held = {FIRST}
        desk.put("held")
        other = desk.put("other", SECOND)
        await desk.until(lambda: len(desk.ledger.batches) == 1)
        desk.put("after held")
        desk.ledger.together.release()
        await other
        await desk.until(lambda: len(desk.ledger.batches) == 2)
        desk.put("last")
        desk.ledger.together.release()
        await desk.put("next", SECOND)
        assert desk.told == ["other", "next"]
        desk.ledger.apart.release(2)
        await desk.until(lambda: "last" in desk.told)
        assert desk.told == ["other", "next", "held", "after held", "last"]
        desk.ledger.held = set()
        desk.ledger.together.release()
        await desk.put("free again")
        assert sorted(desk.ledger.batches) == [
            *(["free again"], ["held", "other"], ["next"]),
            *(["waited", "held", "after held"], ["waited", "last"]),
        ]

    played(story)


def test_however_many_channels_a_gateway_that_died_has_the_others_go_on() -> None:
    async def story(desk: Desk) -> None:
        held = [number.to_bytes(32, "big") for number in range(2 * APART)]
        desk.ledger.held = set(held)
        for channel_id in held:
            desk.put("held", channel_id)
        desk.ledger.together.release()
        await desk.until(lambda: len(desk.ledger.batches) == 1 + APART)
        desk.ledger.together.release()
        await desk.put("other", FIRST)
        assert desk.told == ["other"]
        desk.ledger.apart.release(len(held))
        await desk.queue.close()
        assert desk.told == ["other", *["held"] * len(held)]

    played(story)


def test_a_step_is_carried_out_though_nobody_waits_for_it() -> None:
    async def story(desk: Desk) -> None:
        under_way = desk.put("under way")
        await desk.until(lambda: bool(desk.ledger.batches))
        waiting = desk.put("waiting")
        for outcome in (under_way, waiting):
            outcome.cancel()
        desk.ledger.together.release(3)
        assert (await desk.put("next")).admission_id == "next"
        assert desk.ledger.batches == [["under way"], ["waiting", "next"]]

    played(story)

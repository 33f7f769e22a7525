"""A source that looks for itself: what it remembers, and what follows from that."""

from __future__ import annotations

import asyncio
import time
from decimal import Decimal

import httpx

from wellhead.oracle.observation import Window
from wellhead.oracle.sources.fetch import ScrapeError, TooSlowError
from wellhead.oracle.sources.finding import HERE, Finding
from wellhead.oracle.sources.lag import Lag
from wellhead.oracle.sources.live import LiveSource, Reading
from wellhead.oracle.sources.meters import Kind, Meter

KIND = Kind("test", identity=("gpu",), tokens=(Meter("tokens_total", 1),))


SLOW = "takes longer than 5 s"


class Busy(Lag):
    """This machine, late by so much."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self._due = time.monotonic() - seconds


class Scripted:
    """Answers, slot by slot, with the tokens of each GPU; a text is why it does not."""

    line, kind, asked = HERE, KIND, "a script"

    def __init__(self, script: dict[int, tuple[float, ...] | str]) -> None:
        self.script = script
        self.allowed: list[float] = []

    async def read(self, _client: httpx.AsyncClient, slot: int, timeout_seconds: float) -> Reading:
        self.allowed.append(timeout_seconds)
        answer = self.script[slot]
        if isinstance(answer, str):
            raise TooSlowError(answer) if answer == SLOW else ScrapeError(answer)
        gpus = enumerate(answer)
        return Reading({("tokens_total", (("gpu", str(gpu)),)): Decimal(tokens) for gpu, tokens in gpus})


def looked(source: LiveSource, slots: range, lag: Lag | None = None) -> LiveSource:
    async def story() -> None:
        async with httpx.AsyncClient() as client:
            for slot in filter(source.is_due, slots):
                await source.look(client, slot, 5, lag or Lag())

    asyncio.run(story())
    return source


def finding(source: LiveSource, first: int, slots: int) -> Finding:
    async def story() -> Finding:
        async with httpx.AsyncClient() as client:
            return await source.finding(client, Window(first, slots, 1_000))

    return asyncio.run(story())


def test_slot_by_slot_gpu_by_gpu() -> None:
    script = Scripted({1: (10, 100), 2: (15, 110), 3: "refused", 4: (4, 120), 5: (9, 140)})
    seen = finding(looked(LiveSource(script), range(1, 6)), 2, 4)
    assert seen.answered == {2: True, 3: False, 4: True, 5: True}
    assert seen.gained.tokens == (5 + 4 + 5) + (10 + 10 + 20)  # the first began anew, the second did not
    assert seen.faults == ("refused",)
    assert (seen.line, seen.counts, len(seen.took_ms)) == (HERE, True, 3)


def test_what_is_gained_in_a_gap_is_counted_once() -> None:
    source = looked(LiveSource(Scripted({1: (10,), 2: "away", 3: "away", 4: (90,)})), range(1, 5))
    assert [finding(source, first, 2).gained.tokens for first in (1, 3)] == [0, 80]


def test_a_window_can_be_asked_for_again() -> None:
    source = looked(LiveSource(Scripted({slot: (slot,) for slot in range(9)})), range(9))
    assert finding(source, 2, 3) == finding(source, 2, 3)


def test_evidence_is_every_look_that_it_follows_from() -> None:
    source = looked(LiveSource(Scripted({1: (10,), 2: (15,), 3: "no\nnonsense", 4: (20, 7)})), range(1, 5))
    (exhibit,) = finding(source, 2, 3).exhibits
    lines = [line.split(" ", 2) for line in exhibit.body.decode().splitlines()]
    assert exhibit.asked == "a script"
    assert [line[0] for line in lines] == ["series", "1", "2", "3", "series", "series", "4"]
    assert [line[2] for line in lines if line[0] != "series"] == ["10", "15", "failed: no nonsense", "20 7"]


def test_a_rare_look_stands_for_all_its_slots() -> None:
    source = looked(LiveSource(Scripted({0: (1,), 4: "no", 8: (5,)}), every=4), range(12))
    seen = finding(source, 2, 8)
    assert seen.answered == {2: True, 3: True, 4: False, 5: False, 6: False, 7: False, 8: True, 9: True}
    assert seen.gained.tokens == 4


def test_what_was_missed_here_is_not_known_and_noted() -> None:
    source = looked(LiveSource(Scripted({1: (1,), 3: (2,)})), range(1, 2))
    source.missed(2, "too busy")
    seen = finding(looked(source, range(3, 4)), 1, 3)
    assert seen.answered == {1: True, 3: True}
    assert seen.faults == ("a script: too busy",)


def test_what_is_forgotten_leaves_the_base_of_the_next_increase() -> None:
    source = looked(LiveSource(Scripted({1: (10,), 2: (30,), 3: "no", 4: (50,)})), range(1, 5))
    source.forget_before(4)
    seen = finding(source, 4, 1)
    assert (seen.gained.tokens, seen.answered) == (20, {4: True})
    source.forget_before(5)
    assert finding(source, 1, 3).answered == {}


def test_slower_than_agreed_is_as_good_as_no_answer() -> None:
    script = Scripted({1: (1,)})
    looked(LiveSource(script, within_seconds=0.25), range(1, 2))
    assert script.allowed == [0.25]


def test_what_a_busy_machine_did_not_wait_for_is_not_the_nodes_fault() -> None:
    script = {1: SLOW, 2: "refused", 3: (1,)}
    assert finding(looked(LiveSource(Scripted(script)), range(1, 4)), 1, 3).answered == {
        1: False,
        2: False,
        3: True,
    }
    busy = finding(looked(LiveSource(Scripted(script)), range(1, 4), Busy(seconds=1.1)), 1, 3)
    assert busy.answered == {2: False, 3: True}
    assert busy.faults == ("refused", "a script: not looked in time, this machine is too busy")
    a_little = looked(LiveSource(Scripted(script)), range(1, 4), Busy(seconds=0.5))
    assert finding(a_little, 1, 3).answered == {1: False, 2: False, 3: True}


def test_the_lag_of_a_loop_that_was_held_up_is_seen() -> None:
    async def story() -> tuple[bool, bool, bool]:
        lag = Lag()
        measuring = asyncio.create_task(lag.run())
        await asyncio.sleep(0)
        begun = time.monotonic()
        time.sleep(0.4)  # what holds a loop up is just this
        at_once = lag.spoils(begun, 1)
        while not lag.spoils(begun, 1) or not lag._late:
            await asyncio.sleep(0)
        later = time.monotonic()
        measuring.cancel()
        return at_once, lag.spoils(begun, 1), lag.spoils(later, 60)

    assert asyncio.run(story()) == (True, True, False)


def test_a_counter_that_shows_nonsense_is_as_good_as_no_answer() -> None:
    seen = finding(looked(LiveSource(Scripted({1: (5,), 2: (float("nan"),), 3: (9,)})), range(1, 4)), 1, 3)
    assert seen.answered == {1: True, 2: False, 3: True}
    assert seen.gained.tokens == 4
    assert seen.faults == ("tokens_total is NaN, not between 0 and 9007199254740992",)

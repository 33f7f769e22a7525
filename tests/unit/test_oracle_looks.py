"""A reporter that starts again knows what its live sources saw before, and that it saw nothing in between."""

from __future__ import annotations

import asyncio
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import httpx
import pytest
from sqlalchemy.exc import OperationalError

import virtual_time
from wellhead.oracle import fleet
from wellhead.oracle.fleet import Fleet, Sighting
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.observation import Window
from wellhead.oracle.sources.build import Built
from wellhead.oracle.sources.fetch import ScrapeError
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import LiveSource, Look, Reading
from wellhead.oracle.sources.looks import LookBook
from wellhead.oracle.sources.meters import Kind, Meter

NODE, SLOT_SECONDS = 7, 10
FIRST_SLOT = 170_000_000
KIND = Kind("test", identity=("gpu",), tokens=(Meter("tokens_total", 1),))
DOWN = range(FIRST_SLOT + 4, FIRST_SLOT + 6)
SETTINGS = FleetSettings.model_validate(
    {
        "slot_ms": SLOT_SECONDS * 1_000,
        "remember_seconds": 300,
        "nodes": [{"id": NODE, "sources": [{"type": "health", "url": "http://node/healthz"}]}],
    }
)


class Node:
    """Two GPUs that count a token or two in every slot, but for an outage."""

    line, kind, asked = HERE, KIND, "a node"

    async def read(self, _client: httpx.AsyncClient, slot: int, _timeout_seconds: float) -> Reading:
        if slot in DOWN:
            raise ScrapeError("refused")
        return Reading(
            {("tokens_total", (("gpu", gpu),)): Decimal(slot * int(gpu)) for gpu in "12"}, ("hot",)
        )


class Canary:
    line, kind, asked = HERE, Kind("none"), "a page"

    async def read(self, _client: httpx.AsyncClient, _slot: int, _timeout_seconds: float) -> Reading:
        return Reading({})


@pytest.fixture(autouse=True)
def watched(monkeypatch: pytest.MonkeyPatch) -> None:
    def built(_settings: FleetSettings) -> Built:
        return Built({NODE: (LiveSource(Node()), LiveSource(Node()))}, (LiveSource(Canary()),))

    monkeypatch.setattr(fleet, "build", built)


def seen_over(book: LookBook | None, *stretches: tuple[int, int]) -> Sighting:
    """Of the first twenty slots, by processes each of which begins and ends so many slots after the first."""

    async def story() -> Sighting:
        loop = asyncio.get_running_loop()

        def clock() -> float:
            return FIRST_SLOT * SLOT_SECONDS + loop.time()

        for begin, end in stretches:
            watching = Fleet(SETTINGS, book=book, clock=clock)
            await asyncio.sleep(begin * SLOT_SECONDS - 5 - loop.time())
            running = asyncio.create_task(watching.run())
            await asyncio.sleep(end * SLOT_SECONDS - 5 - loop.time())
            running.cancel()
            await asyncio.wait([running])
        return (await watching.observe(Window(FIRST_SLOT, 20, SLOT_SECONDS * 1_000)))[NODE]

    return virtual_time.run(story())


def test_what_was_seen_before_a_restart_is_known_and_counted_as_by_one_who_never_stopped(
    tmp_path: Path,
) -> None:
    with closing(LookBook(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        again = seen_over(book, (1, 8), (8, 20))
        never = seen_over(None, (1, 20))
        assert never.observation.states == "?UUUDD" + 14 * "U"
        assert (again.observation, again.faults) == (never.observation, never.faults)


def test_what_nobody_saw_in_between_stays_unknown(tmp_path: Path) -> None:
    with closing(LookBook(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        assert seen_over(book, (1, 8), (11, 20)).observation.states == "?UUUDDUU???" + 9 * "U"
    assert seen_over(None, (1, 8), (11, 20)).observation.states == 11 * "?" + 9 * "U"


def test_what_is_older_than_sources_remember_is_dropped(tmp_path: Path) -> None:
    with closing(LookBook(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        seen_over(book, (1, 50))
        found = book.kept(0)
        assert len(found) == 3
        for oldest, *_, newest in found.values():
            assert (newest.slot - FIRST_SLOT, newest.slot - oldest.slot) == (49, 30)


def test_a_look_comes_back_as_it_was_and_a_later_one_of_the_same_slot_stays(tmp_path: Path) -> None:
    keys = (("a", (("gpu", "1"), ("host", "ü"))), ("b", ()))
    seen = Look(4, 12, keys, (Decimal("0.10"), Decimal("NaN")), faults=("hot", "loud"))
    failed = Look(4, 0, failure="refused")
    with closing(LookBook(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        book.keep(5, {"one": Look(5, 1)}, 0)
        book.keep(4, {"one": Look(4, 1)}, 0)
        book.keep(4, {"one": seen, "other": failed}, 0)
    with closing(LookBook(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        assert repr(book.kept(4)) == repr({"one": [seen, Look(5, 1)], "other": [failed]})
        assert book.kept(5) == {"one": [Look(5, 1)]}


def test_a_disk_that_takes_nothing_more_costs_only_the_memory_of_the_next_process(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Full(LookBook):
        def keep(self, *_: object) -> None:
            raise OperationalError("insert", {}, OSError("disk full"))

    with closing(Full(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        assert seen_over(book, (1, 20)).observation.states == "?UUUDD" + 14 * "U"
    assert "is not kept" in caplog.text


def test_a_book_that_cannot_be_read_keeps_nobody_from_looking(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    class Torn(LookBook):
        def kept(self, _oldest: int) -> dict[str, list[Look]]:
            raise OperationalError("select", {}, OSError("disk I/O error"))

    with closing(Torn(f"sqlite:///{tmp_path / 'looks.db'}")) as book:
        assert seen_over(book, (1, 8), (8, 20)).observation.states == 8 * "?" + 12 * "U"
    assert "what was seen before is not known any more" in caplog.text


def test_what_is_recalled_late_stands_before_what_was_seen_since() -> None:
    source = LiveSource(Node())
    source.recall([Look(6, 1), Look(7, 1)])
    source.recall([Look(4, 1), Look(5, 1), Look(6, 2)])
    assert [(look.slot, look.took_ms) for look in source._looks] == [(4, 1), (5, 1), (6, 1), (7, 1)]

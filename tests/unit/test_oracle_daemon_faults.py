"""Reporters' daemons among liars, on bad lines, before a chain that fails: no false number, no second report."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import pytest
from requests.exceptions import ConnectionError as LineDown
from sqlalchemy.exc import OperationalError
from web3.exceptions import Web3RPCError

import virtual_time
from reporter_world import (
    GENESIS,
    NODE,
    PACE,
    SLOTS,
    TOKENS_PER_SLOT,
    WINDOW_SECONDS,
    World,
    now,
    replaced,
    serving,
)
from wellhead.oracle.exchange.messages import Kind, Message

TROUBLES = [LineDown("refused"), Web3RPCError("header not found"), ValueError("<html>"), KeyError("result")]


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def must_be_true(world: World, rounds: int, node: int = NODE) -> None:
    """The newest report covers all `rounds`, of a node that always served."""
    record = world.chain.records(node)[rounds]
    assert record.covered_seconds == record.up_seconds == rounds * WINDOW_SECONDS
    assert record.work_units == rounds * SLOTS * TOKENS_PER_SLOT


def round_at(seconds: float) -> int:
    return int(seconds - GENESIS) // WINDOW_SECONDS


# Reporters ------------------------------------------------------------------------------------------


def test_two_of_five_are_down(world: World) -> None:
    for site in world.by_leadership(2)[:2]:
        site.down = True
    virtual_time.run(world.run_until(3, 200))
    must_be_true(world, 3)
    assert set(world.chain.reports) == {1, 2, 3}


def test_three_of_five_are_down(world: World) -> None:
    for site in world.sites[:3]:
        site.down = True
    virtual_time.run(world.run_until(2))
    assert not world.chain.reports
    assert "no round has ended" not in world.sites[4].progress.ailment


@pytest.mark.parametrize(
    "lie", [lambda _: ("U", 10**12), lambda _: ("D", 0), lambda _: ("?", 0)], ids=["high", "low", "blind"]
)
def test_a_liar_and_a_silent_one(world: World, lie: Callable[[int], tuple[str, int]]) -> None:
    liar, silent = world.by_leadership(2)[:2]
    liar.nodes[NODE], silent.down = lie, True
    virtual_time.run(world.run_until(3, 200))
    must_be_true(world, 3)


def test_a_reporter_without_any_news_of_the_others_says_nothing_false(world: World) -> None:
    alone = world.sites[0]
    world.passes = lambda sender, receiver, _: alone not in (sender, receiver)
    virtual_time.run(world.run_until(3, 200))
    must_be_true(world, 3)
    assert "no round" not in alone.progress.ailment  # the others report, and it sees that


@pytest.mark.parametrize("seconds", [-120.0, 120.0])
def test_a_clock_that_is_two_minutes_off(world: World, seconds: float) -> None:
    """Its owner alone is without a say; who is behind says so."""

    def half_the_time(slot: int) -> tuple[str, int]:
        return ("U" if slot % 12 < 6 else "D"), TOKENS_PER_SLOT

    for site in world.sites:
        site.nodes[NODE] = half_the_time
    world.sites[1].ahead_seconds = seconds
    virtual_time.run(world.run_until(4, 200))
    record = world.chain.records()[4]
    assert record.covered_seconds == 4 * WINDOW_SECONDS
    assert record.up_seconds == sum(
        10 for slot in range(4 * SLOTS) if half_the_time(GENESIS // 10 + slot)[0] == "U"
    )
    if seconds < 0:
        assert "behind the chain's" in str(world.sites[1].progress.status()["problem"])


def test_letters_are_lost_at_random(tmp_path: Path) -> None:
    for seed in range(3):
        (tmp_path / str(seed)).mkdir()
        world, rng = World(tmp_path / str(seed)), random.Random(seed)
        world.passes = lambda *_, rng=rng: rng.random() > 0.3
        virtual_time.run(world.run_until(3, 200))
        assert world.chain.reports, seed
        must_be_true(world, max(world.chain.reports))


def test_a_node_that_only_some_watch_is_theirs_to_report(world: World) -> None:
    for site in world.sites[:3]:
        site.nodes[8] = serving
    for site in world.sites[:2]:
        site.nodes[9] = serving
    world.chain.gpus |= {8: 1, 9: 1}
    virtual_time.run(world.run_until(2, 200))
    must_be_true(world, 2)
    must_be_true(world, 2, 8)
    assert not world.chain.records(9)


def test_a_node_that_nobody_registered_keeps_no_other_from_being_reported(world: World) -> None:
    for site in world.sites:
        site.nodes[8] = serving
    virtual_time.run(world.run_until(1, 200))
    must_be_true(world, 1)
    assert not world.chain.records(8)


def test_a_node_that_comes_back_when_its_records_are_forgotten_goes_on_from_where_it_was(
    world: World,
) -> None:
    world.chain.gpus[8] = 1
    away = range(3, PACE.keep_rounds + 5)

    async def story() -> None:
        async def leave_and_return() -> None:
            while True:
                present = round_at(now()) not in away
                for site in world.sites:
                    site.nodes.pop(8, None)
                    if present:
                        site.nodes[8] = serving
                await asyncio.sleep(10)

        moving = asyncio.create_task(leave_and_return())
        await world.run_until(away.stop, 200)
        moving.cancel()

    virtual_time.run(story())
    records = world.chain.records(8)
    assert min(records) < away.start <= away.stop <= max(records)
    assert records[away.stop].up_seconds == records[away.start - 1].up_seconds + WINDOW_SECONDS
    assert not world.chain.refused


def test_other_reporters_are_named_in_the_middle_of_a_round(world: World) -> None:
    async def story() -> None:
        async def rotate() -> None:
            await asyncio.sleep(2 * WINDOW_SECONDS + 25)  # they have committed
            world.chain.config = replaced(world.chain, b"\x22" * 32)

        rotating = asyncio.create_task(rotate())
        await world.run_until(4, 200)
        await rotating

    virtual_time.run(story())
    assert {1, 3, 4} <= set(world.chain.reports)
    must_be_true(world, 4)


# The chain ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", TROUBLES, ids=lambda one: type(one).__name__)
def test_a_chain_that_answers_only_now_and_then(world: World, error: Exception) -> None:
    rng = random.Random(3)

    def trouble(_question: str) -> None:
        if rng.random() < 0.05:
            raise type(error)(*error.args)  # the same one again would grow by a traceback each time

    for site in world.sites:
        site.trouble = trouble
    virtual_time.run(world.run_until(6, 250))
    assert len(world.chain.reports) >= 3
    must_be_true(world, max(world.chain.reports))


def test_a_chain_that_is_gone_for_a_while(world: World) -> None:
    def trouble(_question: str) -> None:
        if 2 * WINDOW_SECONDS < now() - GENESIS < 4.5 * WINDOW_SECONDS:
            raise LineDown("refused")

    for site in world.sites:
        site.trouble = trouble
    virtual_time.run(world.run_until(4, 140))
    assert "has not answered" in world.sites[0].progress.ailment
    assert set(world.chain.reports) == {1}

    virtual_time.run(World.run_until(world, 6, 200))
    must_be_true(world, 6)


def test_the_chain_is_gone_just_when_a_report_is_agreed(world: World) -> None:
    """Then it is brought when the chain is back, not given up."""
    told: list[Message] = []

    def trouble(_question: str) -> None:
        letters = [one for site in world.sites for one in site.told.letters if one.kind is Kind.REPORT]
        told[:] = letters
        if letters and now() - GENESIS < WINDOW_SECONDS + 90:
            raise LineDown("refused")

    for site in world.sites:
        site.trouble = trouble
    virtual_time.run(world.run_until(1, 250))
    assert told
    assert set(world.chain.reports) == {1}
    must_be_true(world, 1)


def test_a_node_of_the_chain_that_lags_by_a_round(world: World) -> None:
    """One reporter is told what was a while ago: it takes no part, and stops nobody."""
    lagging = world.sites[2]
    stale: list[int] = []

    def trouble(question: str) -> None:
        if question == "posted" and now() - GENESIS > 2 * WINDOW_SECONDS:
            stale.append(1)
            raise ValueError("missing trie node")

    lagging.trouble = trouble
    virtual_time.run(world.run_until(4, 200))
    assert stale
    must_be_true(world, 4)


def test_a_transaction_that_is_dropped_is_sent_by_the_next_in_line(world: World) -> None:
    first = world.by_leadership(2)[0]

    def drop(_step: str) -> None:
        first.transmitter.drops = True

    first.step = drop
    virtual_time.run(world.run_until(3, 250))
    assert set(world.chain.reports) == {1, 2, 3}
    assert first.account.address not in {sender for sender, _ in world.chain.sent}
    assert len(world.chain.sent) == 3


def test_three_rounds_are_taken_back(world: World) -> None:
    """Nobody sends them again here: the next report covers them."""

    async def story() -> None:
        async def reorganise() -> None:
            await asyncio.sleep(4 * WINDOW_SECONDS + 150)
            assert set(world.chain.reports) == {1, 2, 3, 4}
            for number in (2, 3, 4):
                del world.chain.reports[number]

        reorganising = asyncio.create_task(reorganise())
        await world.run_until(6, 200)
        await reorganising

    virtual_time.run(story())
    assert set(world.chain.reports) == {1, 5, 6}
    must_be_true(world, 6)


def test_another_report_takes_a_rounds_place(world: World, tmp_path: Path) -> None:
    """A quorum may have signed two; after a reorganisation the other one may stand, and its records are wanted."""
    (tmp_path / "other").mkdir()
    other = World(tmp_path / "other")
    for site in other.sites:
        site.nodes[NODE] = lambda slot: ("U", TOKENS_PER_SLOT - slot % 2)
    virtual_time.run(other.run_until(2))

    async def story() -> None:
        async def reorganise() -> None:
            await asyncio.sleep(2 * WINDOW_SECONDS + 150)
            world.chain.reports[2] = other.chain.reports[2]

        reorganising = asyncio.create_task(reorganise())
        await world.run_until(4, 200)
        await reorganising

    virtual_time.run(story())
    gained = 2 * SLOTS * TOKENS_PER_SLOT
    assert world.chain.records()[4].work_units == other.chain.records()[2].work_units + gained


def test_a_vetoed_round_is_not_gone_on_from(world: World) -> None:
    async def story() -> None:
        async def veto() -> None:
            await asyncio.sleep(2 * WINDOW_SECONDS + 150)
            world.chain.vetoed.add(2)

        vetoing = asyncio.create_task(veto())
        await world.run_until(4, 200)
        await vetoing

    virtual_time.run(story())
    assert world.chain.reports[3].since == 1
    must_be_true(world, 4)


# Disks ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("write", ["forget_before", "seal", "freeze", "keep", "agree"])
def test_a_disk_that_is_full(world: World, write: str) -> None:
    """Who can write nothing down says nothing; when there is room again it goes on."""
    full = world.sites[0]

    def step(name: str) -> None:
        if name == f"before {write}" and now() - GENESIS < 3 * WINDOW_SECONDS:
            raise OperationalError("INSERT", {}, OSError("database or disk is full"))

    full.step = step
    virtual_time.run(world.run_until(4, 200))
    must_be_true(world, 4)
    assert set(world.chain.reports) == {1, 2, 3, 4}
    if write in ("seal", "freeze"):
        assert not {1, 2} & full.told.bodies(Kind.REVEAL).keys()
    assert {3, 4} & full.told.bodies(Kind.REVEAL).keys()


def test_every_disk_is_full_for_a_round(world: World) -> None:
    def step(name: str) -> None:
        if name == "before seal" and now() - GENESIS < 2 * WINDOW_SECONDS:
            raise OperationalError("INSERT", {}, OSError("database or disk is full"))

    for site in world.sites:
        site.step = step
    virtual_time.run(world.run_until(2, 200))
    assert set(world.chain.reports) == {2}
    must_be_true(world, 2)

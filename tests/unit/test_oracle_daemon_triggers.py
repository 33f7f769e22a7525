"""Four reporters that leave quiet windows out: what they report, when, and that nothing is lost by it."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from pathlib import Path

import pytest

import virtual_time
from reporter_world import (
    GENESIS,
    NODE,
    SLOT_MS,
    SLOTS,
    TOKENS_PER_SLOT,
    WINDOW_SECONDS,
    Killed,
    Seeing,
    Site,
    World,
    serving,
)
from wellhead.errors import Misused
from wellhead.oracle.daemon.assembly import Settings, require_remembered
from wellhead.oracle.exchange.messages import Kind
from wellhead.oracle.fleet import Fleet
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.schedule import Schedule
from wellhead.oracle.trigger import Trigger

HEARTBEAT_ROUNDS = 6
TRIGGER = Trigger(HEARTBEAT_ROUNDS * WINDOW_SECONDS, 500)


def world_of(folder: Path, seeing: Seeing, trigger: Trigger | None = TRIGGER) -> World:
    folder.mkdir(exist_ok=True)
    world = World(folder, 4)
    for site in world.sites:
        site.nodes[NODE], site.trigger, site.forgets = seeing, trigger, True
    return world


def down_in(slots: range) -> Seeing:
    """`slots` since genesis."""
    return lambda slot: ("D", 0) if slot - GENESIS * 1000 // SLOT_MS in slots else serving(slot)


def must_be_true(world: World, last: int, slots_down: int = 0) -> None:
    record = world.chain.records()[last]
    assert record.covered_seconds == last * WINDOW_SECONDS
    assert record.up_seconds == last * WINDOW_SECONDS - slots_down * SLOT_MS // 1000
    assert record.work_units == (last * SLOTS - slots_down) * TOKENS_PER_SLOT
    assert not world.chain.refused


def test_a_quiet_fleet_is_reported_once_per_heartbeat_and_nobody_is_ill(tmp_path: Path) -> None:
    world, ailments = world_of(tmp_path, serving), set[str]()

    async def story() -> None:
        async def look() -> None:
            while True:
                await asyncio.sleep(WINDOW_SECONDS / 3)
                ailments.update(site.progress.ailment for site in world.sites)

        looking = asyncio.create_task(look())
        await world.run_until(8)
        looking.cancel()

    virtual_time.run(story())
    assert set(world.chain.reports) == {1, 7}
    must_be_true(world, 7)
    assert ailments == {""}
    progress = world.sites[0].progress
    assert progress.status()["last_decision"].startswith("round 8 is left out: no node differs by 500 basis")
    text = progress.text().decode()
    assert 'wellhead_oracle_last_cause{wellhead_oracle_last_cause="quiet"} 1.0' in text
    assert 'wellhead_oracle_rounds_total{end="left out"} 6.0' in text


def test_an_outage_is_reported_in_its_own_round(tmp_path: Path) -> None:
    world = world_of(tmp_path, down_in(range(3 * SLOTS + 10, 4 * SLOTS + 20)))
    virtual_time.run(world.run_until(8))
    # In 5 it is over, but for a part; 6 is as it was before.
    assert set(world.chain.reports) == {1, 4, 5, 6}
    must_be_true(world, 6, slots_down=40)
    assert world.sites[0].progress.status()["last_decision"].endswith("the heartbeat comes with round 12")


def test_an_outage_and_its_end_are_reported_however_small_a_part_it_is(tmp_path: Path) -> None:
    """A third of the windows since the last report."""
    world = world_of(
        tmp_path, down_in(range(3 * SLOTS, 4 * SLOTS)), Trigger(HEARTBEAT_ROUNDS * WINDOW_SECONDS, 5_000)
    )
    virtual_time.run(world.run_until(6))
    assert set(world.chain.reports) == {1, 4, 5}
    must_be_true(world, 5, slots_down=SLOTS)


@pytest.mark.parametrize("others", [None, Trigger(3 * WINDOW_SECONDS, 10_000)], ids=["all", "sooner"])
def test_one_that_is_told_otherwise_makes_no_number_false(tmp_path: Path, others: Trigger | None) -> None:
    """It may have more reported, by everybody's signatures and for its own gas."""
    world = world_of(tmp_path, down_in(range(2 * SLOTS + 10, 2 * SLOTS + 20)))
    odd = world.sites[2]
    odd.trigger = others
    virtual_time.run(world.run_until(7, 200))
    assert {1, 3, 4} < set(world.chain.reports)
    assert {sender for sender, number in world.chain.sent if number not in (1, 3, 4)} == {odd.account.address}
    must_be_true(world, max(world.chain.reports), slots_down=10)


def test_one_that_leaves_out_what_others_report_costs_them_nothing(tmp_path: Path) -> None:
    world = world_of(tmp_path, serving, None)
    world.sites[2].trigger = TRIGGER
    virtual_time.run(world.run_until(4, 200))
    assert set(world.chain.reports) == {1, 2, 3, 4}
    must_be_true(world, 4)


def test_a_report_that_was_due_and_failed_comes_with_the_next_round(tmp_path: Path) -> None:
    world = world_of(tmp_path, down_in(range(2 * SLOTS, 2 * SLOTS + 15)), Trigger(12 * WINDOW_SECONDS, 4_000))
    world.passes = lambda _sender, _receiver, letter: (letter.kind, letter.round) != (Kind.PROPOSE, 3)
    virtual_time.run(world.run_until(6))
    assert set(world.chain.reports) == {1, 4}
    must_be_true(world, 4, slots_down=15)


def test_what_stands_no_more_is_reported_anew(tmp_path: Path) -> None:
    world = world_of(tmp_path, down_in(range(2 * SLOTS, 2 * SLOTS + 3)), Trigger(12 * WINDOW_SECONDS, 600))

    async def story() -> None:
        async def veto() -> None:
            await asyncio.sleep(4 * WINDOW_SECONDS + 150)  # 4 was left out after 3
            world.chain.vetoed.add(3)

        vetoing = asyncio.create_task(veto())
        await world.run_until(6)
        await vetoing

    virtual_time.run(story())
    assert set(world.chain.reports) == {1, 3, 5}
    assert world.chain.reports[5].since == 1
    must_be_true(world, 5, slots_down=3)


def restless(seed: int) -> Seeing:
    """Five quiet windows, then outages and load at random, mostly as before; the same for everybody."""
    rng = random.Random(seed)
    states, load = "U" * 5 * SLOTS, [1_000] * 5 * SLOTS
    while len(states) < 12 * SLOTS:
        states += "U" * rng.randint(10, 9 * SLOTS) + rng.choice("D?") * rng.randint(0, 12)
        load += [rng.choice([800, 1_000])] * (len(states) - len(load))

    def seeing(slot: int) -> tuple[str, int]:
        place = slot - GENESIS * 1000 // SLOT_MS
        return states[place], load[place] if states[place] == "U" else 0

    return seeing


def kill_once(site: Site, round_number: int) -> list[str]:
    """When that round is half over. Where it was is in the list."""
    killed = list[str]()

    def step(name: str) -> None:
        if not killed and name == "after freeze" and round_number in site.told.bodies(Kind.COMMIT):
            killed.append(name)
            raise Killed

    site.step = step
    return killed


@pytest.mark.parametrize("forgetful", [0, 2])
def test_what_is_left_out_is_in_the_next_report(tmp_path: Path, forgetful: int) -> None:
    """To the unit, although half of the reporters are killed in between and forget what they saw: then reporters round
    to watt-hours at different moments, and reports that are fewer lose less by it, below one each."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    records = []
    for name, trigger in (("all", None), ("some", Trigger(5 * WINDOW_SECONDS, 2_000))):
        world = world_of(tmp_path / name, restless(seed), trigger)
        killed = [kill_once(site, 4) for site in world.sites[:forgetful]]
        virtual_time.run(world.run_until(9, 200))
        assert all(killed)
        records.append(world.chain.records())
    every, some = records
    assert set(every) == set(range(1, 10))
    assert not {2, 3, 4, 5} & set(some)
    assert max(some) > 5
    for number, record in some.items():
        full = every[number]
        assert 0 <= record.energy_wh - full.energy_wh <= (number if forgetful else 0)
        assert replace(record, energy_wh=full.energy_wh) == full


def test_looks_are_remembered_for_as_long_as_a_report_may_wait(tmp_path: Path) -> None:
    def require(remembered: int, *sources: dict[str, str]) -> None:
        nodes = [{"id": NODE, "sources": sources}] if sources else []
        settings = FleetSettings.model_validate(
            {"slot_ms": SLOT_MS, "remember_seconds": remembered, "nodes": nodes}
        )
        schedule = Schedule.live(GENESIS, WINDOW_SECONDS, SLOT_MS)
        require_remembered(Settings(settings, {}, tmp_path), TRIGGER, Fleet(settings), schedule)

    health = {"type": "health", "url": "http://127.0.0.1:1/healthz"}
    with pytest.raises(Misused, match=r"remembered for 2139 s: set remember_seconds .* to 2140 or more"):
        require(2_139, health)
    require(2_140, health)
    require(10)  # a Prometheus can be asked for longer

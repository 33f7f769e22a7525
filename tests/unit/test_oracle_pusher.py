"""Rounds too large for one report are pushed after it: every record, once, by one reporter after another."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

import virtual_time
from reporter_world import GENESIS, NODE, WINDOW_SECONDS, Site, World, now, serving
from wellhead.errors import Misused, Refused
from wellhead.oracle import draft, pushing
from wellhead.oracle.daemon import pusher, store
from wellhead.oracle.daemon.pusher import PushPolicy

# In place of 256: all is as with more nodes, and takes less time.
MAX_REPORTED = 20
NODES = range(1, 31)
GAS = pushing.PushGas()
# Room for eight that have their slots, or two that have none.
POLICY = PushPolicy(budget=GAS.of(8, 0, 5), patience_seconds=60)


@pytest.fixture(autouse=True)
def small_reports(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (draft, store, pusher):
        monkeypatch.setattr(module, "MAX_REPORTED", MAX_REPORTED)


def large(folder: Path, policy: PushPolicy = POLICY, count: int = 4) -> World:
    world = World(folder, count)
    world.shares_records = True
    world.chain.gpus = dict.fromkeys(NODES, 1)
    for site in world.sites:
        site.nodes, site.pushing = dict.fromkeys(NODES, serving), policy
    return world


def test_whoever_brought_the_report_pushes_every_record_once_in_parts_that_fit(tmp_path: Path) -> None:
    world = large(tmp_path)
    virtual_time.run(world.run_until(2))
    for round_number in (1, 2):
        pushes = [
            (who, set(records)) for who, number, records in world.chain.pushes if number == round_number
        ]
        assert {who for who, _ in pushes} == {world.chain.brought_by[round_number]}
        assert sorted(node for _, nodes in pushes for node in nodes) == list(NODES)
        fresh = 1 if round_number == 1 else 0
        for _, nodes in pushes:
            assert GAS.of(len(nodes), fresh * len(nodes), 0) <= POLICY.budget
        assert len(pushes) == (15 if fresh else 4)
        assert world.chain.pushed(round_number) == {
            node: world.chain.records(node)[round_number] for node in NODES
        }


def refusing_from(world: World, part: int, pushed_at: list[float]) -> None:
    """Who brought the report pushes parts before `part`, and no other; the others' times stand in `pushed_at`."""

    def watch(site: Site) -> None:
        def step(name: str) -> None:
            if name != "before it is pushed":
                return
            if site.account.address == world.chain.brought_by[world.chain.latest]:
                if len(world.chain.pushes) >= part:
                    raise Refused("no money for this")
            else:
                pushed_at.append(now() - GENESIS - WINDOW_SECONDS)

        site.step = step

    for site in world.sites:
        watch(site)


@pytest.mark.parametrize("part", [0, 5])
def test_when_it_does_not_or_not_any_more_the_next_in_line_does(tmp_path: Path, part: int) -> None:
    world, pushed_at = large(tmp_path), list[float]()
    refusing_from(world, part, pushed_at)
    virtual_time.run(world.run_until(1, after=290))
    first = world.by_leadership(1)
    assert [who for who, _, _ in world.chain.pushes] == [first[0].account.address] * part + [
        first[1].account.address
    ] * (15 - part)
    assert sorted(world.chain.pushed(1)) == list(NODES)
    assert pushed_at[0] > POLICY.patience_seconds


def test_nobody_pushes_beside_one_who_is_slow(tmp_path: Path) -> None:
    """A part within everybody's patience is enough to be left alone."""
    world, pushed_at = large(tmp_path, replace(POLICY, patience_seconds=30)), list[float]()
    refusing_from(world, 99, pushed_at)
    slow = world.by_leadership(1)[0]
    passed = slow.step

    def step(name: str) -> None:
        if name == "before it is pushed" and now() - slow_since[-1] < 25:
            raise Refused("the market is closed")
        if name == "before it is pushed":
            slow_since.append(now())
        passed(name)

    slow_since, slow.step = [0.0], step
    virtual_time.run(world.run_until(1, after=290))
    assert {who for who, _, _ in world.chain.pushes} == {slow.account.address}
    assert len(world.chain.pushes) > 5
    assert pushed_at == []


@pytest.mark.parametrize("most", [0, len(NODES) - 1])
def test_what_is_too_large_for_its_reporters_is_not_pushed(tmp_path: Path, most: int) -> None:
    world = large(tmp_path, PushPolicy(max_nodes=most))
    virtual_time.run(world.run_until(1))
    assert world.chain.latest == 1
    assert world.chain.pushes == []


def test_what_the_report_pushed_itself_is_not_pushed_again(tmp_path: Path) -> None:
    world = World(tmp_path, 4)
    virtual_time.run(world.run_until(1))
    assert set(world.chain.pushed(1)) == {NODE}
    assert world.chain.pushes == []


def test_a_policy_of_fewer_than_no_nodes_is_refused() -> None:
    with pytest.raises(Misused, match="at most -1 nodes are to be pushed: say 0 for none"):
        PushPolicy(max_nodes=-1)

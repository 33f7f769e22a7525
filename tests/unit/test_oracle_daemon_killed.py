"""A reporter that is killed between any two of its steps says the same again or nothing, and its round is reported
once."""

from __future__ import annotations

from pathlib import Path

import virtual_time
from reporter_world import NODE, SLOTS, TOKENS_PER_SLOT, WINDOW_SECONDS, Killed, World
from wellhead.oracle.exchange.messages import Kind

ROUND = 1


def run(folder: Path, kill_at: int) -> tuple[World, list[str]]:
    """The round's leader, one of three that are left of four, is killed at its step of that number."""
    folder.mkdir()
    world, steps = World(folder, 4), list[str]()
    victim = world.by_leadership(ROUND)[0]
    world.by_leadership(ROUND)[3].down = True

    def step(name: str) -> None:
        steps.append(name)
        if len(steps) - 1 == kill_at:
            raise Killed(name)

    victim.step = step
    virtual_time.run(world.run_until(ROUND, 250))
    for kind in (Kind.COMMIT, Kind.REVEAL):
        said = victim.told.bodies(kind)
        assert all(len(bodies) == 1 for bodies in said.values()), (kill_at, steps[kill_at], kind)
    return world, steps


def test_killed_between_any_two_steps(tmp_path: Path) -> None:
    _, steps = run(tmp_path / "undisturbed", -1)
    wanted = ("seal", "commit is told", "freeze", "reveal is told", "propose is asked", "agree", "it is sent")
    for name in wanted:
        assert f"before {name}" in steps
    for place in range(len(steps)):
        world, _ = run(tmp_path / str(place), place)
        assert set(world.chain.reports) == {ROUND}, (place, steps[place])
        assert len(world.chain.sent) == len(world.chain.reports), (place, steps[place], world.chain.sent)
        record = world.chain.records(NODE)[ROUND]
        assert record.up_seconds == WINDOW_SECONDS
        assert record.work_units == SLOTS * TOKENS_PER_SLOT
        assert not world.failed_letters

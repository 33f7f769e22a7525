"""The real runtime, frozen, killed, restarted and slowed before a reporter that asks it real questions: what it saw is
what a stopwatch says, and what the node's customers were told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from loopback import serving
from node_process import Runtime
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from watched_fleet import runs, watching

from wellhead.chain import local
from wellhead.oracle.fleet import Sighting, slot_at
from wellhead.runtime.embedder import MODEL_NAME

NODE = 7
SLOT_MS, LOOK_MS = 1_500, 1_200
UP_SLOTS, DOWN_SLOTS = 2, 3
FLOOD_TEXTS = ["the meter turns and turns " * 40] * 48  # seconds of work
SLOW_MS = 400


async def hello(_: Request) -> Response:
    return PlainTextResponse("the canary sings")


CANARY = Starlette(routes=[Route("/", hello)])


class Moment(NamedTuple):
    """When something was done: it took a while, and took effect somewhere in between."""

    before: float
    after: float

    @classmethod
    async def of(cls, deed: Callable[[], object]) -> Moment:
        before = time.time()
        await asyncio.to_thread(deed)
        return cls(before, time.time())


class Seen(NamedTuple):
    sighting: Sighting
    began: Moment
    ended: Moment


@pytest.fixture(scope="module")
def canary() -> Iterator[str]:
    with serving(CANARY) as url:
        yield url


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runtime]:
    node = Runtime(tmp_path_factory.mktemp("node") / "runtime.log")
    try:
        yield node
    finally:
        node.stop()


@pytest.fixture
def runtime(node: Runtime) -> Runtime:
    """The node, up, and nothing counted yet."""
    if not node.is_running:
        node.start()
    node.told_tokens = 0
    return node


def settings(runtime: Runtime, canary: str, **probe: Any) -> dict[str, Any]:
    sources = [
        {"type": "exporter", "kind": "runtime", "url": f"{runtime.url}/metrics"},
        {"type": "health", "url": f"{runtime.url}/healthz"},
        {"type": "embedding", "url": runtime.url, "model": MODEL_NAME, **probe},
    ]
    return {
        "slot_ms": SLOT_MS,
        "look_ms": LOOK_MS,
        "canaries": [{"type": "page", "url": canary, "contains": "canary"}],
        "nodes": [{"id": NODE, "sources": sources}],
    }


def assert_down_as_long_as(seen: Seen) -> None:
    """Slot by slot what the stopwatch says, but for those in which it changed; missed ones are unknown."""
    states, first = seen.sighting.observation.states, seen.sighting.observation.window.first_slot
    down_from, down_until = slot_at(seen.began.after, SLOT_MS) + 1, slot_at(seen.ended.before, SLOT_MS) - 1
    up_until, up_from = slot_at(seen.began.before, SLOT_MS) - 1, slot_at(seen.ended.after, SLOT_MS) + 1
    for slot, state in enumerate(states, first):
        if down_from <= slot <= down_until:
            assert state in "D?", (slot, seen)
        if slot <= up_until or slot >= up_from:
            assert state in "U?", (slot, seen)
    assert runs(states) == "UDU", seen


async def outage(
    runtime: Runtime, canary: str, begin: Callable[[], object], end: Callable[[], object]
) -> Seen:
    async with watching(settings(runtime, canary)) as watched:
        first = await watched.slots(1)
        await watched.slots(UP_SLOTS)
        began = await Moment.of(begin)
        await watched.slots(DOWN_SLOTS)
        ended = await Moment.of(end)
        last = await watched.slots(UP_SLOTS)
        return Seen((await watched.observe(first, last))[NODE], began, ended)


def test_a_node_that_freezes_is_down_until_it_thaws(runtime: Runtime, canary: str) -> None:
    """It still takes connections: the kernel does that for it."""
    seen = asyncio.run(
        outage(
            *(runtime, canary),
            runtime.freeze,
            runtime.thaw,
        )
    )
    assert_down_as_long_as(seen)
    assert any("takes longer than" in fault for fault in seen.sighting.faults)


def test_a_node_that_is_killed_is_down_until_it_is_back(runtime: Runtime, canary: str) -> None:
    seen = asyncio.run(outage(runtime, canary, runtime.stop, runtime.start))
    assert_down_as_long_as(seen)
    assert "line of this machine" in {exhibit.asked for exhibit in seen.sighting.evidence.exhibits}


def test_a_node_that_is_too_slow_does_not_serve_though_it_says_that_it_is_well(
    runtime: Runtime, canary: str
) -> None:
    async def story() -> str:
        async with watching(settings(runtime, canary, within_ms=SLOW_MS)) as watched:
            first = await watched.slots(1)
            await watched.slots(UP_SLOTS)
            await asyncio.to_thread(runtime.serve, FLOOD_TEXTS)
            last = await watched.slots(UP_SLOTS)
            return (await watched.observe(first, last))[NODE].observation.states

    states = asyncio.run(story())
    assert runs(states) == "UDU", states


def test_work_on_both_sides_of_a_restart_is_counted(runtime: Runtime, canary: str) -> None:
    """To the token of what customers were told, and of what the reporter itself asked."""

    async def story() -> Sighting:
        document = settings(runtime, canary)
        document["nodes"][0]["sources"].pop()  # without the probe, whose tokens would be counted too
        async with watching(document) as watched:
            first = await watched.slots(1)
            await asyncio.to_thread(runtime.serve, ["the meter turns"] * 40)
            await watched.slots(1)
            await asyncio.to_thread(runtime.stop)
            await watched.slots(1)
            await asyncio.to_thread(runtime.start)
            await watched.slots(1)
            await asyncio.to_thread(runtime.serve, ["the barrel fills"] * 30)
            last = await watched.slots(1)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    gained = sighting.observation.gained
    assert gained.tokens == runtime.told_tokens
    assert gained.busy_micros > 0
    assert gained.energy_microjoules > 0
    assert not any("implausible" in fault for fault in sighting.faults)


def test_a_wrong_answer_does_not_serve(runtime: Runtime, canary: str) -> None:
    """Another model behind the same name: it is up, quick, and wrong."""
    known = [{"text": "the meter turns", "vector": [1.0] + [0.0] * 383}]

    async def story() -> Sighting:
        async with watching(settings(runtime, canary, known=known)) as watched:
            first = await watched.slots(1)
            last = await watched.slots(UP_SLOTS)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    assert runs(sighting.observation.states) == "D"
    assert any("answers wrongly: cosine" in fault for fault in sighting.faults)


def test_node_and_canary_both_out_of_reach_is_unknown() -> None:
    nowhere = f"http://{local.HOST}:{local.free_port()}"
    document = {
        "slot_ms": 200,
        "canaries": [{"type": "page", "url": nowhere, "contains": "canary"}],
        "nodes": [{"id": NODE, "sources": [{"type": "health", "url": nowhere}]}],
    }

    async def story() -> str:
        async with watching(document) as watched:
            first = await watched.slots(1)
            last = await watched.slots(UP_SLOTS)
            return (await watched.observe(first, last))[NODE].observation.states

    assert set(asyncio.run(story())) == {"?"}

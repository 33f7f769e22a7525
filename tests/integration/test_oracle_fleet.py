"""Many nodes and all kinds of exporters under one reporter's eyes: one node's trouble is that node's."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack
from typing import Any, NamedTuple

import pytest
from gpu_exporters import Dcgm, Vllm
from loopback import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from watched_fleet import MISSED, runs, watching

from wellhead.chain import local
from wellhead.errors import Misused
from wellhead.oracle.fleet import Fleet, Sighting, slot_at
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.observation import Counters, Window
from wellhead.runtime.energy import EnergyEstimate
from wellhead.runtime.metrics import NodeMetrics

SLOT_MS = 500
NODE = 7


class Server(NamedTuple):
    dcgm: Dcgm
    vllm: Vllm
    document: dict[str, Any]


@pytest.fixture
def server() -> Iterator[Server]:
    """A GPU server of two GPUs, scraped directly, and a canary beside it."""
    dcgm, vllm = Dcgm(), Vllm()
    with ExitStack() as stack:
        gpu, engine, canary = (stack.enter_context(serving(app)) for app in (dcgm.app, vllm.app, CANARY))
        sources = [
            {"type": "exporter", "kind": "dcgm", "url": f"{gpu}/metrics"},
            {"type": "exporter", "kind": "vllm", "url": f"{engine}/metrics"},
        ]
        document = {
            "slot_ms": SLOT_MS,
            "canaries": [{"type": "page", "url": canary, "contains": "canary"}],
            "nodes": [{"id": NODE, "gpu_count": 2, "sources": sources}],
        }
        yield Server(dcgm, vllm, document)


async def hello(_: Request) -> Response:
    return PlainTextResponse("the canary sings")


CANARY = Starlette(routes=[Route("/", hello)])


def test_a_gpu_that_restarts_alone_is_counted_alone(server: Server) -> None:
    async def story() -> Sighting:
        async with watching(server.document) as watched:
            first = await watched.slots(1)
            for gpu, more in zip(server.dcgm.gpus, (3_000, 500), strict=True):
                gpu.energy_millijoules += more
            await watched.slots(1)
            server.dcgm.gpus[1].energy_millijoules = 40  # its driver began anew
            server.vllm.serve(100, 20)
            await watched.slots(1)
            server.vllm.start()
            server.vllm.serve(7, 1)
            server.dcgm.gpus[0].energy_millijoules += 1_000
            last = await watched.slots(1)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    assert set(sighting.observation.states) - {MISSED} == {"U"}
    gained = sighting.observation.gained
    assert gained.energy_microjoules == (3_000 + 500 + 40 + 1_000) * 1_000
    assert gained.tokens == 128


def test_busy_time_is_what_was_seen_and_never_the_average_of_what_is_left(server: Server) -> None:
    """Both GPUs at work; then the exporter dies, and whatever they do, nobody sees it."""

    async def story() -> Sighting:
        async with watching(server.document) as watched:
            for gpu in server.dcgm.gpus:
                gpu.busy = 0.5
            first = await watched.slots(1)
            await watched.slots(2)
            server.dcgm.fails = True
            last = await watched.slots(3)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    states = sighting.observation.states
    assert runs(states) == "UD"
    # Half of two GPUs in each slot in which the exporter answered, be it that vLLM did not.
    busy_slots = sighting.observation.gained.busy_micros / (SLOT_MS * 1_000)
    assert states.count("U") <= busy_slots <= states.count("U") + states.count(MISSED)


def test_an_engine_that_fails_is_down_though_its_gpus_answer_and_an_xid_is_noted(server: Server) -> None:
    async def story() -> Sighting:
        async with watching(server.document) as watched:
            first = await watched.slots(1)
            server.vllm.fails, server.dcgm.gpus[1].xid = True, 79
            last = await watched.slots(2)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    assert runs(sighting.observation.states) == "UD"
    assert any("DCGM_FI_DEV_XID_ERRORS is 79 of" in fault for fault in sighting.faults), sighting.faults
    assert any("answers 500" in fault for fault in sighting.faults)


def test_work_that_no_gpu_did_is_flagged_and_changes_no_figure(server: Server) -> None:
    async def story() -> Sighting:
        async with watching(server.document) as watched:
            first = await watched.slots(1)
            server.vllm.serve(10**9, 0)
            last = await watched.slots(1)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    assert sighting.observation.gained == Counters(10**9, 0, 0)
    flagged = [fault for fault in sighting.faults if fault.startswith("implausible: ")]
    assert len(flagged) == 2, sighting.faults  # no busy time, no energy


def test_two_windows_meet_without_gap_or_overlap(server: Server) -> None:
    async def story() -> list[Counters]:
        gained = []
        async with watching(server.document) as watched:
            first = await watched.slots(1) + 1
            for tokens in (100, 11):
                server.vllm.serve(tokens, 0)
                last = await watched.slots(1)
                gained.append((await watched.observe(first, last))[NODE].observation.gained)
                first = last + 1
        return gained

    assert [gain.tokens for gain in asyncio.run(story())] == [100, 11]


HEALTHY = 100
HANGS, TRICKLES, TALKS_NONSENSE, SENDS_TOO_MUCH, DEAD = range(HEALTHY + 1, HEALTHY + 6)


class Crowd:
    """One server that plays many nodes, and counts how many are asked at once."""

    def __init__(self) -> None:
        self.at_once, self.most_at_once = 0, 0
        metrics = NodeMetrics(EnergyEstimate())
        self._text = metrics.exposition()
        self._over = asyncio.Event()
        self.app = Starlette(routes=[Route("/{node:int}", self.answer)])

    async def answer(self, request: Request) -> Response:
        node = request.path_params["node"]
        self.at_once += 1
        self.most_at_once = max(self.at_once, self.most_at_once)
        try:
            await asyncio.sleep(0)  # let others come
            if node == HANGS:
                while not await request.is_disconnected():
                    await asyncio.sleep(0.05)  # a server is not told otherwise
            if node == TRICKLES:
                return StreamingResponse(_trickle(request))
            return {
                TALKS_NONSENSE: PlainTextResponse("<html>sign in</html>"),
                SENDS_TOO_MUCH: PlainTextResponse(b"#" * (1 << 21)),
            }.get(node, Response(self._text))
        finally:
            self.at_once -= 1


async def _trickle(request: Request) -> AsyncIterator[bytes]:
    while not await request.is_disconnected():
        yield b"#"
        await asyncio.sleep(0.05)


def test_one_nodes_trouble_is_that_nodes() -> None:
    crowd, slot_ms, connections = Crowd(), 2_000, 100
    with serving(crowd.app) as url:
        nowhere = f"http://{local.HOST}:{local.free_port()}"
        nodes = [
            {
                "id": node,
                "sources": [
                    {
                        "type": "exporter",
                        "kind": "runtime",
                        "url": f"{nowhere if node == DEAD else url}/{node}",
                    }
                ],
            }
            for node in range(1, DEAD + 1)
        ]
        document = {"slot_ms": slot_ms, "look_ms": 900, "connections": connections, "nodes": nodes}

        async def story() -> dict[int, Sighting]:
            async with watching(document) as watched:
                first = await watched.slots(1)
                last = await watched.slots(3)
                return dict(await watched.observe(first, last))

        sightings = asyncio.run(story())
    states = {node: set(sighting.observation.states) - {MISSED} for node, sighting in sightings.items()}
    healthy = [node for node in range(1, HEALTHY + 1) if states[node] == {"U"}]
    assert len(healthy) == HEALTHY, {node: sightings[node] for node in states if node not in healthy}
    # The others prove the line: whoever does not answer is down, not unknown.
    assert all(states[node] == {"D"} for node in range(HANGS, DEAD + 1)), states
    assert 1 < crowd.most_at_once <= connections


def test_a_window_on_another_grid_is_misuse() -> None:
    fleet = Fleet(FleetSettings(slot_ms=10_000))
    with pytest.raises(Misused, match="the window's slots are 1000 ms, this fleet's 10000"):
        asyncio.run(fleet.observe(Window(0, 1, 1_000)))


def test_a_window_that_is_longer_than_memory_says_so(server: Server) -> None:
    fleet = Fleet(FleetSettings.model_validate(server.document | {"remember_seconds": 3_600}))

    def faults(seconds: int) -> tuple[str, ...]:
        slots = seconds * 1_000 // SLOT_MS
        window = Window(slot_at(time.time(), SLOT_MS) - slots, slots, SLOT_MS)
        return asyncio.run(fleet.observe(window))[NODE].faults

    assert faults(3_000) == ()
    assert "looks are remembered for 3600 s: allow more" in faults(4_000)[0]


def test_a_fault_of_ours_is_not_the_nodes(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("wellhead.oracle.sources.exporter.parse", lambda *_: 1 / 0)

    async def story() -> Sighting:
        async with watching(server.document) as watched:
            first = await watched.slots(1)
            last = await watched.slots(1)
            return (await watched.observe(first, last))[NODE]

    sighting = asyncio.run(story())
    assert set(sighting.observation.states) == {"?"}
    assert any("the look failed here: ZeroDivisionError" in fault for fault in sighting.faults)

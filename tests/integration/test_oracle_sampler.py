"""A reporter between a node and a canary that answer, do not, or play for time."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator

import pytest
from loopback import serving
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from wellhead.chain.keys import local_account
from wellhead.chain.local import CHAIN_ID, HOST, free_port
from wellhead.errors import Misused
from wellhead.oracle.observation import Observation
from wellhead.oracle.sampler import Canary, Reporter, Target
from wellhead.oracle.watch import Watch
from wellhead.runtime.energy import EnergyEstimate
from wellhead.runtime.metrics import NodeMetrics

INTERVAL_MS = 500
MISSED = "?"  # a sample that a busy machine missed is unknown, never up or down
SLOTS = 3
PATIENCE_SECONDS = 30


async def chain(request: Request) -> Response:
    call = json.loads(await request.body())
    return JSONResponse({"jsonrpc": "2.0", "id": call["id"], "result": hex(CHAIN_ID)})


CHAIN = Starlette(routes=[Route("/", chain, methods=["POST"])])


async def healthy(_: Request) -> Response:
    return JSONResponse({"status": "ok"})


async def trickle(_: Request) -> Response:
    async def forever() -> AsyncIterator[bytes]:
        while True:
            yield b"#"
            await asyncio.sleep(0.05)

    return StreamingResponse(forever())


def node_of(metrics: NodeMetrics) -> Starlette:
    async def exposition(_: Request) -> Response:
        return Response(metrics.exposition())

    return Starlette(routes=[Route("/healthz", healthy), Route("/metrics", exposition)])


TRICKLING = Starlette(routes=[Route("/healthz", trickle), Route("/metrics", trickle)])
NO_EXPORTER = Starlette(routes=[Route("/healthz", healthy)])


def nowhere() -> str:
    return f"http://{HOST}:{free_port()}"


def watch_nodes(canary_url: str, *node_urls: str) -> dict[int, Observation]:
    """What one reporter sees of the nodes, numbered from 1, over a window."""
    targets = [Target(number, url) for number, url in enumerate(node_urls, 1)]
    reporter = Reporter(local_account("reporter-0"), targets, Canary(canary_url, CHAIN_ID), INTERVAL_MS)
    watch = Watch([reporter])
    watch.start()
    try:
        begun = int(time.time() * 1000) // INTERVAL_MS
        assert reporter.wait_for(begun + SLOTS, PATIENCE_SECONDS)
        (revealed,) = watch.cut().unsealed
    finally:
        watch.stop()
    return dict(revealed.observations)


def test_a_node_that_serves_is_up() -> None:
    with serving(CHAIN) as canary, serving(node_of(NodeMetrics(EnergyEstimate()))) as node:
        seen = watch_nodes(canary, node)[1]
    assert set(seen.states) - {MISSED} == {"U"}


def test_node_and_exporter_both_dead_is_down_not_unknown() -> None:
    with serving(CHAIN) as canary:
        seen = watch_nodes(canary, nowhere())[1]
    assert set(seen.states) - {MISSED} == {"D"}


def test_a_killed_exporter_is_down() -> None:
    with serving(CHAIN) as canary, serving(NO_EXPORTER) as node:
        assert set(watch_nodes(canary, node)[1].states) - {MISSED} == {"D"}


def test_a_reporter_that_reaches_nothing_knows_nothing() -> None:
    seen = watch_nodes(nowhere(), nowhere())[1]
    assert set(seen.states) == {"?"}


def test_another_node_is_as_good_as_the_canary() -> None:
    with serving(node_of(NodeMetrics(EnergyEstimate()))) as node:
        seen = watch_nodes(nowhere(), node, nowhere())
    assert set(seen[1].states) - {MISSED} == {"U"}
    assert set(seen[2].states) - {MISSED} == {"D"}


def test_a_trickling_node_is_down_and_costs_no_slot() -> None:
    with serving(CHAIN) as canary, serving(TRICKLING) as node:
        assert set(watch_nodes(canary, node)[1].states) - {MISSED} == {"D"}


def test_a_window_begins_where_the_last_one_ended() -> None:
    metrics = NodeMetrics(EnergyEstimate())
    with serving(CHAIN) as canary, serving(node_of(metrics)) as node:
        reporter = Reporter(
            local_account("reporter-0"), [Target(1, node)], Canary(canary, CHAIN_ID), INTERVAL_MS
        )
        watch = Watch([reporter])
        watch.start()
        try:
            first = watch.cut()
            begun = first.window.first_slot + first.window.slots
            assert reporter.wait_for(begun + 1, PATIENCE_SECONDS)
            metrics.served(100, 0.5)  # after the newest sample, before the cut
            second = watch.cut()
            metrics.served(11, 0.0)
            third = watch.cut()
        finally:
            watch.stop()
    assert second.window.first_slot == first.window.first_slot + first.window.slots
    assert third.window.first_slot == second.window.first_slot + second.window.slots
    gained = [seen.unsealed[0].observations[1].gained for seen in (first, second, third)]
    assert [gain.tokens for gain in gained] == [0, 100, 11]
    assert gained[1].busy_micros == 500_000


def test_misuse_is_named() -> None:
    account, canary = local_account("reporter-0"), Canary(nowhere(), CHAIN_ID)
    with pytest.raises(Misused, match="every 50 ms is too often"):
        Reporter(account, [], canary, 50)
    with pytest.raises(Misused, match=r"share one interval, these have \[500, 1000\] ms"):
        Watch([Reporter(account, [], canary, 500), Reporter(account, [], canary, 1_000)])

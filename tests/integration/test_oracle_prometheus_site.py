"""A site as operators run them: Debian's Prometheus and node-exporter, beside exporters that speak as DCGM's and vLLM's
do. One reporter asks the Prometheus, another scrapes by itself: both must tell the same story, which is the truth."""

from __future__ import annotations

import asyncio
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from gpu_exporters import Dcgm, Vllm
from loopback import serving
from node_process import START_TIMEOUT_SECONDS
from prometheus_server import SCRAPE_MILLISECONDS, running_prometheus
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from watched_fleet import runs, watching

from wellhead.chain import local
from wellhead.oracle.fleet import Fleet, Sighting, slot_at
from wellhead.oracle.fleet_file import FleetSettings
from wellhead.oracle.observation import Window
from wellhead.processes import ManagedProcess

SLOT_MS = 1_000
assert SLOT_MS >= 2 * SCRAPE_MILLISECONDS
ASKED, SCRAPED = 1, 2  # the same server, seen in two ways


class Site(NamedTuple):
    prometheus: str
    gpu: str
    engine: str
    node_exporter: ManagedProcess
    dcgm: Dcgm
    vllm: Vllm
    node_exporter_address: str

    def scraped(self, *, by: str | None = None, node: int = ASKED) -> dict[str, Any]:
        """What the reporter is told whose Prometheus answers at `by`."""
        instances = {"dcgm": self.gpu, "vllm": self.engine}
        sources = [
            {"type": "prometheus", "server": "site", "kind": kind, "instance": instance}
            for kind, instance in instances.items()
        ]
        canary = f'up{{instance="{self.node_exporter_address}"}}'
        return {
            "slot_ms": SLOT_MS,
            "prometheus": {"site": {"url": by or self.prometheus, "canary": canary}},
            "nodes": [{"id": node, "gpu_count": 2, "sources": sources}],
        }

    def both(self) -> dict[str, Any]:
        """And beside it, the same server scraped directly."""
        document = self.scraped()
        sources = [
            {"type": "exporter", "kind": "dcgm", "url": f"http://{self.gpu}/metrics"},
            {"type": "exporter", "kind": "vllm", "url": f"http://{self.engine}/metrics"},
        ]
        document["nodes"].append({"id": SCRAPED, "gpu_count": 2, "sources": sources})
        page = {"type": "page", "url": f"http://{self.node_exporter_address}/", "contains": "Node Exporter"}
        return document | {"canaries": [page]}

    def shows(self, query: str) -> bool:
        """Whether Prometheus knows this by now."""
        answer = httpx.get(f"{self.prometheus}/api/v1/query", params={"query": query}, timeout=5).json()
        return bool(answer["data"]["result"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    program = shutil.which("prometheus-node-exporter")
    if program is None:
        pytest.fail("no node-exporter here: `apt-get install prometheus-node-exporter`")
    address = f"{local.HOST}:{local.free_port()}"
    dcgm, vllm = Dcgm(), Vllm()
    with ExitStack() as stack:
        gpu, engine = (
            stack.enter_context(serving(app)).removeprefix("http://") for app in (dcgm.app, vllm.app)
        )
        node_exporter = ManagedProcess([program, f"--web.listen-address={address}"], folder / "exporter.log")
        stack.callback(node_exporter.stop)
        prometheus = stack.enter_context(running_prometheus(folder, [gpu, engine, address]))
        site = Site(prometheus, gpu, engine, node_exporter, dcgm, vllm, address)
        for instance in (gpu, engine, address):
            wait_until(lambda instance=instance: site.shows(f'up{{instance="{instance}"}} == 1'))
        yield site


def wait_until(known: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    while not known():
        assert time.monotonic() < deadline, "Prometheus never got to know"
        time.sleep(0.1)  # a process of its own has no event to wait for


def observe(document: dict[str, Any], slots: int = 5) -> Sighting:
    """What is known now of the last slots."""
    fleet = Fleet(FleetSettings.model_validate(document))
    window = Window(slot_at(time.time(), SLOT_MS) - slots, slots, SLOT_MS)
    return asyncio.run(fleet.observe(window))[ASKED]


def test_asking_a_prometheus_and_scraping_tell_the_same_truth(site: Site) -> None:
    """Work, a GPU that restarts alone, an engine that restarts, an XID, and an exporter that is away for a while."""
    gpus, vllm = site.dcgm.gpus, site.vllm

    async def until(query: str) -> None:
        await asyncio.to_thread(wait_until, lambda: site.shows(query))

    async def story() -> tuple[dict[int, Sighting], float]:
        async with watching(site.both()) as watched:
            await until(f'vllm:prompt_tokens_total{{instance="{site.engine}"}} == 0')
            first = await watched.slots(2)
            gpus[0].energy_millijoules += 3_000
            vllm.serve(100, 20)
            await watched.slots(2)
            gpus[1].energy_millijoules, gpus[1].xid = 40, 79
            vllm.start()
            vllm.serve(7, 1)
            await watched.slots(2)
            gpus[0].pod = "serving-2"
            gpus[0].energy_millijoules += 1_000
            await watched.slots(2)
            site.dcgm.fails, away = True, time.monotonic()
            await watched.slots(3)
            site.dcgm.fails, away_seconds = False, time.monotonic() - away
            gpus[1].energy_millijoules += 5
            last = await watched.slots(3)
            await until(f'DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{{instance="{site.gpu}"}} == 45')
            return dict(await watched.observe(first, last - 1)), away_seconds

    sightings, away_seconds = asyncio.run(story())
    for sighting in sightings.values():
        states, gained = sighting.observation.states, sighting.observation.gained
        assert gained.tokens == 128, sighting
        assert gained.energy_microjoules == (3_000 + 40 + 1_000 + 5) * 1_000, sighting
        assert runs(states) == "UDU", sighting
        assert abs(states.count("D") * SLOT_MS / 1000 - away_seconds) <= 2 * SLOT_MS / 1000, sighting
        assert sum("DCGM_FI_DEV_XID_ERRORS is 79" in fault for fault in sighting.faults) == 1, sighting


def test_a_prometheus_that_is_down_leaves_its_reporter_without_knowledge(site: Site) -> None:
    nowhere = f"http://{local.HOST}:{local.free_port()}"
    sighting = observe(site.scraped(by=nowhere))
    assert set(sighting.observation.states) == {"?"}
    assert any("ConnectError" in fault for fault in sighting.faults)


def test_a_prometheus_that_scrapes_others_knows_nothing_of_the_node(site: Site, tmp_path: Path) -> None:
    with running_prometheus(tmp_path, [site.node_exporter_address]) as empty:
        wait_until(
            lambda: site._replace(prometheus=empty).shows(f'up{{instance="{site.node_exporter_address}"}}')
        )
        assert set(observe(site.scraped(by=empty)).observation.states) == {"?"}


def test_a_prometheus_that_answers_errors_is_quoted(site: Site) -> None:
    async def refuse(_: Request) -> Response:
        return PlainTextResponse("query queue is full", 503)

    with serving(Starlette(routes=[Route("/api/v1/query", refuse, methods=["POST"])])) as refusing:
        sighting = observe(site.scraped(by=refusing))
    assert set(sighting.observation.states) == {"?"}
    assert any("answers 503" in fault for fault in sighting.faults)


@pytest.mark.parametrize("off_seconds", [-120, 120])
def test_a_prometheus_two_minutes_off_is_not_believed(site: Site, off_seconds: int) -> None:
    """The real one, behind a stand-in for its clock: only the date of its answers is another."""

    class ClockOff(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            form = {"content-type": self.headers["content-type"]}
            answer = httpx.post(f"{site.prometheus}{self.path}", content=body, headers=form)
            self.send_response(answer.status_code)  # dates it
            self.end_headers()
            self.wfile.write(answer.content)

        def date_time_string(self, timestamp: float | None = None) -> str:
            return super().date_time_string((timestamp or time.time()) + off_seconds)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((local.HOST, 0), ClockOff) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        sighting = observe(site.scraped(by=f"http://{local.HOST}:{proxy.server_port}"))
        proxy.shutdown()
    assert set(sighting.observation.states) == {"?"}
    assert any("from this machine's clock" in fault for fault in sighting.faults)


def test_killing_node_and_exporters_together_is_down_and_a_dead_line_is_unknown(site: Site) -> None:
    """Last, as it leaves nothing behind: first the server alone is gone, then everything over that line."""
    site.dcgm.fails = site.vllm.fails = True
    wait_until(
        lambda: site.shows(f'up{{instance="{site.gpu}"}} == 0 and up{{instance="{site.gpu}"}} offset 2s == 0')
    )
    wait_until(lambda: observe(site.scraped(), 1).observation.states == "D")
    site.node_exporter.stop()
    wait_until(lambda: observe(site.scraped(), 1).observation.states == "?")

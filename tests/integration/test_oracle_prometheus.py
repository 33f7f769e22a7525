"""A real Prometheus over a real node that goes down and comes back: what a reporter reads there is what happened."""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from command_line import wellhead
from node_process import START_TIMEOUT_SECONDS, wait_until_up
from prometheus_server import SCRAPE_MILLISECONDS, running_prometheus

from wellhead.chain import local
from wellhead.errors import Misused
from wellhead.processes import ManagedProcess
from wellhead.runtime.embedder import MODEL_NAME

SLOT_MS = 1_000
assert SLOT_MS >= 2 * SCRAPE_MILLISECONDS
UP_SECONDS, DOWN_SECONDS = 3, 4
TEXTS = ["the meter turns"] * 40


class Site(NamedTuple):
    """A Prometheus and a node with a past; times in seconds since the epoch."""

    prometheus: str
    instance: str
    began: float
    stopped: float
    back: float
    tokens: int

    def observe(self, *arguments: str) -> dict[str, Any]:
        seconds = int(time.time() - self.began) + 2  # from before it began: what was counted then is the base
        command = ["oracle", "observe", "1", "--prometheus", self.prometheus, "--instance", self.instance]
        window = ["--for", f"{seconds}s", "--every", str(SLOT_MS)]
        return dict(json.loads(wellhead(*command, *window, *arguments, "--json")))


def serve(url: str) -> int:
    answer = httpx.post(f"{url}/v1/embeddings", json={"model": MODEL_NAME, "input": TEXTS}, timeout=30)
    return int(answer.raise_for_status().json()["usage"]["prompt_tokens"])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The node is up, killed, and up again on the same port with its counters at nothing."""
    folder = tmp_path_factory.mktemp("site")
    port = local.free_port()
    url, command = (
        f"http://{local.HOST}:{port}",
        [sys.executable, "-m", "wellhead.runtime", "--port", str(port)],
    )
    with running_prometheus(folder, [f"{local.HOST}:{port}"]) as prometheus:
        node = ManagedProcess(command, folder / "node.log")
        try:
            wait_until_up(url, node)
            wait_until_scraped(prometheus, f"{local.HOST}:{port}")
            let_scrape(UP_SECONDS)
            began, tokens = time.time(), serve(url)
            let_scrape(UP_SECONDS)
            node.stop()
            stopped = time.time()
            let_scrape(DOWN_SECONDS)
            node = ManagedProcess(command, folder / "node.log")
            wait_until_up(url, node)
            back = time.time()
            let_scrape(1)  # its counters are seen at nothing
            tokens += serve(url)
            let_scrape(UP_SECONDS)
            yield Site(prometheus, f"{local.HOST}:{port}", began, stopped, back, tokens)
        finally:
            node.stop()


def wait_until_scraped(prometheus: str, instance: str) -> None:
    """A Prometheus that has just begun takes some seconds to find its targets."""
    deadline = time.monotonic() + START_TIMEOUT_SECONDS
    query = {"query": f'up{{instance="{instance}"}} == 1'}
    while not httpx.get(f"{prometheus}/api/v1/query", params=query).json()["data"]["result"]:
        assert time.monotonic() < deadline, "Prometheus does not scrape the node"
        time.sleep(0.1)


def let_scrape(seconds: float) -> None:
    """Prometheus goes by the wall clock, and has no other."""
    time.sleep(seconds)


def test_the_outage_is_as_long_as_the_stopwatch_says(site: Site) -> None:
    seen = site.observe()
    assert seen["covered_slots"] == seen["slots"] == len(seen["states"]), seen["states"]
    down_seconds = (seen["slots"] - seen["up_slots"]) * SLOT_MS / 1000
    # Within a slot at either end: of two scrapes in one, both must have succeeded.
    assert abs(down_seconds - (site.back - site.stopped)) <= 2 * SLOT_MS / 1000


def test_work_on_both_sides_of_the_restart_is_counted_to_the_token(site: Site) -> None:
    assert site.observe()["gained"]["tokens"] == site.tokens


def test_the_evidence_is_what_prometheus_said(site: Site) -> None:
    evidence = site.observe()["evidence"]
    answers = {one["asked"].split(" at ")[0]: one["answer"] for one in evidence}
    assert answers.keys() >= {'up{job="prometheus"}', f'up{{instance="{site.instance}"}}'}
    assert all(
        json.loads(body)["status"] == "success" for asked, body in answers.items() if asked.startswith("up")
    )


def test_a_node_that_nobody_scrapes_is_unknown_and_not_down(site: Site) -> None:
    seen = site.observe("--instance", "127.0.0.1:1")
    assert (seen["covered_slots"], seen["up_slots"]) == (0, 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--canary", "up{"], "Prometheus refuses: .*parse error"),
        (["--prometheus", "http://127.0.0.1:1"], ":1/"),
    ],
)
def test_what_prometheus_refuses_is_said(site: Site, arguments: list[str], said: str) -> None:
    seen = site.observe(*arguments)
    assert any(re.search(said, fault) for fault in seen["faults"]), seen["faults"]


@pytest.mark.parametrize(
    "arguments", [["--every", "100000000"], ["--dcgm", "gpu:9400"], ["--dcgm", "a", "--vllm", "b"]]
)
def test_observe_misused(site: Site, arguments: list[str]) -> None:
    with pytest.raises(Misused):
        site.observe(*arguments)

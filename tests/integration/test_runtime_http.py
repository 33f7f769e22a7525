"""The runtime as a process of its own, met over loopback by a stock OpenAI client."""

from __future__ import annotations

import math
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import openai
import pytest
from node_process import serving_node
from prometheus_client.parser import text_string_to_metric_families

from wellhead.chain.local import free_port
from wellhead.runtime import metrics as names
from wellhead.runtime.embedder import MODEL_NAME
from wellhead.runtime.wire import MAX_BODY_BYTES, MAX_INPUTS

START_TIMEOUT_SECONDS = 60


class Node(NamedTuple):
    url: str
    client: openai.OpenAI

    def counters(self) -> dict[str, float]:
        text = httpx.get(f"{self.url}/metrics", timeout=10).text
        return {
            sample.name + "".join(sample.labels.values()): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    log = tmp_path_factory.mktemp("runtime") / "runtime.log"
    with (
        serving_node(log) as url,
        openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0) as client,
    ):
        yield Node(url, client)


def test_a_stock_client_gets_unit_vectors(node: Node) -> None:
    answer = node.client.embeddings.create(model=MODEL_NAME, input=["well", "meter", "well"])
    assert [entry.index for entry in answer.data] == [0, 1, 2]
    assert all(math.isclose(sum(x * x for x in entry.embedding), 1, abs_tol=1e-5) for entry in answer.data)
    assert answer.data[0].embedding == answer.data[2].embedding != answer.data[1].embedding
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 9
    assert answer.model == MODEL_NAME


def test_base64_and_float_carry_the_same_vector(node: Node) -> None:
    # The client asks for base64 unless told otherwise, and decodes it.
    packed = node.client.embeddings.create(model=MODEL_NAME, input="the same text")
    plain = node.client.embeddings.create(model=MODEL_NAME, input="the same text", encoding_format="float")
    assert packed.data[0].embedding == plain.data[0].embedding


def test_the_model_is_listed(node: Node) -> None:
    assert [model.id for model in node.client.models.list()] == [MODEL_NAME]


def test_counters_follow_served_work(node: Node) -> None:
    before, started = node.counters(), time.monotonic()
    used = sum(
        node.client.embeddings.create(model=MODEL_NAME, input="some words " * length).usage.prompt_tokens
        for length in (1, 20, 100)
    )
    elapsed = time.monotonic() - started
    after = node.counters()
    assert after[names.PROMPT_TOKENS] - before[names.PROMPT_TOKENS] == used
    assert after[names.REQUESTS + "200"] - before.get(names.REQUESTS + "200", 0) == 3
    assert 0 < after[names.BUSY_SECONDS] - before[names.BUSY_SECONDS] < elapsed
    assert after[names.ENERGY_ESTIMATE_JOULES] > before[names.ENERGY_ESTIMATE_JOULES]
    assert after[names.GPUS] == 1


def test_refused_requests_leave_served_work_untouched(node: Node) -> None:
    before = node.counters()
    with pytest.raises(openai.BadRequestError, match=f"the limit is {MAX_INPUTS}"):
        node.client.embeddings.create(model=MODEL_NAME, input=["x"] * (MAX_INPUTS + 1))
    with pytest.raises(openai.BadRequestError, match="token ids"):
        node.client.embeddings.create(model=MODEL_NAME, input=[1, 2, 3])
    with pytest.raises(openai.NotFoundError, match="serves 'all-MiniLM-L6-v2'"):
        node.client.embeddings.create(model="another", input="text")
    after = node.counters()
    for name in (names.PROMPT_TOKENS, names.BUSY_SECONDS):
        assert after[name] == before[name]
    assert after[names.REQUESTS + "400"] - before.get(names.REQUESTS + "400", 0) == 2
    assert after[names.REQUESTS + "404"] - before.get(names.REQUESTS + "404", 0) == 1


def test_a_large_body_is_refused_whether_announced_or_streamed(node: Node) -> None:
    url = f"{node.url}/v1/embeddings"
    announced = httpx.post(url, content=b"x" * (MAX_BODY_BYTES + 1), timeout=10)
    streamed = httpx.post(url, content=(b"x" * 65_536 for _ in range(17)), timeout=10)
    for answer in (announced, streamed):
        assert answer.status_code == 413
        assert f"the limit is {MAX_BODY_BYTES}" in answer.json()["error"]["message"]


def test_unknown_routes_answer_in_the_same_shape(node: Node) -> None:
    answer = httpx.get(f"{node.url}/v1/chat/completions", timeout=10)
    assert answer.status_code == 404
    assert "POST /v1/embeddings" in answer.json()["error"]["message"]
    assert httpx.get(f"{node.url}/v1/embeddings", timeout=10).status_code == 405


def test_wrong_weights_keep_it_from_starting(tmp_path: Path) -> None:
    for name in ("model.safetensors", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"{}")
    run = subprocess.run(
        [sys.executable, "-m", "wellhead.runtime", "--port", "1", "--model-dir", str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert run.returncode == 1
    assert "refuses to start" in run.stderr
    assert "expected" in run.stderr


def test_sigterm_ends_it_in_order(tmp_path: Path) -> None:
    port = free_port()
    log = (tmp_path / "log").open("wb")
    process = subprocess.Popen(
        [sys.executable, "-m", "wellhead.runtime", "--port", str(port)],
        stdout=log,
        stderr=log,
    )
    try:
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while b"running on" not in (tmp_path / "log").read_bytes():
            assert process.poll() is None, (tmp_path / "log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        # One BLAS thread whatever the cores, beside the event loop's idle helpers, and nothing of torch.
        tasks = Path(f"/proc/{process.pid}/task").iterdir()
        threads = [(task / "comm").read_text().strip() for task in tasks]
        assert len([name for name in threads if name != "libuv-worker"]) == 1
        assert "torch" not in Path(f"/proc/{process.pid}/maps").read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        log.close()

"""The counters, and the worker that moves them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from wellhead.runtime import app as runtime_app
from wellhead.runtime import metrics as names
from wellhead.runtime.app import Worker
from wellhead.runtime.embedder import Embedded
from wellhead.runtime.energy import EnergyEstimate
from wellhead.runtime.metrics import NodeMetrics
from wellhead.runtime.wire import RequestError


def values(metrics: NodeMetrics) -> dict[str, float]:
    families = text_string_to_metric_families(metrics.exposition().decode())
    return {
        sample.name + "".join(sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


class GatedModel:
    """Each call waits until the gate opens."""

    def __init__(self) -> None:
        self.gate = threading.Event()

    def embed(self, texts: Sequence[str]) -> Embedded:
        self.gate.wait(10)
        if texts[0] == "fail":
            raise ValueError("the model broke")
        return Embedded(np.zeros((1, 384), dtype=np.float32), 3, 0.25)


def test_work_and_requests_are_counted_apart() -> None:
    metrics = NodeMetrics(EnergyEstimate())
    metrics.served(12, 0.5)
    metrics.answered(200)
    metrics.answered(400)
    found = values(metrics)
    assert found[names.PROMPT_TOKENS] == 12
    assert found[names.BUSY_SECONDS] == 0.5
    assert found[names.REQUESTS + "200"] == found[names.REQUESTS + "400"] == 1
    assert found[names.GPUS] == 1


def test_two_nodes_in_one_process_do_not_share_counters() -> None:
    one, other = NodeMetrics(EnergyEstimate()), NodeMetrics(EnergyEstimate())
    one.served(5, 1.0)
    assert values(other)[names.PROMPT_TOKENS] == 0


def test_energy_is_cpu_time_times_the_stated_power(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter([100.0, 103.0])
    monkeypatch.setattr("wellhead.runtime.energy.time.process_time", lambda: next(clock))
    metrics = NodeMetrics(EnergyEstimate(watts_per_core=12.0))
    exposed = metrics.exposition().decode()
    assert f"{names.ENERGY_ESTIMATE_JOULES} 36.0" in exposed
    assert f"{names.WATTS_PER_CORE} 12.0" in exposed
    assert "ESTIMATE, not metered" in exposed


class MeetingModel:
    """Each call waits a moment for a second one to join it inside."""

    def __init__(self) -> None:
        self.inside = 0
        self.met = threading.Event()

    def embed(self, texts: Sequence[str]) -> Embedded:
        self.inside += 1
        if self.inside > 1:
            self.met.set()
        self.met.wait(0.1)
        self.inside -= 1
        return Embedded(np.zeros((len(texts), 384), dtype=np.float32), 3, 0.25)


def test_one_request_is_in_the_model_at_a_time() -> None:
    model, metrics = MeetingModel(), NodeMetrics(EnergyEstimate())

    async def burst() -> None:
        worker = Worker(model, metrics)
        await asyncio.gather(*(worker.embed(["text"]) for _ in range(4)))
        worker.close()

    asyncio.run(burst())
    assert not model.met.is_set()
    assert values(metrics)[names.PROMPT_TOKENS] == 12
    assert values(metrics)[names.BUSY_SECONDS] == 1.0


def test_beyond_the_line_requests_are_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtime_app, "MAX_WAITING", 2)
    model, metrics = GatedModel(), NodeMetrics(EnergyEstimate())

    async def burst() -> list[Embedded | BaseException]:
        worker = Worker(model, metrics)
        calls = [asyncio.ensure_future(worker.embed(["text"])) for _ in range(3)]
        await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        model.gate.set()
        return await asyncio.gather(*calls, return_exceptions=True)

    results = asyncio.run(burst())
    refused = [result for result in results if isinstance(result, RequestError)]
    assert [error.status for error in refused] == [503]
    assert "2 requests wait already; the limit is 2" in refused[0].message
    assert values(metrics)[names.PROMPT_TOKENS] == 6


def test_failed_work_is_not_counted_and_frees_its_place() -> None:
    model, metrics = GatedModel(), NodeMetrics(EnergyEstimate())
    model.gate.set()

    async def fail_then_serve() -> None:
        worker = Worker(model, metrics)
        with pytest.raises(ValueError, match="the model broke"):
            await worker.embed(["fail"])
        await worker.embed(["text"])

    asyncio.run(fail_then_serve())
    assert values(metrics)[names.PROMPT_TOKENS] == 3

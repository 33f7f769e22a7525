"""What the node tells about itself in Prometheus' text format, from a registry of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, generate_latest
from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector

from wellhead.runtime.energy import EnergyEstimate

# Names that reporters read; a counter's exposed name ends in _total.
REQUESTS = "wellhead_node_requests_total"
PROMPT_TOKENS = "wellhead_node_prompt_tokens_total"
BUSY_SECONDS = "wellhead_node_busy_seconds_total"
ENERGY_ESTIMATE_JOULES = "wellhead_node_energy_estimate_joules_total"
GPUS = "wellhead_node_gpus"
START_TIME_SECONDS = "wellhead_node_start_time_seconds"
WATTS_PER_CORE = "wellhead_node_energy_estimate_watts_per_core"

STAND_IN_GPUS = 1


class NodeMetrics:
    """The node's counters. Only served work moves tokens and busy seconds; refusals count as requests."""

    def __init__(self, energy: EnergyEstimate) -> None:
        """Counters start at zero, as after any restart."""
        self._registry = CollectorRegistry()
        self._requests = Counter(
            REQUESTS, "Embedding requests answered, by HTTP status.", ["status"], registry=self._registry
        )
        self._tokens = Counter(
            PROMPT_TOKENS, "Tokens that the model read for served requests.", registry=self._registry
        )
        self._busy = Counter(
            BUSY_SECONDS,
            "Seconds in which the one worker was inside the model, measured.",
            registry=self._registry,
        )
        gpus = Gauge(
            GPUS,
            "GPUs of this node. A stand-in for a GPU: one CPU worker counts as one.",
            registry=self._registry,
        )
        gpus.set(STAND_IN_GPUS)
        started = Gauge(
            START_TIME_SECONDS, "When this process began, seconds since the epoch.", registry=self._registry
        )
        started.set(time.time())
        watts = Gauge(
            WATTS_PER_CORE, "Power per busy core that the energy estimate assumes.", registry=self._registry
        )
        watts.set(energy.watts_per_core)
        self._registry.register(_EnergyCollector(energy))

    def answered(self, status: int) -> None:
        """Count one embedding request that was answered with `status`."""
        self._requests.labels(str(status)).inc()

    def served(self, tokens: int, busy_seconds: float) -> None:
        """Count work that was done and delivered."""
        self._tokens.inc(tokens)
        self._busy.inc(busy_seconds)

    def exposition(self) -> bytes:
        """All of it in Prometheus' text format 0.0.4."""
        return generate_latest(self._registry)


class _EnergyCollector(Collector):
    def __init__(self, energy: EnergyEstimate) -> None:
        self._energy = energy

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            ENERGY_ESTIMATE_JOULES.removesuffix("_total"),
            "Energy as an ESTIMATE, not metered: process CPU seconds times a stated power per core.",
            value=self._energy.joules(),
        )

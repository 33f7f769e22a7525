"""What the gateway counts about itself, for Prometheus."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from wellhead.gateway.inference import Call
from wellhead.gateway.prices import Tokens

# Upper bounds in seconds: from an embedding in memory to a long answer.
WAITS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


class Meters(Collector):
    """One registry per gateway, for one event loop: plain numbers, named for Prometheus when it asks, as its own
    counters take a lock each time. Amounts are atomic stablecoin units."""

    def __init__(self) -> None:
        self.under_way = 0
        self.unclaimed_usd6 = self.unclaimable_usd6 = 0
        self.ends: Counter[tuple[str, str]] = Counter()
        self.refusals: Counter[str] = Counter()
        self._charged_usd6 = self._input_tokens = self._output_tokens = self._uncounted = 0
        self._waits, self._waited_seconds = [0] * (len(WAITS) + 1), 0.0
        self._registry = CollectorRegistry()
        self._registry.register(self)

    def waited(self, seconds: float) -> None:
        """A node began to answer after so long."""
        self._waits[bisect_left(WAITS, seconds)] += 1
        self._waited_seconds += seconds

    def ended(self, call: Call, end: str) -> None:
        """A call is over."""
        self.ends[call.path, end] += 1

    def charged(self, call: Call, tokens: Tokens, usd6: int, *, counted: bool) -> None:
        """A call was paid for."""
        self._charged_usd6 += usd6
        self._input_tokens += tokens.input
        self._output_tokens += tokens.output
        if not counted or tokens.input > call.most.input or tokens.output > call.most.output:
            self._uncounted += 1

    def refused(self, code: str) -> None:
        """A payment was not taken."""
        self.refusals[code] += 1

    def text(self) -> bytes:
        """In Prometheus's exposition format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """As prometheus_client asks for it."""
        calls = CounterMetricFamily(
            "wellhead_gateway_calls", "Calls by how they ended.", labels=["path", "end"]
        )
        for labels, count in self.ends.items():
            calls.add_metric(labels, count)
        yield calls
        yield CounterMetricFamily("wellhead_gateway_charged_usd6", "Charged.", self._charged_usd6)
        tokens = CounterMetricFamily("wellhead_gateway_tokens", "Tokens charged for.", labels=["direction"])
        tokens.add_metric(["input"], self._input_tokens)
        tokens.add_metric(["output"], self._output_tokens)
        yield tokens
        yield CounterMetricFamily(
            "wellhead_gateway_uncounted_calls",
            "Answers without a usage that can be right, or with more than there can be.",
            self._uncounted,
        )
        refused = CounterMetricFamily(
            "wellhead_gateway_refused_payments", "Payments not taken.", labels=["code"]
        )
        for code, count in self.refusals.items():
            refused.add_metric([code], count)
        yield refused
        yield GaugeMetricFamily("wellhead_gateway_calls_under_way", "Calls now.", self.under_way)
        bounds = [*map(str, WAITS), "+Inf"]
        yield HistogramMetricFamily(
            "wellhead_gateway_upstream_seconds",
            "Wait for a node's answer.",
            list(zip(bounds, accumulate(self._waits), strict=True)),
            self._waited_seconds,
        )
        yield GaugeMetricFamily(
            "wellhead_gateway_unclaimed_usd6", "Charged and not claimed yet.", self.unclaimed_usd6
        )
        yield GaugeMetricFamily(
            "wellhead_gateway_unclaimable_usd6",
            "Charged, and nothing that could be claimed now.",
            self.unclaimable_usd6,
        )

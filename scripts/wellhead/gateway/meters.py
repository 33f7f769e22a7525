"""What the gateway counts about itself, for Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from wellhead.gateway.inference import Call
from wellhead.gateway.prices import Tokens


class Meters:
    """One registry per gateway. Amounts are atomic stablecoin units."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "wellhead_gateway_calls", "Calls by how they ended.", ["path", "end"], registry=self.registry
        )
        # Looking a label up costs more than counting.
        self._ends: dict[tuple[str, str], Counter] = {}
        self._charged = Counter("wellhead_gateway_charged_usd6", "Charged.", registry=self.registry)
        tokens = Counter(
            "wellhead_gateway_tokens", "Tokens charged for.", ["direction"], registry=self.registry
        )
        self._input, self._output = tokens.labels("input"), tokens.labels("output")
        self._uncounted = Counter(
            "wellhead_gateway_uncounted_calls",
            "Answers without a usage that can be right, or with more than there can be.",
            registry=self.registry,
        )
        self._refused = Counter(
            "wellhead_gateway_refused_payments", "Payments not taken.", ["code"], registry=self.registry
        )
        self.under_way = Gauge("wellhead_gateway_calls_under_way", "Calls now.", registry=self.registry)
        self.upstream_seconds = Histogram(
            "wellhead_gateway_upstream_seconds", "Wait for a node's answer.", registry=self.registry
        )
        self.unclaimed = Gauge(
            "wellhead_gateway_unclaimed_usd6", "Charged and not claimed yet.", registry=self.registry
        )
        self.unclaimable = Gauge(
            "wellhead_gateway_unclaimable_usd6",
            "Charged, and nothing that could be claimed now.",
            registry=self.registry,
        )

    def ended(self, call: Call, end: str) -> None:
        """A call is over."""
        counter = self._ends.get((call.path, end))
        if counter is None:
            counter = self._ends[call.path, end] = self._calls.labels(call.path, end)
        counter.inc()

    def charged(self, call: Call, tokens: Tokens, usd6: int, *, counted: bool) -> None:
        """A call was paid for."""
        self._charged.inc(usd6)
        self._input.inc(tokens.input)
        self._output.inc(tokens.output)
        if not counted or tokens.input > call.most.input or tokens.output > call.most.output:
            self._uncounted.inc()

    def refused(self, code: str) -> None:
        """A payment was not taken."""
        self._refused.labels(code).inc()

    def text(self) -> bytes:
        """In Prometheus's exposition format."""
        return generate_latest(self.registry)

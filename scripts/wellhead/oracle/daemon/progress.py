"""How a reporter fares, for Prometheus, for whoever asks whether it lives, and for `wellhead oracle status`."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Enum, Gauge, generate_latest

from wellhead.oracle.trigger import Cause, Decision

# A look at the chain takes moments; without one for so long something is wrong.
CHAIN_SECONDS = 120.0
_log = logging.getLogger(__name__)


class Progress:
    """One registry per daemon."""

    def __init__(self, window_seconds: float, dry: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """`window_seconds` of wall time: how often something should come of it. `dry` is one that says nothing; `clock`
        tells any seconds."""
        self._patience_seconds = max(4 * window_seconds, CHAIN_SECONDS)
        self._clock = clock
        self._looked_at = self._ended_at = self._rose_at = clock()
        self._latest: int | None = None
        self._dry = dry
        self._facts: dict[str, Any] = {"dry": dry, "last_end": "", "last_decision": "", "problem": ""}
        self._facts["scores_due"] = ""
        self.registry = CollectorRegistry()
        build = Gauge("wellhead_oracle_build_info", "Version.", ["version"], registry=self.registry)
        build.labels(version("wellhead")).set(1)
        self._rounds = Counter(
            "wellhead_oracle_rounds", "Rounds by how they ended here.", ["end"], registry=self.registry
        )
        self._cause = Enum(
            "wellhead_oracle_last_cause",
            "Why the last round is reported here, or was left out.",
            states=[cause.value for cause in Cause],
            registry=self.registry,
        )
        self._batches = Counter(
            "wellhead_oracle_score_batches",
            "Batches of scores that came to the chain, whoever brought them.",
            registry=self.registry,
        )
        self._scored_up_to: int | None = None
        self._gauges = {
            name: Gauge(f"wellhead_oracle_{name}", help_, registry=self.registry)
            for name, help_ in (
                ("last_round", "The newest round on the chain."),
                ("due_round", "The newest round whose window is over."),
                ("lag_seconds", "Since the window of the newest reported round ended, by the chain's clock."),
                ("skew_seconds", "This machine's clock ahead of the chain's."),
                ("equivocations", "Reporters that committed to two things in the last round."),
                ("observe_seconds", "Time that the last observation took."),
                ("round_seconds", "From the end of the window to a report with its quorum, last time."),
                ("balance_wei", "What the gas key holds."),
                ("scored_up_to", "The last round whose reporters' scores are on the chain."),
            )
        }

    def reported(self, latest_round: int) -> None:
        """The chain was asked, and that is the newest round that it has."""
        self._looked_at = self._clock()
        if self._latest is not None and latest_round > self._latest:
            self._rose_at = self._looked_at
        self._latest = latest_round

    def trouble(self, why: str) -> None:
        """Something failed outside of a round."""
        self._facts["problem"] = why

    def ended(self, round_number: int, end: str, why: str = "") -> None:
        """A round is over here: "agreed", "reported" by others, "left out", "given up", or just "observed"."""
        self._rounds.labels(end).inc()
        self._facts |= {"last_end": f"round {round_number} {end}", "problem": why}
        if not why:
            self._ended_at = self._clock()

    def decided(self, round_number: int, decision: Decision) -> None:
        """What was said of a round was judged; one that is left out has ended well, and no report is missing."""
        verdict = "is to be reported" if decision.reports else "is left out"
        self._facts["last_decision"] = said = f"round {round_number} {verdict}: {decision.why}"
        self._cause.state(decision.cause.value)
        _log.info(said, extra={"round": round_number, "cause": decision.cause.value})
        if not decision.reports:
            self.ended(round_number, "left out")
            self._rose_at = self._ended_at

    def set(self, **values: float) -> None:
        """Gauges by name, and facts to show."""
        for name, value in values.items():
            self._gauges[name].set(value)
            self._facts[name] = value

    def scored(self, up_to: int) -> None:
        """The chain was asked how far scores go."""
        if self._scored_up_to is not None and up_to > self._scored_up_to:
            self._batches.inc()
        self._scored_up_to = up_to
        self.set(scored_up_to=up_to)

    def scoring(self, what: str) -> None:
        """What is due, and how far it is; empty if nothing is."""
        self._facts["scores_due"] = what

    @property
    def ailment(self) -> str:
        """Why it makes no progress; empty while it does."""
        now, why = self._clock(), self._facts["problem"] or "nothing that is known here failed"
        if now - self._looked_at > CHAIN_SECONDS:
            return f"the chain has not answered for {now - self._looked_at:.0f} s: {why}"
        if now - self._ended_at > self._patience_seconds:
            return f"no round has ended well here for {now - self._ended_at:.0f} s: {why}"
        if not self._dry and now - self._rose_at > self._patience_seconds:
            return f"no report has come to the chain for {now - self._rose_at:.0f} s: {why}"
        return ""

    def status(self) -> dict[str, Any]:
        """For people."""
        return {**self._facts, "healthy": not self.ailment, "ailment": self.ailment}

    def text(self) -> bytes:
        """In Prometheus's exposition format."""
        return generate_latest(self.registry)

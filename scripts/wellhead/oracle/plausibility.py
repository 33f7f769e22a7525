"""Figures that cannot go together: flags for people and evidence, which change no figure. Pure.

Bounds are wide on purpose: what they catch is a counter that is made up or misread, not a slow node.
"""

from __future__ import annotations

from dataclasses import dataclass

from wellhead.oracle.observation import Counters
from wellhead.units import format_usd

MILLIONTHS = 1_000_000
MICROJOULES_PER_WH = 3_600 * MILLIONTHS


@dataclass(frozen=True)
class Bounds:
    """What no hardware of today gets beyond."""

    tokens_per_busy_second: int = 5_000_000
    """Of one GPU. A small embedding model on the fastest reads about a million."""
    microjoules_per_token: int = 5
    """At least. 22 million parameters, two operations each, at a trillion operations per joule: 45."""
    microjoules_per_busy_token: int = MICROJOULES_PER_WH
    """At most, of a node that is busy half of the time or more. The largest models in single file need a tenth."""
    watts_per_gpu: int = 5_000
    """With its share of the server."""
    tokens_worth_judging: int = 50_000
    """Fewer may fall between two looks at gauges and meters."""
    usd6_per_million_tokens: int = 10_000 * MILLIONTHS
    """What nobody pays: the dearest models take some hundred dollars."""
    usd6_worth_judging: int = 100 * MILLIONTHS
    """Less may be settled before the round that tells of its work."""


@dataclass(frozen=True)
class Work:
    """What one node is said to have done over a window."""

    gained: Counters
    gpu_count: int
    seconds: int
    """Of the window."""
    measured: frozenset[str]
    """Which of "tokens", "busy time", "energy" a source counts at all."""


def flags(work: Work, bounds: Bounds | None = None) -> tuple[str, ...]:
    """What cannot be; empty when all may."""
    bounds = bounds or Bounds()
    return tuple(f"implausible: {flag}" for flag in _of_counters(work, bounds))


def income_flags(settled_usd6: int, work_units: int, bounds: Bounds | None = None) -> tuple[str, ...]:
    """What cannot be of a node's vouchers settled so far, beside the tokens that reporters saw it serve so far."""
    bounds = bounds or Bounds()
    if settled_usd6 < bounds.usd6_worth_judging:
        return ()
    if settled_usd6 * MILLIONTHS <= work_units * bounds.usd6_per_million_tokens:
        return ()
    limit = format_usd(bounds.usd6_per_million_tokens)
    paid = format_usd(settled_usd6)
    return (f"implausible: {paid} settled for {work_units} tokens served, at most {limit} a million",)


def _of_counters(work: Work, bounds: Bounds) -> list[str]:
    tokens, busy, energy = work.gained.tokens, work.gained.busy_micros, work.gained.energy_microjoules
    most_busy = work.seconds * work.gpu_count * MILLIONTHS
    worked = "tokens" in work.measured and tokens >= bounds.tokens_worth_judging
    found = []
    if "busy time" in work.measured:
        if worked and tokens * MILLIONTHS > busy * bounds.tokens_per_busy_second:
            limit = f"at most {bounds.tokens_per_busy_second} a second"
            found.append(f"{tokens} tokens in {busy / MILLIONTHS:.6f} busy GPU-seconds, {limit}")
        if busy > most_busy:
            found.append(f"{busy // MILLIONTHS} s busy, {work.gpu_count} GPU for {work.seconds} s give less")
    if "energy" in work.measured:
        if worked and energy < tokens * bounds.microjoules_per_token:
            limit = f"at least {bounds.microjoules_per_token} microjoules each"
            found.append(f"{tokens} tokens for {energy} microjoules, {limit}")
        if worked and 2 * busy >= most_busy and energy > tokens * bounds.microjoules_per_busy_token:
            found.append(f"{energy // MICROJOULES_PER_WH} Wh for {tokens} tokens, at most one each")
        if energy > most_busy * bounds.watts_per_gpu:
            limit = f"at most {bounds.watts_per_gpu} W per GPU"
            found.append(f"{energy // MICROJOULES_PER_WH} Wh in {work.seconds} s, {limit}")
    return found

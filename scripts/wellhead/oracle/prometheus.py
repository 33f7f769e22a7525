"""A reporter's own Prometheus as a source: every raw scrape of a window, asked for at the window's explicit end.

Range selectors give scrapes as they happened, with their times; functions such as `avg_over_time` or `increase`
would fill in, average over what is left, or extrapolate. Slots are at least twice the scrape interval, so that each
holds a scrape wherever in it that falls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import httpx
from eth_hash.auto import keccak

from wellhead.oracle.observation import UNKNOWN, Counters, Observation, Window, state_of
from wellhead.oracle.scrape import MAX_EXACT, MILLIONTHS, ScrapeError, fetch
from wellhead.runtime import metrics as runtime_metrics

QUERY_PATH = "/api/v1/query"
MAX_SKEW_SECONDS = 30
# So far before the window the last value is looked for that its first increase is counted from.
LOOKBACK_SECONDS = 900


class Meter(NamedTuple):
    """A selector of counters, and how many of our units one of theirs is: an integer."""

    selector: str
    scale: int


@dataclass(frozen=True)
class NodeQueries:
    """PromQL selectors of one node's series. What matches several series (GPUs, models, engines) is summed."""

    up: str
    """Exactly one series: whether the exporter was scraped."""
    serving: str | None
    """Exactly one series, 1 where the node answered a probe; without it `up` stands for that."""
    tokens: tuple[Meter, ...]
    busy_counters: tuple[Meter, ...]
    """In millionths of a GPU-second."""
    busy_ratios: tuple[str, ...]
    """Gauges from 0 to 1, one per GPU; each scrape stands for its own slot."""
    energy: tuple[Meter, ...]
    """In microjoules."""

    @classmethod
    def runtime(cls, instance: str) -> NodeQueries:
        """A `wellhead.runtime` that is scraped as `instance`."""
        labels = f'{{instance="{_quoted(instance)}"}}'
        return cls(
            up=f"up{labels}",
            serving=None,
            tokens=(Meter(f"{runtime_metrics.PROMPT_TOKENS}{labels}", 1),),
            busy_counters=(Meter(f"{runtime_metrics.BUSY_SECONDS}{labels}", MILLIONTHS),),
            busy_ratios=(),
            energy=(Meter(f"{runtime_metrics.ENERGY_ESTIMATE_JOULES}{labels}", MILLIONTHS),),
        )

    @classmethod
    def gpu_server(cls, dcgm_instance: str, vllm_instance: str) -> NodeQueries:
        """A server with NVIDIA's DCGM exporter beside a vLLM, which serves as long as it is scraped."""
        gpu, engine = (f'{{instance="{_quoted(name)}"}}' for name in (dcgm_instance, vllm_instance))
        return cls(
            up=f"up{gpu}",
            serving=f"up{engine}",
            tokens=(
                Meter(f"vllm:prompt_tokens_total{engine}", 1),
                Meter(f"vllm:generation_tokens_total{engine}", 1),
            ),
            busy_counters=(),
            busy_ratios=(f"DCGM_FI_PROF_GR_ENGINE_ACTIVE{gpu}",),
            energy=(Meter(f"DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION{gpu}", 1_000),),  # millijoules
        )


Scrapes = Sequence[tuple[int, Decimal]]
"""Of one series, in order: milliseconds since the epoch, and the value."""


class Asked(NamedTuple):
    """What Prometheus answered for one selector: as it came, and read."""

    selector: str
    body: bytes
    series: list[Scrapes]


class Evidence(NamedTuple):
    """All answers that an observation follows from."""

    asked: tuple[Asked, ...]

    @property
    def hash(self) -> bytes:
        """32 bytes over every selector and every byte of its answer."""
        parts = (part for one in self.asked for part in (one.selector.encode(), one.body))
        return keccak(b"".join(len(part).to_bytes(8, "big") + part for part in parts))


class PrometheusSource:
    """One Prometheus, over its HTTP API."""

    def __init__(self, url: str, canary: str, timeout_seconds: float = 20) -> None:
        """`canary` selects what this Prometheus scrapes apart from the node: in slots in which neither answered,
        nothing is known."""
        self._url, self._canary, self._timeout = url.rstrip("/"), canary, timeout_seconds

    async def observe(
        self, client: httpx.AsyncClient, reporter: str, node: int, queries: NodeQueries, window: Window
    ) -> tuple[Observation, Evidence]:
        """What it saw of `node`. Raises ScrapeError when it does not answer, or not what can be right."""
        selectors = dict.fromkeys((self._canary, *_selectors(queries)))
        answers = await asyncio.gather(*(self._ask(client, one, window) for one in selectors))
        evidence = Evidence(tuple(answers))
        found = {one.selector: one.series for one in answers}
        return observation_of(reporter, node, window, queries, self._canary, found), evidence

    async def _ask(self, client: httpx.AsyncClient, selector: str, window: Window) -> Asked:
        end_ms = (window.first_slot + window.slots) * window.interval_ms - 1
        seconds = window.slots * window.interval_ms // 1000 + LOOKBACK_SECONDS
        fields = {"query": f"{selector}[{seconds}s]", "time": f"{end_ms / 1000:.3f}"}
        request = client.build_request("POST", f"{self._url}{QUERY_PATH}", data=fields)
        body = await fetch(client, request, self._timeout, accepted=(200, 400, 422), check=_check_clock)
        return Asked(selector, body, read_matrix(body))


def observation_of(
    reporter: str,
    node: int,
    window: Window,
    queries: NodeQueries,
    canary: str,
    found: Mapping[str, Sequence[Scrapes]],
) -> Observation:
    """What follows from the scrapes by selector. Pure. Raises ScrapeError for two series where one must be."""
    up = _answered(queries.up, found, window)
    serving = up if queries.serving is None else _answered(queries.serving, found, window)
    alive = {slot for scrapes in found[canary] for slot, value in _slots(scrapes, window) if value == 1}
    states = ""
    for slot in range(window.first_slot, window.first_slot + window.slots):
        if slot not in up or slot not in serving:
            states += UNKNOWN  # nobody looked: Prometheus writes `up` for every scrape that it tries
        else:
            states += state_of(
                node_answered=serving[slot], exporter_answered=up[slot], reached_another=slot in alive
            )
    gained = Counters(
        tokens=_increase(queries.tokens, found, window),
        busy_micros=_increase(queries.busy_counters, found, window)
        + _integral(queries.busy_ratios, found, window),
        energy_microjoules=_increase(queries.energy, found, window),
    )
    return Observation(reporter, node, window, states, gained)


def read_matrix(body: bytes) -> list[Scrapes]:
    """The series in an answer to a range selector. Raises ScrapeError with what Prometheus says is wrong."""
    try:
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ScrapeError(f"Prometheus refuses: {answer.get('error', answer['status'])}")
        data = answer["data"]
        if data["resultType"] != "matrix":
            raise ScrapeError(f"Prometheus answers a {data['resultType']}: is the selector a plain one?")
        return [[_scrape(*pair) for pair in series["values"]] for series in data["result"]]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise ScrapeError(f"not an answer of Prometheus: {type(error).__name__}: {error}") from None


def increase(values: Iterable[int]) -> int:
    """By how much a counter rose over `values`; where it fell it began anew, and what it shows is new."""
    total, previous = 0, None
    for value in values:
        if previous is not None:
            total += value - previous if value >= previous else value
        previous = value
    return total


# Parts ----------------------------------------------------------------------------------------------


def _selectors(queries: NodeQueries) -> list[str]:
    meters = (*queries.tokens, *queries.busy_counters, *queries.energy)
    serving = () if queries.serving is None else (queries.serving,)
    return [queries.up, *serving, *queries.busy_ratios, *(meter.selector for meter in meters)]


def _scrape(timestamp: Any, value: Any) -> tuple[int, Decimal]:
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(f"a value is {value}")
    return round(Decimal(str(timestamp)) * 1000), number


def _slots(scrapes: Scrapes, window: Window) -> list[tuple[int, Decimal]]:
    """Slot and value of the scrapes inside the window."""
    inside = ((time_ms // window.interval_ms, value) for time_ms, value in scrapes)
    return [pair for pair in inside if 0 <= pair[0] - window.first_slot < window.slots]


def _answered(selector: str, found: Mapping[str, Sequence[Scrapes]], window: Window) -> dict[int, bool]:
    series = found[selector]
    if len(series) > 1:
        raise ScrapeError(f"{selector} matches {len(series)} series: it must name one target")
    # Of two scrapes in one slot, both must have succeeded.
    answered: dict[int, bool] = {}
    for scrapes in series:
        for slot, value in _slots(scrapes, window):
            answered[slot] = answered.get(slot, True) and value == 1
    return answered


def _increase(meters: Sequence[Meter], found: Mapping[str, Sequence[Scrapes]], window: Window) -> int:
    """Summed over series, each by itself: one of eight GPUs that restarts is not all of them."""
    total = 0
    for meter in meters:
        for scrapes in found[meter.selector]:
            before = [pair for pair in scrapes if pair[0] // window.interval_ms < window.first_slot]
            during = [pair for pair in scrapes if pair[0] // window.interval_ms >= window.first_slot]
            total += increase(_whole(meter, value) for _, value in (*before[-1:], *during))
    return total


def _integral(selectors: Sequence[str], found: Mapping[str, Sequence[Scrapes]], window: Window) -> int:
    """GPU-microseconds: what a slot without a scrape was busy is not known, and counts as nothing."""
    total = 0
    for selector in selectors:
        for scrapes in found[selector]:
            for ratio in dict(_slots(scrapes, window)).values():
                if not 0 <= ratio <= 1:
                    raise ScrapeError(f"{selector} is {ratio}, not a ratio from 0 to 1")
                total += int(ratio * window.interval_ms * 1000)
    return total


def _whole(meter: Meter, value: Decimal) -> int:
    scaled = value * meter.scale
    if not 0 <= scaled <= MAX_EXACT:
        raise ScrapeError(f"{meter.selector} is {value}: not between 0 and {MAX_EXACT // meter.scale}")
    return round(scaled)


def _check_clock(response: httpx.Response, now: float) -> None:
    try:
        theirs = parsedate_to_datetime(response.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return  # a proxy may leave it out
    if abs(theirs - now) > MAX_SKEW_SECONDS:
        raise ScrapeError(
            f"{response.url} is {theirs - now:+.0f} s from this machine's clock; at most {MAX_SKEW_SECONDS} s will do"
        )


def _quoted(label: str) -> str:
    return label.replace("\\", "\\\\").replace('"', '\\"')

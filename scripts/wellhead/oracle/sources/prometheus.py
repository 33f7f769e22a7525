"""A reporter's own Prometheus as a source: every raw scrape of a window, asked for at the window's explicit end.

Range selectors give scrapes as they happened, with their times; functions such as `avg_over_time` or `increase`
would fill in, average over what is left, or extrapolate. Slots are at least twice the scrape interval, so that each
holds a scrape wherever in it that falls.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

import httpx

from wellhead.oracle.observation import Window
from wellhead.oracle.sources.fetch import ScrapeError, check_clock, fetch
from wellhead.oracle.sources.finding import Exhibit, Finding, times
from wellhead.oracle.sources.meters import Kind, Series, account, slot_of

QUERY_PATH = "/api/v1/query"
# So far before the window the last value is looked for that its first increase is counted from.
LOOKBACK_SECONDS = 900
MAX_ANSWER_BYTES = 1 << 24  # a week of eight GPUs
UP_NAME = "up"
NOT_COUNTED = Kind("up")


class PrometheusServer:
    """One Prometheus, over its HTTP API; several sources share it, a few questions at a time."""

    def __init__(self, url: str, timeout_seconds: float = 20, at_once: int = 8) -> None:
        self.url, self._timeout, self._at_once = url.rstrip("/"), timeout_seconds, asyncio.Semaphore(at_once)

    async def ask(
        self, client: httpx.AsyncClient, selector: str, window: Window
    ) -> tuple[Exhibit, list[Series]]:
        """Every scrape up to the window's end. Raises ScrapeError with what it says is wrong."""
        end_ms = (window.first_slot + window.slots) * window.interval_ms - 1
        seconds = window.slots * window.interval_ms // 1000 + LOOKBACK_SECONDS
        fields = {"query": f"{selector}[{seconds}s]", "time": f"{end_ms / 1000:.3f}"}
        request = client.build_request("POST", f"{self.url}{QUERY_PATH}", data=fields)
        async with self._at_once:
            body = await fetch(
                client,
                request,
                self._timeout,
                accepted=(200, 400, 422),
                max_bytes=MAX_ANSWER_BYTES,
                check=check_clock,
            )
        return Exhibit(f"{selector} at {self.url}", body), read_matrix(body)


class PrometheusSource:
    """One target there: an exporter of a kind, or with NOT_COUNTED anything whose `up` alone is of interest."""

    def __init__(self, server: PrometheusServer, kind: Kind, up: str) -> None:
        """`up` selects the one series that tells whether the target was scraped, as
        `up{job="node", instance="10.0.0.7:8600"}`; its labels select the others."""
        self._server, self.kind, self._up = server, kind, up

    async def finding(self, client: httpx.AsyncClient, window: Window) -> Finding:
        """What it saw. One that does not answer, or nonsense, has seen nothing: that is not the node's fault."""
        try:
            return await self._finding(client, window)
        except ScrapeError as error:
            counts = bool(self.kind.quantities)
            return Finding(self._server.url, {}, counts=counts, faults=(str(error),))

    async def _finding(self, client: httpx.AsyncClient, window: Window) -> Finding:
        labels = self._up.removeprefix(UP_NAME)
        selectors = {name: f"{name}{labels}" for name in self.kind.names} | {UP_NAME: self._up}
        answers = await asyncio.gather(*(self._server.ask(client, one, window) for one in selectors.values()))
        found = {name: series for name, (_, series) in zip(selectors, answers, strict=True)}
        return finding_of(self._server.url, self.kind, self._up, found, window, [one for one, _ in answers])


def finding_of(
    line: str,
    kind: Kind,
    up: str,
    found: Mapping[str, list[Series]],
    window: Window,
    exhibits: list[Exhibit],
) -> Finding:
    """What follows from the series by metric name. Pure. Raises ScrapeError for two targets where one must be."""
    if kind.quantities and len(found[UP_NAME]) > 1:
        raise ScrapeError(f"{up} matches {len(found[UP_NAME])} series: it must name one target")
    counted = account(kind, found, window)
    faults = list(counted.faults)
    shown = {
        name: {slot_of(time_ms, window) for series in found[name] for time_ms, _ in series.scrapes}
        for name in kind.needed
    }
    answered: dict[int, bool] = {}
    for series in found[UP_NAME]:
        # Of two scrapes in one slot, both must have succeeded. Nobody looked where there is none: Prometheus
        # writes `up` for every scrape that it tries.
        target: dict[int, bool] = {}
        for time_ms, value in series.scrapes:
            slot = slot_of(time_ms, window)
            if not 0 <= slot - window.first_slot < window.slots:
                continue
            lacking = [name for name, slots in shown.items() if slot not in slots] if value == 1 else []
            faults += [f"{up} is 1, and no {name} was exposed" for name in lacking]
            whole = value == 1 and not lacking and slot not in counted.bad_slots
            target[slot] = target.get(slot, True) and whole
        for slot, whole in target.items():
            answered[slot] = answered.get(slot, False) or whole  # of several canaries any will do
    return Finding(
        line,
        answered,
        counted.gained,
        counts=bool(kind.quantities),
        exhibits=tuple(exhibits),
        faults=times(faults),
    )


def up_of(instance: str) -> str:
    """The `up` of a target by its `instance` label."""
    quoted = instance.replace("\\", "\\\\").replace('"', '\\"')
    return f'{UP_NAME}{{instance="{quoted}"}}'


def read_matrix(body: bytes) -> list[Series]:
    """The series in an answer to a range selector. Raises ScrapeError with what Prometheus says is wrong."""
    try:
        answer = json.loads(body)
        if answer["status"] != "success":
            raise ScrapeError(f"Prometheus refuses: {answer.get('error', answer['status'])}")
        data = answer["data"]
        if data["resultType"] != "matrix":
            raise ScrapeError(f"Prometheus answers a {data['resultType']}: is the selector a plain one?")
        return [_series(one) for one in data["result"]]
    except (ValueError, KeyError, TypeError, AttributeError, InvalidOperation) as error:
        raise ScrapeError(f"not an answer of Prometheus: {type(error).__name__}: {error}") from None


def _series(one: Any) -> Series:
    labels = {str(name): str(value) for name, value in one.get("metric", {}).items()}
    return Series(labels, [_scrape(*pair) for pair in one["values"]])


def _scrape(timestamp: Any, value: Any) -> tuple[int, Decimal]:
    return round(Decimal(str(timestamp)) * 1000), Decimal(value)

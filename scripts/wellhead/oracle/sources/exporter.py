"""An exporter that is scraped directly, in Prometheus' text format."""

from __future__ import annotations

from decimal import Decimal

import httpx
from prometheus_client.parser import text_string_to_metric_families

from wellhead.oracle.sources.fetch import ScrapeError, fetch
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import Key, Reading
from wellhead.oracle.sources.meters import Kind


class Exporter:
    """One exporter of a kind, at its metrics' address."""

    line = HERE

    def __init__(self, url: str, kind: Kind) -> None:
        self.url, self.kind, self.asked = url, kind, f"{kind.name} exporter {url}"

    async def read(self, client: httpx.AsyncClient, _slot: int, timeout_seconds: float) -> Reading:
        """What it exposes now. Raises ScrapeError, also when a counter is missing or comes twice."""
        body = await fetch(client, client.build_request("GET", self.url), timeout_seconds)
        return Reading(parse(body, self.kind))


def parse(text: bytes, kind: Kind) -> dict[Key, Decimal]:
    """Out of Prometheus' text format, the series that are read of this kind. Raises ScrapeError."""
    wanted = frozenset(kind.names)
    found: dict[Key, Decimal] = {}
    try:
        # Only our lines reach the parser: a large exporter must not cost a reporter its slot.
        ours = "\n".join(line for line in text.decode().splitlines() if line.startswith(kind.names))
        for family in text_string_to_metric_families(ours + "\n"):
            for sample in family.samples:
                if sample.name not in wanted:
                    continue
                key = sample.name, tuple(sorted(sample.labels.items()))
                if key in found:
                    raise ScrapeError(f"{sample.name} is exposed twice with the labels {sample.labels}")
                found[key] = Decimal(str(sample.value))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ScrapeError(f"not Prometheus' text format: {error}") from error
    shown = {name for name, _ in found}
    for name in kind.needed:
        if name not in shown:
            raise ScrapeError(f"no {name} exposed: is this a {kind.name} exporter?")
    return found

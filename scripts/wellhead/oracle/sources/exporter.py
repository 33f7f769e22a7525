"""An exporter that is scraped directly, in Prometheus' text format."""

from __future__ import annotations

import re
from decimal import Decimal
from functools import lru_cache

import httpx
from prometheus_client.parser import text_string_to_metric_families

from wellhead.oracle.sources.fetch import ScrapeError, fetch
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import Key, Reading
from wellhead.oracle.sources.meters import Kind

# Of one look: eight GPUs in seven parts each show 168. A node must not fill its reporters' memory.
MAX_SERIES = 256
MAX_SERIES_CHARACTERS = 1_024
REMEMBERED_SERIES = 1 << 16  # of all nodes together
SHOWN_CHARACTERS = 80
# A number, and perhaps when it was taken, which is this reporter's own business.
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?|[+-]?[Ii]nf(?:inity)?|[Nn]a[Nn]"
_VALUE = re.compile(rf"\s*({_NUMBER})(?:\s+-?\d+)?\s*", re.ASCII)


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
    names = kind.names
    found: dict[Key, Decimal] = {}
    try:
        for line in text.decode().splitlines():
            if not line.startswith(names):
                continue
            # Values hold no brace, labels may hold anything.
            series, brace, rest = line.rpartition("}") if "}" in line else line.partition(" ")
            key = _key(series + brace.strip())
            if key[0] not in names:
                continue
            if key in found:
                raise ScrapeError(f"{series}{brace} is exposed twice")
            found[key] = _value(rest)
            if len(found) > MAX_SERIES or len(series) > MAX_SERIES_CHARACTERS:
                raise ScrapeError(
                    f"more than {MAX_SERIES} series, or {MAX_SERIES_CHARACTERS} characters of labels"
                )
    except ValueError as error:  # UnicodeDecodeError is one too
        raise ScrapeError(f"not Prometheus' text format: {error}") from error
    shown = {name for name, _ in found}
    for name in kind.needed:
        if name not in shown:
            raise ScrapeError(f"no {name} exposed: is this a {kind.name} exporter?")
    return found


@lru_cache(REMEMBERED_SERIES)
def _key(series: str) -> Key:
    """Labels seldom change, and take longer to read than all the rest of a look."""
    ((sample,),) = (family.samples for family in text_string_to_metric_families(f"{series} 0\n"))
    return sample.name, tuple(sorted(sample.labels.items()))


def _value(rest: str) -> Decimal:
    match = _VALUE.fullmatch(rest)
    if match is None:
        raise ValueError(f"a value is {rest[:SHOWN_CHARACTERS]!r}")
    return Decimal(match[1])

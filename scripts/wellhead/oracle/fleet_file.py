"""What a reporter is told of the nodes that it watches, and how it reads it: TOML or JSON.

slot_ms = 10000

[[canaries]]                     # what it must reach to prove its own line: as many and as far apart as you like
type = "chain"
rpc_url = "https://rpc.example"
chain_id = 11155111

[prometheus.site]                # a Prometheus of the reporter's own
url = "http://127.0.0.1:9090"
canary = 'up{job="elsewhere"}'   # something that it scrapes apart from the nodes, over the same line

[[nodes]]
id = 7
gpu_count = 8
sources = [
  { type = "prometheus", server = "site", kind = "dcgm", instance = "10.0.0.7:9400" },
  { type = "exporter", kind = "vllm", url = "http://10.0.0.7:8000/metrics" },
  { type = "chat", url = "http://10.0.0.7:8000", model = "…", prompt = "Say {nonce}.", expected = "{nonce}" },
]
"""

from __future__ import annotations

import json
import tomllib
from collections import Counter
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, HttpUrl, ValidationError, model_validator

from wellhead.errors import Misused
from wellhead.oracle.sources.meters import EXPORTERS, NVML

MIN_SLOT_MS = 100
# Of a slot: what one look may take unless told otherwise. It begins so early in the slot that it ends within.
LOOK_PERCENT = 70
MAX_LOOK_MS = 5_000
NodeId = Annotated[int, Field(ge=1, lt=2**32)]
ExporterName = Literal["runtime", "dcgm", "dcgm-consumer", "vllm"]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ChainCanarySettings(_Part):
    """A chain's RPC."""

    type: Literal["chain"] = "chain"
    rpc_url: HttpUrl
    chain_id: int = Field(gt=0)


class PageCanarySettings(_Part):
    """A page of which a part is known."""

    type: Literal["page"] = "page"
    url: HttpUrl
    contains: str = Field(min_length=1)


class PrometheusSettings(_Part):
    """A Prometheus, and the series that tells whether it reaches anything apart from the nodes."""

    url: HttpUrl
    canary: str = Field(min_length=1)


class Counted(_Part):
    """A source that reads counters of a kind of exporter."""

    kind: ExporterName


class ExporterSettings(Counted):
    """An exporter that the reporter scrapes by itself."""

    type: Literal["exporter"] = "exporter"
    url: HttpUrl


class ScrapedSettings(Counted):
    """An exporter that the reporter's Prometheus scrapes."""

    type: Literal["prometheus"] = "prometheus"
    server: str
    instance: str = Field(min_length=1)


class NvmlSettings(_Part):
    """The GPUs of the reporter's own machine."""

    type: Literal["nvml"] = "nvml"


class HealthSettings(_Part):
    """A page that answers 200 while the node is well."""

    type: Literal["health"] = "health"
    url: HttpUrl


class _Probe(_Part):
    url: HttpUrl
    model: str = Field(min_length=1)
    every_slots: int = Field(default=1, ge=1, le=1_000)
    # Slower is as good as no answer. By default whatever a look may take.
    within_ms: int | None = Field(default=None, ge=1)


class KnownVector(_Part):
    """A text, and what the model makes of it."""

    text: str = Field(min_length=1)
    vector: tuple[FiniteFloat, ...] = Field(min_length=2)


class EmbeddingSettings(_Probe):
    """An embedding with a known answer."""

    type: Literal["embedding"] = "embedding"
    min_cosine: float = Field(default=0.99, gt=0, le=1)
    # Without any the right answers are computed here, anew for each slot, by the runtime's model.
    known: tuple[KnownVector, ...] = ()


class ChatSettings(_Probe):
    """A chat completion with a known answer; {nonce} is a new number each time."""

    type: Literal["chat"] = "chat"
    prompt: str = Field(min_length=1)
    expected: str = Field(min_length=1)
    max_tokens: int = Field(default=32, ge=1, le=1_024)


SourceSettings = Annotated[
    ExporterSettings | ScrapedSettings | NvmlSettings | HealthSettings | EmbeddingSettings | ChatSettings,
    Field(discriminator="type"),
]
CanarySettings = Annotated[ChainCanarySettings | PageCanarySettings, Field(discriminator="type")]


class NodeSettings(_Part):
    """A node, and all that is looked at of it: for up, every source must have its answer."""

    id: NodeId
    gpu_count: int = Field(default=1, ge=1, le=255)
    sources: tuple[SourceSettings, ...] = Field(min_length=1, max_length=64)

    @property
    def measured(self) -> frozenset[str]:
        """What its sources count."""
        return frozenset(quantity for source in self.sources for quantity in quantities_of(source))

    @model_validator(mode="after")
    def _nothing_is_counted_twice(self) -> Self:
        """Several engines' tokens add up; what two ways of measuring say of the same GPUs does not."""
        if len(set(self.sources)) != len(self.sources):
            raise ValueError(f"node {self.id} names a source twice")
        for quantity in sorted(self.measured):
            ways = {_way(source) for source in self.sources if quantity in quantities_of(source)}
            if len(ways) > 1:
                raise ValueError(
                    f"node {self.id}: {quantity} would be counted twice, by {' and by '.join(sorted(ways))}"
                )
        return self


class FleetSettings(_Part):
    """Everything that a reporter watches, and over which lines."""

    slot_ms: int = Field(ge=MIN_SLOT_MS, le=600_000)
    look_ms: int | None = Field(default=None, ge=10)
    connections: int = Field(default=256, ge=1, le=8_192)
    # How long live sources remember what they saw: longer than a window, and the time until it is asked for.
    remember_seconds: int = Field(default=10_800, ge=10)
    canaries: tuple[CanarySettings, ...] = ()
    prometheus: dict[str, PrometheusSettings] = {}
    nodes: tuple[NodeSettings, ...] = ()

    @property
    def look_limit_ms(self) -> int:
        """What one look may take."""
        return self.look_ms or min(MAX_LOOK_MS, self.slot_ms * LOOK_PERCENT // 100)

    @model_validator(mode="after")
    def _nodes_are_told_apart(self) -> Self:
        again = [node for node, times in Counter(node.id for node in self.nodes).items() if times > 1]
        if again:
            raise ValueError(f"node {again[0]} is there more than once")
        for node in self.nodes:
            for source in node.sources:
                if isinstance(source, ScrapedSettings) and source.server not in self.prometheus:
                    known = ", ".join(self.prometheus) or "none"
                    raise ValueError(
                        f"node {node.id}: no Prometheus called {source.server!r}; there is {known}"
                    )
        return self

    @model_validator(mode="after")
    def _dead_nodes_hold_nobody_up(self) -> Self:
        """Should every look run out of time, the others still begin early enough in the slot."""
        live = len(self.canaries) + sum(
            not isinstance(source, ScrapedSettings) for node in self.nodes for source in node.sources
        )
        limit, spare = self.look_limit_ms, self.slot_ms - self.look_limit_ms
        if spare <= 0:
            raise ValueError(
                f"look_ms is {limit}: less than slot_ms = {self.slot_ms}, or no look ends in its slot"
            )
        rounds = 1 + spare // limit
        needed = -(-live // rounds)
        if self.connections < needed:
            raise ValueError(
                f"{live} looks of up to {limit} ms need {needed} connections in slots of {self.slot_ms} ms, "
                f"not {self.connections}: allow more, or longer slots, or shorter looks"
            )
        return self


def quantities_of(source: SourceSettings) -> frozenset[str]:
    """What a source counts."""
    if isinstance(source, Counted):
        return EXPORTERS[source.kind].quantities
    return NVML.quantities if isinstance(source, NvmlSettings) else frozenset()


def read_fleet(path: Path) -> FleetSettings:
    """The settings in a file, JSON by its name or else TOML. Raises Misused naming what is wrong."""
    try:
        text = path.read_text()
        document = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
        return FleetSettings.model_validate(document)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise Misused(f"{path}: {where}{': ' if where else ''}{message}") from None
    except (OSError, ValueError) as error:
        raise Misused(f"{path} tells of no nodes: {error}") from None


def _way(source: SourceSettings) -> str:
    return f"{source.type} {source.kind}" if isinstance(source, Counted) else source.type

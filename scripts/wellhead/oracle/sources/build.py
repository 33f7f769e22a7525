"""From a reporter's settings to its sources."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

from wellhead.oracle import fleet_file as settings
from wellhead.oracle.sources.exporter import Exporter
from wellhead.oracle.sources.finding import Source
from wellhead.oracle.sources.live import LiveSource, Reader
from wellhead.oracle.sources.meters import EXPORTERS
from wellhead.oracle.sources.nvml import Nvml
from wellhead.oracle.sources.probe import (
    ChatProbe,
    EmbeddingProbe,
    KnownVectors,
    LocalVectors,
    StoredVectors,
)
from wellhead.oracle.sources.prometheus import NOT_COUNTED, PrometheusServer, PrometheusSource, up_of
from wellhead.oracle.sources.reach import ChainCanary, Health, PageCanary


class Built(NamedTuple):
    """The sources of each node, and the canaries beside them."""

    nodes: dict[int, tuple[Source, ...]]
    canaries: tuple[Source, ...]


def build(fleet: settings.FleetSettings) -> Built:
    """Raises Misused where a source cannot work on this machine."""
    servers = {name: PrometheusServer(str(one.url)) for name, one in fleet.prometheus.items()}
    local_vectors = cache(LocalVectors)  # one model for all nodes, and only if one needs it

    def source_of(one: settings.SourceSettings) -> Source:
        if isinstance(one, settings.ScrapedSettings):
            return PrometheusSource(servers[one.server], EXPORTERS[one.kind], up_of(one.instance))
        if isinstance(one, settings.EmbeddingSettings):
            stored = [(known.text, known.vector) for known in one.known]
            known: KnownVectors = StoredVectors(stored) if stored else local_vectors()
            return _probe(one, EmbeddingProbe(str(one.url), one.model, known, one.min_cosine))
        if isinstance(one, settings.ChatSettings):
            return _probe(one, ChatProbe(str(one.url), one.model, one.prompt, one.expected, one.max_tokens))
        if isinstance(one, settings.ExporterSettings):
            return LiveSource(Exporter(str(one.url), EXPORTERS[one.kind]))
        return LiveSource(Nvml() if isinstance(one, settings.NvmlSettings) else Health(str(one.url)))

    scraped = (
        PrometheusSource(servers[name], NOT_COUNTED, one.canary) for name, one in fleet.prometheus.items()
    )
    nodes = {node.id: tuple(source_of(one) for one in node.sources) for node in fleet.nodes}
    return Built(nodes, (*(LiveSource(_canary(one)) for one in fleet.canaries), *scraped))


def _probe(one: settings.EmbeddingSettings | settings.ChatSettings, reader: Reader) -> LiveSource:
    return LiveSource(reader, one.every_slots, None if one.within_ms is None else one.within_ms / 1000)


def _canary(one: settings.CanarySettings) -> Reader:
    if isinstance(one, settings.ChainCanarySettings):
        return ChainCanary(str(one.rpc_url), one.chain_id)
    return PageCanary(str(one.url), one.contains)

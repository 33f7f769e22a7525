"""What a reporter may be told of its nodes, and how it says what is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from wellhead.errors import Misused
from wellhead.oracle import fleet_file
from wellhead.oracle.fleet import Fleet
from wellhead.oracle.fleet_file import FleetSettings, read_fleet

EXPORTER = {"type": "exporter", "kind": "runtime", "url": "http://node.test/metrics"}
DCGM = {"type": "exporter", "kind": "dcgm", "url": "http://node.test:9400/metrics"}
VLLM = {"type": "exporter", "kind": "vllm", "url": "http://node.test:8000/metrics"}
SCRAPED = {"type": "prometheus", "server": "site", "kind": "vllm", "instance": "node:8000"}
CHAT = {
    "type": "chat",
    "url": "http://node.test:8000",
    "model": "m",
    "prompt": "Say {nonce}.",
    "expected": "{nonce}",
}
KNOWN = [{"text": "well", "vector": [1, 0]}]
EMBEDDING = {"type": "embedding", "url": "http://node.test", "model": "m", "known": KNOWN}
SITE = {"url": "http://prometheus.test:9090", "canary": 'up{job="elsewhere"}'}


def document(*sources: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"slot_ms": 10_000, "nodes": [{"id": 7, "sources": list(sources or [EXPORTER])}], **more}


def write(folder: Path, content: dict[str, Any] | str, name: str = "fleet.json") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def test_toml_as_the_module_shows_it(tmp_path: Path) -> None:
    example = (fleet_file.__doc__ or "").split("\n\n", 1)[1]
    settings = read_fleet(write(tmp_path, example, "fleet.toml"))
    (node,) = settings.nodes
    assert (node.id, node.gpu_count, len(node.sources)) == (7, 8, 3)
    assert node.measured == {"tokens", "busy time", "energy"}
    assert settings.prometheus["site"].canary == 'up{job="elsewhere"}'
    assert not Fleet(FleetSettings(slot_ms=10_000)).is_live
    assert Fleet(settings).is_live


def test_every_kind_of_source_is_taken(tmp_path: Path) -> None:
    health = {"type": "health", "url": "http://node.test/healthz"}
    content = document(
        DCGM, VLLM, SCRAPED | {"kind": "vllm"}, CHAT, EMBEDDING, health, prometheus={"site": SITE}
    )
    content["nodes"][0]["sources"].remove(VLLM)
    assert len(read_fleet(write(tmp_path, content)).nodes[0].sources) == 5


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (document(EXPORTER | {"kind": "dgcm"}), "kind.*'runtime', 'dcgm', 'dcgm-consumer' or 'vllm'"),
        (
            document(EXPORTER | {"type": "exprter"}),
            r"nodes\.0\.sources\.0.*does not match any of the expected",
        ),
        (document(EXPORTER | {"url": "node:8600"}), r"sources\.0\.exporter\.url.*URL scheme"),
        (document(EXPORTER | {"colour": "red"}), r"colour.*[Ee]xtra inputs"),
        (document(EXPORTER, EXPORTER), "node 7 names a source twice"),
        (
            document(EXPORTER, DCGM),
            "busy time would be counted twice, by exporter dcgm and by exporter runtime",
        ),
        (document(VLLM, SCRAPED, prometheus={"site": SITE}), "tokens would be counted twice"),
        (document(DCGM, {"type": "nvml"}), "would be counted twice, by exporter dcgm and by nvml"),
        (document(SCRAPED), "no Prometheus called 'site'; there is none"),
        (document(SCRAPED, prometheus={"other": SITE}), "no Prometheus called 'site'; there is other"),
        (document(nodes=[{"id": 7, "sources": [EXPORTER]}] * 2), "node 7 is there more than once"),
        (document(nodes=[{"id": 0, "sources": [EXPORTER]}]), r"nodes\.0\.id.*greater than or equal to 1"),
        (document(nodes=[{"id": 1, "sources": []}]), "at least 1 item"),
        (document(slot_ms=50), "slot_ms.*greater than or equal to 100"),
        (document(look_ms=10_000), "look_ms is 10000: less than slot_ms = 10000"),
        (document(EMBEDDING | {"min_cosine": 1.5}), "min_cosine.*less than or equal to 1"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    with pytest.raises(Misused, match=message):
        read_fleet(write(tmp_path, change))


def test_several_engines_of_one_kind_add_up(tmp_path: Path) -> None:
    second = VLLM | {"url": "http://node.test:8001/metrics"}
    assert read_fleet(write(tmp_path, document(VLLM, second, DCGM))).nodes[0].measured


def test_dead_nodes_must_not_hold_up_the_others(tmp_path: Path) -> None:
    nodes = [{"id": number, "sources": [EXPORTER, CHAT]} for number in range(1, 401)]
    with pytest.raises(
        Misused, match=r"800 looks of up to 5000 ms need 400 connections.*not 256: allow more"
    ):
        read_fleet(write(tmp_path, document(nodes=nodes)))
    assert read_fleet(write(tmp_path, document(nodes=nodes, connections=400))).connections == 400
    assert read_fleet(write(tmp_path, document(nodes=nodes, look_ms=2_000))).look_limit_ms == 2_000


@pytest.mark.parametrize(("name", "content"), [("f.json", "{"), ("f.toml", "= 1"), ("f.toml", "")])
def test_a_file_of_something_else(tmp_path: Path, name: str, content: str) -> None:
    with pytest.raises(Misused, match=name):
        read_fleet(write(tmp_path, content, name))


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(Misused, match=r"tells of no nodes: .*No such file"):
        read_fleet(tmp_path / "nothing.toml")

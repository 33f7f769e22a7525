"""`wellhead oracle observe` over sources that look for themselves, as a reporter's file names them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from command_line import wellhead
from gpu_exporters import Vllm
from loopback import serving

from wellhead.chain import local
from wellhead.errors import Misused

SLOT_MS = 200


def write(folder: Path, url: str, **more: Any) -> Path:
    source = {"type": "exporter", "kind": "vllm", "url": f"{url}/metrics"}
    path = folder / "fleet.json"
    path.write_text(json.dumps({"slot_ms": SLOT_MS, "nodes": [{"id": 7, "sources": [source]}], **more}))
    return path


def observe(path: Path, *arguments: str, node: int = 7) -> str:
    return wellhead("oracle", "observe", str(node), "--sources", str(path), "--for", "1s", *arguments)


def test_what_is_seen_now_is_shown_with_its_evidence(tmp_path: Path) -> None:
    with serving(Vllm().app) as url:
        seen = json.loads(observe(write(tmp_path, url), "--json"))
    assert (seen["slots"], seen["slot_ms"]) == (1000 // SLOT_MS, SLOT_MS)
    assert set(seen["states"]) - {"?"} == {"U"}
    assert seen["answered_in_ms"]["median"] <= seen["answered_in_ms"]["longest"]
    looks = next(one["answer"] for one in seen["evidence"] if one["asked"].startswith("vllm exporter"))
    assert looks.splitlines()[0].startswith("series vllm:prompt_tokens_total")
    assert {one["asked"] for one in seen["evidence"]} >= {"line of this machine"}


def test_what_is_wrong_is_noted_for_people(tmp_path: Path) -> None:
    shown = observe(write(tmp_path, f"http://{local.HOST}:{local.free_port()}"))
    assert "noted: " in shown
    assert "ConnectError" in shown


def test_a_node_that_is_not_in_the_file_is_misuse(tmp_path: Path) -> None:
    with pytest.raises(Misused, match="tells nothing of node 8; its nodes: 7"):
        observe(write(tmp_path, "http://node.test"), node=8)


@pytest.mark.parametrize(
    "arguments", [["--prometheus", "http://p.test", "--sources", "x.toml"], ["--instance", "node:1"]]
)
def test_a_file_or_a_prometheus_but_not_both(arguments: list[str]) -> None:
    with pytest.raises(Misused, match="either a file of sources or a Prometheus"):
        wellhead("oracle", "observe", "7", *arguments)

"""The whole story as a machine sees it: one object, every check true, on both local chains."""

import json
import subprocess
import sys
from typing import Any

import pytest

from wellhead.chain import local

EXPECTED = {
    "chain": {"client", "chain_id"},
    "node": {"id", "share", "gpu_class"},
    "offering": {"raised_usd6", "buyers"},
    "inference": {"model", "calls", "tokens", "paid_usd6", "scheme", "sample"},
    "oracle": {"round", "signers", "covered_seconds", "up_seconds", "busy_gpu_seconds"},
    "income": {
        "received_usd6",
        "operator_usd6",
        "protocol_usd6",
        "level_usd6",
        "claimed_usd6",
        "claimable_usd6",
    },
}


@pytest.fixture(params=local.CLIENTS, scope="module")
def story(request: pytest.FixtureRequest) -> dict[str, Any]:
    command = [sys.executable, "-m", "wellhead", "demo", "--json", "--chain", request.param]
    run = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert run.returncode == 0, run.stderr + run.stdout
    told: dict[str, Any] = json.loads(run.stdout)
    assert told["chain"]["client"] == request.param
    return told


def test_the_object_has_what_was_promised(story: dict[str, Any]) -> None:
    for part, fields in EXPECTED.items():
        assert fields <= story[part].keys(), part
    assert {"name", "shares", "claimed_usd6", "claimable_usd6"} <= story["holders"][0].keys()
    assert story["seconds"] > 0


def test_every_check_holds(story: dict[str, Any]) -> None:
    assert len(story["checks"]) >= 16
    assert [check for check in story["checks"] if not check["holds"]] == []


def test_the_figures_agree_with_each_other(story: dict[str, Any]) -> None:
    income, oracle = story["income"], story["oracle"]
    parts = sum(amount for name, amount in income.items() if name != "received_usd6")
    assert 0 <= income["received_usd6"] - parts <= 5
    assert income["received_usd6"] == story["inference"]["paid_usd6"]
    assert income["claimed_usd6"] == sum(holder["claimed_usd6"] for holder in story["holders"])
    assert 0 < oracle["busy_gpu_seconds"] <= oracle["up_seconds"] < oracle["covered_seconds"]
    assert len(oracle["signers"]) == 4

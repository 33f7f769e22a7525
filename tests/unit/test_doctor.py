"""What `wellhead doctor` says on a machine where things are missing: each by name, and how to get it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from wellhead.chain import artifacts
from wellhead.cli import app


def examined(*arguments: str) -> tuple[int, dict[str, dict[str, object]]]:
    outcome = CliRunner().invoke(app, ["doctor", "--json", *arguments])
    findings = json.loads(outcome.stdout)["findings"]
    return outcome.exit_code, {finding["name"]: finding for finding in findings}


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """A machine with nothing on PATH, no compiler, no contracts, no chain."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("SOLCX_BINARY_PATH", str(tmp_path))
    monkeypatch.setattr(artifacts.resources, "files", lambda _package: tmp_path)
    artifacts.load.cache_clear()  # another test may have read them
    yield tmp_path
    artifacts.load.cache_clear()


def test_what_is_missing_is_named_with_the_way_to_it(bare: Path) -> None:
    code, findings = examined("--network", "http://127.0.0.1:1", "--deployments", str(bare))
    assert code == 1
    assert {name for name, finding in findings.items() if finding["needed"] and not finding["found"]} == {
        "anvil",
        "contracts",
    }
    for name, how in {
        "node": "Node 20 or newer",
        "solc": "`make` brings one",
        "anvil": "install Foundry",
        "forge": "install Foundry",
        "ganache": "from npm",
        "prometheus": "apt-get install prometheus",
        "contracts": "`make build` compiles",
        "network": "no chain answers at http://127.0.0.1:1",
    }.items():
        assert not findings[name]["found"], name
        assert how in str(findings[name]["detail"]), name


def test_people_see_what_is_missing_first_of_all(bare: Path) -> None:
    outcome = CliRunner().invoke(app, ["doctor", "--deployments", str(bare)], env={"COLUMNS": "160"})
    assert outcome.exit_code == 1
    assert "missing" in outcome.stdout
    assert "install Foundry" in outcome.stdout

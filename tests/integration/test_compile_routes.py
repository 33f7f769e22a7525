"""Our own compile step, forge and brownie make the same bytecode of every contract, metadata and all.

Where a tool overlooks that an earlier build is stale (brownie compares no remappings), it shows here all the
same: the metadata at the end of the bytecode hashes sources and settings.
"""

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from checkout_copy import BROWNIE_BUILD, FORGE_BUILD, ROOT, run_in

from wellhead.chain import artifacts
from wellhead.chain.compile import CONTRACTS_DIR, CompilerSettings, read_settings


class Bytecode(NamedTuple):
    """What one route made of one contract; 0x-prefixed hex."""

    creation: str
    runtime: str


def _by_forge(checkout: Path) -> dict[str, Bytecode]:
    run_in(checkout, "forge", "build", CONTRACTS_DIR)
    found = {}
    for file in (checkout / FORGE_BUILD).glob("*.sol/*.json"):
        built = json.loads(file.read_text())
        if "metadata" not in built:
            continue  # a file of types alone
        ((source, name),) = built["metadata"]["settings"]["compilationTarget"].items()
        as_shipped = file.stem == name  # the properties' faster profile stands in the names of its files
        if source.startswith(f"{CONTRACTS_DIR}/") and as_shipped:
            found[name] = Bytecode(built["bytecode"]["object"], built["deployedBytecode"]["object"])
    return found


def _by_brownie(checkout: Path) -> dict[str, Bytecode]:
    run_in(checkout, str(Path(sys.prefix, "bin", "brownie")), "compile")
    found = {}
    for file in (checkout / BROWNIE_BUILD).glob("*.json"):
        built = json.loads(file.read_text())
        if built["sourcePath"].startswith(f"{CONTRACTS_DIR}/"):
            found[file.stem] = Bytecode("0x" + built["bytecode"], "0x" + built["deployedBytecode"])
    return found


@pytest.mark.parametrize("route", [_by_forge, _by_brownie])
def test_every_route_makes_the_same_bytecode(checkout: Path, route: Any) -> None:
    theirs = route(checkout)
    ours = {name: artifacts.load(name) for name in artifacts.names()}
    assert set(theirs) == set(ours), "`make build` if contracts came or went"
    assert any(len(built.creation) > 2 for built in theirs.values())
    differing = [
        name
        for name, artifact in ours.items()
        if theirs[name] != Bytecode(artifact.bytecode, artifact.runtime_bytecode)
    ]
    assert differing == [], "`make build` if contracts have changed; else settings differ between the routes"


@pytest.fixture(scope="module")
def settings() -> CompilerSettings:
    return read_settings(ROOT)


@pytest.fixture(scope="module")
def foundry() -> dict[str, Any]:
    profile: dict[str, Any] = tomllib.loads((ROOT / "foundry.toml").read_text())["profile"]["default"]
    return profile


def test_foundry_repeats_the_settings(settings: CompilerSettings, foundry: dict[str, Any]) -> None:
    assert foundry["evm_version"] == settings.evm_version
    assert foundry["via_ir"] is settings.via_ir
    assert {"enabled": foundry["optimizer"], "runs": foundry["optimizer_runs"]} == settings.optimizer
    assert foundry["remappings"] == settings.remappings
    assert foundry["src"] == CONTRACTS_DIR


def test_nothing_is_remapped_behind_the_settings(settings: CompilerSettings, foundry: dict[str, Any]) -> None:
    assert foundry["auto_detect_remappings"] is False
    # Without the slash `solady/` would also catch `solady-extras/`, and metadata would differ.
    assert all(part.endswith("/") for line in settings.remappings for part in line.split("="))


def test_every_route_asks_the_same_compiler(settings: CompilerSettings, foundry: dict[str, Any]) -> None:
    assert foundry["solc"] == "tools/solc.js"
    said = subprocess.run(
        [ROOT / foundry["solc"], "--version"], capture_output=True, text=True, timeout=60, check=True
    ).stdout
    assert f"Version: {settings.version}+commit." in said
    assert json.loads((ROOT / "package.json").read_text())["dependencies"]["solc"] == settings.version
    launcher = Path(os.environ["SOLCX_BINARY_PATH"], f"solc-v{settings.version}")
    assert "tools/solc.js" in launcher.read_text()

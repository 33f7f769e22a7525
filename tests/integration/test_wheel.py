"""The wheel: `wellhead`, its contracts and its types, and a command that works far from any checkout."""

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from wellhead.chain import artifacts

ROOT = Path(__file__).resolve().parents[2]
UV = str(Path(sys.prefix, "bin", "uv"))
BUILD_FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")
TIMEOUT_SECONDS = 300


def _run(*command: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, env=env, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=False
    )


def _build(sources: Path, *left_out: str) -> subprocess.CompletedProcess[str]:
    """A wheel in `sources / dist`, built in a copy: setuptools leaves its own things in build/."""
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", *left_out)
    shutil.copytree(ROOT / "scripts", sources / "scripts", ignore=ignored)
    for file in BUILD_FILES:
        shutil.copyfile(ROOT / file, sources / file)
    return _run(UV, "build", "--wheel", "--out-dir", str(sources / "dist"), cwd=sources)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    sources = tmp_path_factory.mktemp("sources")
    built = _build(sources)
    assert built.returncode == 0, built.stderr
    (found,) = (sources / "dist").glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The `bin` of a bare environment with the wheel and its dependencies, in the versions we test with."""
    environment = tmp_path_factory.mktemp("environment") / "venv"
    python = str(environment / "bin" / "python")
    constraints = str(ROOT / "requirements" / "run.txt")
    for command in (
        ("venv", "--python", sys.executable, str(environment)),
        ("pip", "install", "--python", python, "-c", constraints, str(wheel)),
    ):
        run = _run(UV, *command, cwd=environment.parent)
        assert run.returncode == 0, run.stderr
    return environment / "bin"


@pytest.fixture
def elsewhere(tmp_path: Path) -> dict[str, str]:
    """Neither our environment's programs nor our sources can be found."""
    return {"PATH": os.defpath, "HOME": str(tmp_path)}


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    modules = (ROOT / "scripts" / "wellhead").rglob("*.py")
    expected = {str(module.relative_to(ROOT / "scripts")) for module in modules}
    expected |= {f"wellhead/artifacts/{name}.json" for name in artifacts.names()} | {"wellhead/py.typed"}
    assert names == expected


def test_abis_and_bytecode_are_in_it(wheel: Path) -> None:
    packed = json.loads(zipfile.ZipFile(wheel).read("wellhead/artifacts/NodeShareFactory.json"))
    assert packed == artifacts.load("NodeShareFactory")._asdict()


def test_a_wheel_without_compiled_contracts_is_refused(tmp_path: Path) -> None:
    refused = _build(tmp_path, "artifacts")
    assert refused.returncode != 0
    assert "run `make build` first" in refused.stderr
    assert not list(tmp_path.glob("dist/*.whl"))


def test_the_command_helps(installed: Path, tmp_path: Path, elsewhere: dict[str, str]) -> None:
    helped = _run(str(installed / "wellhead"), "--help", cwd=tmp_path, env=elsewhere)
    assert helped.returncode == 0, helped.stderr
    assert "doctor" in helped.stdout


def test_the_doctor_lacks_nothing_that_travels(
    installed: Path, tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    examined = _run(str(installed / "wellhead"), "doctor", "--json", cwd=tmp_path, env=elsewhere)
    findings = {finding["name"]: finding for finding in json.loads(examined.stdout)["findings"]}
    assert findings["contracts"]["detail"] == f"{len(artifacts.names())} compiled"
    missing = {name for name, finding in findings.items() if finding["needed"] and not finding["found"]}
    assert missing <= {"anvil"}  # Foundry is the user's to install

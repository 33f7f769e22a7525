"""A copy of the checkout in which forge and brownie may work, whatever runs beside it."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from wellhead.chain import local
from wellhead.chain.compile import CONFIG_NAME, CONTRACTS_DIR

ROOT = Path(__file__).resolve().parents[2]
BROWNIE_BUILD = Path("build", "contracts")
FORGE_BUILD = Path("build", "forge", "out")
FORGE_CACHE = Path("build", "forge", "cache", "solidity-files-cache.json")
BROWNIE_PORT = "port: 8645"
TIMEOUT_SECONDS = 400  # the compiler's, on a busy machine


def copy_checkout(copy: Path) -> None:
    """Sources, settings, compiler and brownie's scripts; and earlier builds, which both tools bring up to date.

    Brownie's chain gets a port of its own, and brownie's notes a home of their own.
    """
    for folder in (CONTRACTS_DIR, "tools", BROWNIE_BUILD, FORGE_BUILD):
        if (ROOT / folder).is_dir():
            shutil.copytree(ROOT / folder, copy / folder)
    for folder in ("scripts", "tests/brownie", "home"):  # brownie wants every folder of its configuration
        (copy / folder).mkdir(parents=True)
    for file in ("foundry.toml", "package.json", "scripts/deploy.py"):
        shutil.copyfile(ROOT / file, copy / file)
    if (ROOT / FORGE_CACHE).is_file():
        (copy / FORGE_CACHE).parent.mkdir(parents=True)
        shutil.copyfile(ROOT / FORGE_CACHE, copy / FORGE_CACHE)
    config = (ROOT / CONFIG_NAME).read_text()
    assert BROWNIE_PORT in config
    (copy / CONFIG_NAME).write_text(config.replace(BROWNIE_PORT, f"port: {local.free_port()}"))
    _copy_packages(copy / "node_modules")


def _copy_packages(packages: Path) -> None:
    """npm's packages; what is compiled as a real folder, as forge takes sources behind a link for new ones."""
    packages.mkdir()
    for package in (ROOT / "node_modules").iterdir():
        if package.name != "solady":
            (packages / package.name).symlink_to(package.resolve())
    shutil.copytree(ROOT / "node_modules" / "solady" / "src", packages / "solady" / "src")


def run_in(checkout: Path, *command: str) -> str:
    """What `command` prints, stdout and stderr; fails the test unless it succeeds."""
    run = subprocess.run(
        command,
        cwd=checkout,
        env={**os.environ, "HOME": str(checkout / "home")},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_SECONDS,
        check=False,
    )
    assert run.returncode == 0, run.stdout
    return run.stdout

"""Everything is in pyproject.toml; here is only why a wheel may not be made: contracts that nobody compiled."""

import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ARTIFACTS = Path(__file__).resolve().parent / "scripts" / "wellhead" / "artifacts"


class BuildWithContracts(build_py):
    """An editable installation comes before the first compilation, a wheel after."""

    def run(self) -> None:
        if not self.editable_mode and not any(ARTIFACTS.glob("*.json")):
            sys.exit(f"no compiled contracts in {ARTIFACTS}: run `make build` first")
        super().run()


setup(cmdclass={"build_py": BuildWithContracts})

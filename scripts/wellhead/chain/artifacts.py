"""ABIs and bytecode that travel with the package: one JSON file per contract in `wellhead/artifacts`."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from typing import Any, NamedTuple

from wellhead.errors import Refused


class ArtifactNotFoundError(Refused):
    """No artifact of that name: the package was built without `make build`, or the name is wrong."""


class Artifact(NamedTuple):
    """A compiled contract as the package carries it. Bytecodes are 0x-prefixed hex."""

    name: str
    abi: list[dict[str, Any]]
    bytecode: str
    runtime_bytecode: str
    immutables: dict[str, list[dict[str, int]]]
    error_notices: dict[str, str]


def names() -> list[str]:
    """The contracts that have an artifact."""
    folder = resources.files("wellhead") / "artifacts"
    return sorted(entry.name[:-5] for entry in folder.iterdir()) if folder.is_dir() else []


@cache
def load(name: str) -> Artifact:
    """The artifact of contract `name`; raises ArtifactNotFoundError."""
    file = resources.files("wellhead") / "artifacts" / f"{name}.json"
    if not file.is_file():
        raise ArtifactNotFoundError(
            f"no artifact {name!r}; known: {', '.join(names()) or 'none'}; `make build` compiles the contracts"
        )
    return read(file)


def read(file: Traversable) -> Artifact:
    """The artifact in `file`, as `wellhead.chain.build` wrote it."""
    return Artifact(**json.loads(file.read_text()))

"""Compile a checkout's contracts into the artifacts that travel with the package: `make build`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from wellhead.chain.artifacts import Artifact
from wellhead.chain.compile import CONTRACTS_DIR, compile_contracts


def write_artifacts(root: Path, folder: Path, sources: str = CONTRACTS_DIR) -> list[str]:
    """Compile what lies below `sources` in the checkout at `root`, an artifact each in `folder`; their names."""
    compiled = compile_contracts(root, (sources,))
    folder.mkdir(parents=True, exist_ok=True)
    for stale in folder.glob("*.json"):
        if stale.stem not in compiled:
            stale.unlink()
    for contract in compiled.values():
        artifact = Artifact(**{field: getattr(contract, field) for field in Artifact._fields})
        text = json.dumps(artifact._asdict(), indent=1, sort_keys=True)
        (folder / f"{contract.name}.json").write_text(text)
    return sorted(compiled)


if __name__ == "__main__":
    checkout = Path(sys.argv[1] if len(sys.argv) > 1 else ".").resolve()
    written = write_artifacts(checkout, checkout / "scripts" / "wellhead" / "artifacts")
    print(f"{len(written)} contracts compiled")

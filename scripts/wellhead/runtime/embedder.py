"""Texts to vectors: tokenise, group by length, run the model; measures what it did."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
from tokenizers import Tokenizer

from wellhead.runtime.model import DIMENSIONS, Array, Model, build_model, embed_tokens, load_tensors
from wellhead.runtime.tokenizing import load_tokenizer, token_ids

MODEL_NAME = "all-MiniLM-L6-v2"
# Texts in one forward pass: bounds memory (16 x 256 tokens need about 50 MB of scores per layer).
GROUP_TEXTS = 16


class Embedded(NamedTuple):
    """Vectors in the order of the texts, tokens that the model read, and the time it was at work."""

    vectors: Array
    tokens: int
    busy_seconds: float


class Embedder(Protocol):
    """What the HTTP side needs of a model."""

    def embed(self, texts: Sequence[str]) -> Embedded:
        """One vector per text; `texts` must not be empty."""
        ...


class MiniLM:
    """all-MiniLM-L6-v2. Not for concurrent use: the caller lets one request in at a time."""

    def __init__(self, folder: Path) -> None:
        """Load from `folder`; raises WeightsError if a file is missing or not the pinned one."""
        self._tokenizer: Tokenizer = load_tokenizer(folder)
        self._model: Model = build_model(load_tensors(folder))

    def embed(self, texts: Sequence[str]) -> Embedded:
        """One unit vector per text, in order. Texts beyond 256 tokens are cut there."""
        started = time.perf_counter()
        sequences = token_ids(self._tokenizer, texts)
        by_length = sorted(range(len(sequences)), key=lambda index: len(sequences[index]))
        vectors = np.empty((len(sequences), DIMENSIONS), dtype=np.float32)
        for start in range(0, len(by_length), GROUP_TEXTS):
            group = by_length[start : start + GROUP_TEXTS]
            vectors[group] = embed_tokens(self._model, [sequences[index] for index in group])
        tokens = sum(len(sequence) for sequence in sequences)
        return Embedded(vectors, tokens, time.perf_counter() - started)

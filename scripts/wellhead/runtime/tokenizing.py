"""Text to token ids, as all-MiniLM-L6-v2 was trained: WordPiece, lower case, at most 256 tokens."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer

from wellhead.runtime.weights import TOKENIZER_FILE, read_verified

MAX_TOKENS = 256


def load_tokenizer(folder: Path) -> Tokenizer:
    """The verified tokenizer; raises WeightsError.

    Its file asks for padding to 128 and truncation at 128: the model's own limit is 256, and padding
    is the business of a batch.
    """
    tokenizer: Tokenizer = Tokenizer.from_str(read_verified(folder, TOKENIZER_FILE).decode())
    tokenizer.no_padding()
    tokenizer.enable_truncation(MAX_TOKENS)
    return tokenizer


def token_ids(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    """The ids of each text, [CLS] and [SEP] included, cut at MAX_TOKENS, never padded."""
    return [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]

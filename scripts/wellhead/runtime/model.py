"""The forward pass of a six-layer BERT in numpy: token ids in, unit vectors out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from safetensors.numpy import load

from wellhead.runtime.weights import WEIGHTS_FILE, read_verified

Array = npt.NDArray[np.float32]

LAYERS = 6
HEADS = 12
DIMENSIONS = 384
HEAD_DIMENSIONS = DIMENSIONS // HEADS
NORM_EPSILON = np.float32(1e-12)
# Added to the score of a padded key: far enough below any score that its weight is exactly zero.
MASKED = np.float32(-1e9)
# Abramowitz and Stegun 7.1.26: |error of erf| <= 1.5e-7, about the resolution of float32 itself.
ERF_P = np.float32(0.3275911)
ERF_COEFFICIENTS = tuple(
    np.float32(a) for a in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592)
)


class Linear(NamedTuple):
    """y = x @ weight + bias, the weight as (inputs, outputs)."""

    weight: Array
    bias: Array


class Norm(NamedTuple):
    """Layer normalisation's scale and shift."""

    scale: Array
    shift: Array


class Layer(NamedTuple):
    """One encoder layer; query, key and value are one matrix, the query scaled by 1/sqrt(head size)."""

    query_key_value: Linear
    attention_output: Linear
    attention_norm: Norm
    expand: Linear
    contract: Linear
    output_norm: Norm


class Model(NamedTuple):
    """Everything that a forward pass reads."""

    words: Array
    positions: Array
    embedding_norm: Norm
    layers: tuple[Layer, ...]


def load_tensors(folder: Path) -> dict[str, Array]:
    """The float32 tensors of the verified weights by name; raises WeightsError."""
    tensors: dict[str, npt.NDArray[np.generic]] = load(read_verified(folder, WEIGHTS_FILE))
    # The checkpoint's only other tensor is a list of positions, which a slice replaces.
    floats = {name: tensor for name, tensor in tensors.items() if tensor.dtype == np.float32}
    return {name: tensor.astype(np.float32, copy=False) for name, tensor in floats.items()}


def build_model(tensors: Mapping[str, Array]) -> Model:
    """The model out of the checkpoint's tensors; a missing one is a KeyError."""
    # Only single texts are embedded: every token has type 0, so its vector joins the positions once.
    positions = (
        tensors["embeddings.position_embeddings.weight"]
        + tensors["embeddings.token_type_embeddings.weight"][0]
    )
    return Model(
        words=tensors["embeddings.word_embeddings.weight"],
        positions=positions,
        embedding_norm=_norm(tensors, "embeddings.LayerNorm"),
        layers=tuple(_layer(tensors, f"encoder.layer.{number}") for number in range(LAYERS)),
    )


def embed_tokens(model: Model, sequences: Sequence[Sequence[int]]) -> Array:
    """One unit vector per token sequence: the mean over its own tokens, padding left out.

    Sequences are padded to the longest among them, so pass such as are of similar length.
    """
    lengths = np.array([len(sequence) for sequence in sequences])
    width = int(lengths.max())
    ids = np.zeros((len(sequences), width), dtype=np.int64)
    for row, sequence in enumerate(sequences):
        ids[row, : len(sequence)] = sequence
    real = np.arange(width) < lengths[:, None]

    hidden = model.words[ids] + model.positions[:width]
    states = _normalise(hidden.reshape(-1, DIMENSIONS), model.embedding_norm)
    key_bias = np.where(real, np.float32(0), MASKED).astype(np.float32)[:, None, None, :]
    for layer in model.layers:
        attended = _attention(layer, states, key_bias, ids.shape)
        states = _normalise(states + _linear(attended, layer.attention_output), layer.attention_norm)
        widened = gelu(_linear(states, layer.expand))
        states = _normalise(states + _linear(widened, layer.contract), layer.output_norm)

    per_token = states.reshape(len(sequences), width, DIMENSIONS) * real[:, :, None].astype(np.float32)
    mean = per_token.sum(axis=1) / lengths[:, None].astype(np.float32)
    unit: Array = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return unit


def gelu(x: Array) -> Array:
    """x * Phi(x), with the error function by a formula exact to float32 (numpy has none)."""
    z = np.abs(x) * np.float32(1 / math.sqrt(2))
    t = np.float32(1) / (np.float32(1) + ERF_P * z)
    polynomial = ERF_COEFFICIENTS[0] * t
    for coefficient in ERF_COEFFICIENTS[1:]:
        polynomial += coefficient
        polynomial *= t
    np.multiply(z, -z, out=z)
    polynomial *= np.exp(z, out=z)  # now 1 - erf(|x|/sqrt 2), twice the tail beyond |x|
    tail = polynomial * np.float32(0.5)
    value: Array = x * np.where(x > 0, np.float32(1) - tail, tail)
    return value


def _attention(layer: Layer, states: Array, key_bias: Array, shape: tuple[int, ...]) -> Array:
    texts, width = shape
    projected = _linear(states, layer.query_key_value).reshape(texts, width, 3, HEADS, HEAD_DIMENSIONS)
    query, key, value = projected.transpose(2, 0, 3, 1, 4)
    scores = query @ key.transpose(0, 1, 3, 2)
    scores += key_bias
    scores -= scores.max(axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= scores.sum(axis=-1, keepdims=True)
    mixed: Array = (scores @ value).transpose(0, 2, 1, 3).reshape(-1, DIMENSIONS)
    return mixed


def _linear(x: Array, linear: Linear) -> Array:
    y: Array = x @ linear.weight
    y += linear.bias
    return y


def _normalise(x: Array, norm: Norm) -> Array:
    centred: Array = x - x.mean(axis=-1, keepdims=True)
    variance = np.einsum("ij,ij->i", centred, centred)[:, None] / np.float32(DIMENSIONS)
    centred /= np.sqrt(variance + NORM_EPSILON)
    centred *= norm.scale
    centred += norm.shift
    return centred


def _layer(tensors: Mapping[str, Array], prefix: str) -> Layer:
    query, key, value = (
        _weights(tensors, f"{prefix}.attention.self.{name}") for name in ("query", "key", "value")
    )
    scale = np.float32(1 / math.sqrt(HEAD_DIMENSIONS))
    joined = Linear(
        np.ascontiguousarray(np.concatenate([query.weight * scale, key.weight, value.weight], axis=1)),
        np.concatenate([query.bias * scale, key.bias, value.bias]),
    )
    return Layer(
        query_key_value=joined,
        attention_output=_weights(tensors, f"{prefix}.attention.output.dense"),
        attention_norm=_norm(tensors, f"{prefix}.attention.output.LayerNorm"),
        expand=_weights(tensors, f"{prefix}.intermediate.dense"),
        contract=_weights(tensors, f"{prefix}.output.dense"),
        output_norm=_norm(tensors, f"{prefix}.output.LayerNorm"),
    )


def _weights(tensors: Mapping[str, Array], name: str) -> Linear:
    weight: npt.NDArray[np.float32] = np.ascontiguousarray(tensors[f"{name}.weight"].T)
    return Linear(weight, tensors[f"{name}.bias"])


def _norm(tensors: Mapping[str, Array], name: str) -> Norm:
    return Norm(tensors[f"{name}.weight"], tensors[f"{name}.bias"])

"""The OpenAI shape of an embedding request, its answer and its errors. Pure: bytes in, dictionaries out."""

from __future__ import annotations

import base64
import json
from typing import Any, Literal, NamedTuple

from wellhead.runtime.embedder import MODEL_NAME, Embedded
from wellhead.runtime.model import DIMENSIONS

MAX_BODY_BYTES = 1 << 20
MAX_INPUTS = 128
MAX_CHARACTERS = 16_384
SHOWN_CHARACTERS = 60


class RequestError(Exception):
    """A request that is refused, with what the answer says about it."""

    def __init__(
        self, message: str, *, param: str | None = None, code: str | None = None, status: int = 400
    ) -> None:
        super().__init__(message)
        self.message, self.param, self.code, self.status = message, param, code, status


class EmbeddingRequest(NamedTuple):
    """A request that can be served."""

    texts: list[str]
    encoding: Literal["float", "base64"]


def parse_request(body: bytes) -> EmbeddingRequest:
    """The request in `body`; raises RequestError naming the value and the limit."""
    refuse_large_body(len(body))
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from error
    if not isinstance(fields, dict):
        raise RequestError(f"the body must be a JSON object, not {_kind(fields)}")
    _check_model(fields.get("model"))
    _check_dimensions(fields.get("dimensions"))
    encoding = fields.get("encoding_format", "float")
    if encoding not in ("float", "base64"):
        raise RequestError(
            f"encoding_format is {_shown(encoding)}; known are 'float' and 'base64'", param="encoding_format"
        )
    if "input" not in fields:
        raise RequestError("input is missing: a string or a list of strings", param="input")
    return EmbeddingRequest(_texts(fields["input"]), encoding)


def refuse_large_body(length: int) -> None:
    """Raises RequestError for a body of more than MAX_BODY_BYTES."""
    if length > MAX_BODY_BYTES:
        raise RequestError(
            f"the body has {length} bytes or more; the limit is {MAX_BODY_BYTES}",
            code="body_too_large",
            status=413,
        )


def answer(embedded: Embedded, encoding: Literal["float", "base64"]) -> dict[str, Any]:
    """The embedding list; base64 holds the same numbers as float32, little-endian."""
    vectors = embedded.vectors.astype("<f4", copy=False)
    encoded: list[str] | list[list[float]]
    if encoding == "base64":
        encoded = [base64.b64encode(vector.tobytes()).decode() for vector in vectors]
    else:
        encoded = vectors.tolist()
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": vector}
            for index, vector in enumerate(encoded)
        ],
        "model": MODEL_NAME,
        "usage": {"prompt_tokens": embedded.tokens, "total_tokens": embedded.tokens},
    }


def error_body(error: RequestError) -> dict[str, Any]:
    """The error object that OpenAI clients decode."""
    kind = "invalid_request_error" if error.status < 500 else "server_error"
    return {"error": {"message": error.message, "type": kind, "param": error.param, "code": error.code}}


def model_list(created: int) -> dict[str, Any]:
    """The one model that is served; `created` in seconds since the epoch."""
    return {
        "object": "list",
        "data": [{"id": MODEL_NAME, "object": "model", "created": created, "owned_by": "wellhead"}],
    }


def _check_model(model: object) -> None:
    if model is None:
        raise RequestError(f"model is missing; this node serves {MODEL_NAME!r}", param="model")
    if model != MODEL_NAME:
        raise RequestError(
            f"no model {_shown(model)} here; this node serves {MODEL_NAME!r}",
            param="model",
            code="model_not_found",
            status=404,
        )


def _check_dimensions(dimensions: object) -> None:
    if dimensions is not None and (isinstance(dimensions, bool) or dimensions != DIMENSIONS):
        raise RequestError(
            f"dimensions is {_shown(dimensions)}; this model has {DIMENSIONS} and cannot be shortened",
            param="dimensions",
        )


def _texts(value: object) -> list[str]:
    if isinstance(value, str):
        texts: list[object] = [value]
    elif isinstance(value, list):
        texts = value
    else:
        raise RequestError(f"input must be a string or a list of strings, not {_kind(value)}", param="input")
    if not texts:
        raise RequestError("input is an empty list; at least one string is needed", param="input")
    if isinstance(texts[0], int | list):
        raise RequestError(
            "input holds token ids; this node takes text only, and tokenises it by itself", param="input"
        )
    if len(texts) > MAX_INPUTS:
        raise RequestError(
            f"input has {len(texts)} strings; the limit is {MAX_INPUTS}",
            param="input",
            code="too_many_inputs",
        )
    return [_text(text, index) for index, text in enumerate(texts)]


def _text(text: object, index: int) -> str:
    if not isinstance(text, str):
        raise RequestError(f"input[{index}] must be a string, not {_kind(text)}", param="input")
    if not text:
        raise RequestError(f"input[{index}] is an empty string", param="input")
    if len(text) > MAX_CHARACTERS:
        raise RequestError(
            f"input[{index}] has {len(text)} characters; the limit is {MAX_CHARACTERS}",
            param="input",
            code="string_too_long",
        )
    # JSON can spell lone surrogates; they are no text, and no tokenizer takes them.
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestError(f"input[{index}] holds a lone surrogate: not valid Unicode text", param="input")
    return text


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= SHOWN_CHARACTERS else text[:SHOWN_CHARACTERS] + "…"

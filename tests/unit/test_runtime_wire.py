"""Requests that are refused, and the shape of answers; no model needed."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from wellhead.runtime import wire
from wellhead.runtime.embedder import MODEL_NAME, Embedded
from wellhead.runtime.wire import RequestError, answer, error_body, parse_request


def body(**fields: Any) -> bytes:
    return json.dumps({"model": MODEL_NAME, "input": "text", **fields}).encode()


def refusal(raw: bytes) -> RequestError:
    with pytest.raises(RequestError) as caught:
        parse_request(raw)
    return caught.value


def test_a_string_is_a_list_of_one() -> None:
    assert parse_request(body(input="well")) == (["well"], "float")
    assert parse_request(body(input=["well", "meter"], encoding_format="base64")) == (
        ["well", "meter"],
        "base64",
    )


def test_the_limits_themselves_are_allowed() -> None:
    assert len(parse_request(body(input=["x"] * wire.MAX_INPUTS)).texts) == wire.MAX_INPUTS
    assert parse_request(body(input="x" * wire.MAX_CHARACTERS)).texts == ["x" * wire.MAX_CHARACTERS]


@pytest.mark.parametrize(
    ("fields", "param", "status", "said"),
    [
        (
            {"input": ["x"] * (wire.MAX_INPUTS + 1)},
            "input",
            400,
            f"129 strings; the limit is {wire.MAX_INPUTS}",
        ),
        (
            {"input": ["ok", "x" * (wire.MAX_CHARACTERS + 1)]},
            "input",
            400,
            f"input[1] has 16385 characters; the limit is {wire.MAX_CHARACTERS}",
        ),
        ({"input": [1, 2, 3]}, "input", 400, "token ids; this node takes text only"),
        ({"input": [[1, 2], [3]]}, "input", 400, "token ids; this node takes text only"),
        ({"input": []}, "input", 400, "empty list"),
        ({"input": ""}, "input", 400, "input[0] is an empty string"),
        ({"input": ["a", None]}, "input", 400, "input[1] must be a string, not null"),
        ({"input": {"a": 1}}, "input", 400, "not an object"),
        ({"input": "bad \ud800 text"}, "input", 400, "lone surrogate"),
        ({"model": "gpt-5"}, "model", 404, "no model 'gpt-5' here; this node serves 'all-MiniLM-L6-v2'"),
        ({"model": None}, "model", 400, "model is missing"),
        ({"encoding_format": "hex"}, "encoding_format", 400, "'hex'; known are 'float' and 'base64'"),
        ({"encoding_format": ["float"]}, "encoding_format", 400, "known are"),
        ({"dimensions": 256}, "dimensions", 400, "dimensions is 256; this model has 384"),
    ],
)
def test_a_refusal_names_the_value_and_the_limit(
    fields: dict[str, Any], param: str, status: int, said: str
) -> None:
    error = refusal(body(**fields))
    assert (error.param, error.status) == (param, status)
    assert said in error.message


@pytest.mark.parametrize("raw", [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'"text"', b"NaN"])
def test_a_body_that_is_no_request_is_refused(raw: bytes) -> None:
    assert refusal(raw).status == 400


def test_missing_input_is_refused() -> None:
    assert refusal(json.dumps({"model": MODEL_NAME}).encode()).param == "input"


def test_a_large_body_is_refused_before_it_is_parsed() -> None:
    error = refusal(b"[" * (wire.MAX_BODY_BYTES + 1))
    assert (error.status, error.code) == (413, "body_too_large")
    assert f"{wire.MAX_BODY_BYTES + 1} bytes" in error.message


def test_a_long_value_is_shown_shortened() -> None:
    assert len(refusal(body(model="m" * 10_000)).message) < 200


def test_errors_have_the_shape_that_clients_decode() -> None:
    assert error_body(RequestError("no", param="input", code="c")) == {
        "error": {"message": "no", "type": "invalid_request_error", "param": "input", "code": "c"}
    }
    assert error_body(RequestError("no", status=503))["error"]["type"] == "server_error"


def test_base64_holds_the_same_numbers_as_float() -> None:
    vectors = np.array([[0.1, -1 / 3], [1e-30, 1.0]], dtype=np.float32)
    embedded = Embedded(vectors, 7, 0.5)
    as_float, as_base64 = answer(embedded, "float"), answer(embedded, "base64")
    assert as_float["usage"] == as_base64["usage"] == {"prompt_tokens": 7, "total_tokens": 7}
    for index, (plain, packed) in enumerate(zip(as_float["data"], as_base64["data"], strict=True)):
        assert plain["index"] == packed["index"] == index
        decoded = np.frombuffer(base64.b64decode(packed["embedding"]), dtype="<f4")
        assert json.loads(json.dumps(plain["embedding"])) == decoded.tolist() == vectors[index].tolist()

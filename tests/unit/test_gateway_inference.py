"""What is passed on of a request: nothing that could cost more than was priced."""

from __future__ import annotations

import json
from typing import Any

import pytest

from wellhead.gateway.inference import Call, read_call
from wellhead.gateway.openai_shape import RequestError
from wellhead.gateway.paths import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH
from wellhead.gateway.prices import ModelPrice, PriceList

PRICES = PriceList([ModelPrice(id="m", usd6_per_million_output_tokens=1_000_000, max_output_tokens=100)])
LEAST: dict[str, dict[str, Any]] = {
    CHAT_PATH: {"model": "m", "messages": [{"role": "user", "content": "x"}]},
    COMPLETIONS_PATH: {"model": "m", "prompt": "x"},
    EMBEDDINGS_PATH: {"model": "m", "input": "x"},
}
PATHS = pytest.mark.parametrize("path", LEAST)


def read(path: str, **fields: Any) -> Call:
    return read_call(path, json.dumps(LEAST[path] | fields).encode(), PRICES)


def sent(call: Call) -> dict[str, Any]:
    """What the upstream gets; a name that comes twice fails."""

    def once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        assert len(dict(pairs)) == len(pairs)
        return dict(pairs)

    found: dict[str, Any] = json.loads(call.body, object_pairs_hook=once)
    return found


@pytest.mark.parametrize(
    ("limits", "allowed"),
    [
        ({}, 100),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 7}, 7),
        ({"max_completion_tokens": 7, "max_tokens": 90}, 7),
        ({"max_completion_tokens": 90, "max_tokens": 7}, 7),
        ({"max_completion_tokens": None, "max_tokens": None}, 100),
    ],
)
def test_an_upstream_is_told_the_limit_by_either_name(limits: dict[str, Any], allowed: int) -> None:
    """Ollama knows `max_tokens` alone, others prefer the newer one."""
    call = read(CHAT_PATH, **limits)
    assert call.most.output == allowed
    assert (sent(call)["max_tokens"], sent(call)["max_completion_tokens"]) == (allowed, allowed)


def test_completions_are_told_by_the_name_they_know() -> None:
    call = read(COMPLETIONS_PATH, max_tokens=7)
    assert sent(call) == {"model": "m", "prompt": "x", "max_tokens": 7}
    assert call.most.output == 7


@PATHS
@pytest.mark.parametrize(
    "name",
    [
        *("n_predict", "min_tokens", "ignore_eos", "options", "prompt_logprobs", "use_beam_search", ""),
        *("best_of", "prediction", "audio", "modalities", "service_tier", "web_search_options"),
    ],
)
def test_a_field_of_unknown_cost_is_refused_by_name(path: str, name: str) -> None:
    with pytest.raises(RequestError) as refused:
        read(path, **{name: 1})
    assert repr(name) in refused.value.message
    assert (refused.value.code, refused.value.param) == ("unknown_parameter", name)


@pytest.mark.parametrize("path", [CHAT_PATH, COMPLETIONS_PATH])
def test_how_the_next_token_is_chosen_is_the_customers_affair(path: str) -> None:
    wanted = {"top_k": 40, "min_p": 0.05, "typical_p": 0.9, "repetition_penalty": 1.1, "repeat_penalty": 1.1}
    call = read(path, max_tokens=7, **wanted)
    assert wanted.items() <= sent(call).items()
    assert call.most.output == 7


@PATHS
@pytest.mark.parametrize("name", ["Model", "MODEL", "User"])
def test_a_name_in_other_letters_is_refused(path: str, name: str) -> None:
    """Servers in Go take it for the same name, and the later one counts."""
    with pytest.raises(RequestError, match=f"{name.lower()!r}, in small letters"):
        read(path, **{name: "dear"})


@PATHS
def test_of_a_name_that_comes_twice_one_is_left(path: str) -> None:
    body = json.dumps(LEAST[path]).encode()
    call = read_call(path, b'{"model": "dear", ' + body[1:], PRICES)
    assert sent(call)["model"] == "m"
    assert b"dear" not in call.body


def test_usage_cannot_be_turned_off() -> None:
    options = {"include_usage": False, "include_obfuscation": False}
    call = read(CHAT_PATH, stream=True, stream_options=options)
    assert sent(call)["stream_options"] == {"include_usage": True}
    assert not call.wants_usage
    with pytest.raises(RequestError, match="Include_Usage' is not passed on"):
        read(CHAT_PATH, stream=True, stream_options={"Include_Usage": False})
    with pytest.raises(RequestError, match="true or false"):
        read(CHAT_PATH, stream=True, stream_options={"include_usage": "no"})


@pytest.mark.parametrize(
    ("prompt", "many"),
    [("x", 1), ([1, 2, 3], 1), (["x", "y"], 2), ([[1, 2], [3]], 2), ([1, "x", "y"], 3), ([True, "x"], 2)],
)
def test_every_prompt_may_be_answered_at_length(prompt: Any, many: int) -> None:
    assert read(COMPLETIONS_PATH, prompt=prompt, n=2, max_tokens=7).most.output == 2 * many * 7


def test_what_openai_documents_passes() -> None:
    fields = {
        "temperature": 0.5,
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}],
        "reasoning_effort": "high",
        "response_format": {"type": "json_object"},
        "stop": ["\n"],
        "logprobs": True,
        "top_logprobs": 5,
        "seed": 7,
    }
    assert fields.items() <= sent(read(CHAT_PATH, **fields)).items()
    assert sent(read(EMBEDDINGS_PATH, dimensions=64)) == LEAST[EMBEDDINGS_PATH] | {"dimensions": 64}


@PATHS
def test_what_is_too_deep_is_refused(path: str) -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    with pytest.raises(RequestError, match="not JSON"):
        read_call(path, b'{"model": "m", "user": ' + deep + b"}", PRICES)

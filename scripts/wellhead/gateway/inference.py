"""Requests for inference in OpenAI's shape: what they may cost at most, and what they did. Pure.

No tokenizer runs here. Before the call, tokens are bounded: those of the input by the bytes of the request, as every
token of a byte or word-piece vocabulary stands for at least one of them and what a chat template adds is less than
JSON's own names and braces; those of the output by what the request, or the price list, allows. After the call, the
upstream's `usage` counts, within these bounds.

An upstream is sent what was read here, encoded anew, and no field whose cost nobody knows: servers have names of their
own for limits, some read names whatever their case, and of a name that comes twice some take the first.
"""

from __future__ import annotations

from typing import Any

import msgspec

from wellhead.gateway.openai_shape import RequestError
from wellhead.gateway.paths import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH
from wellhead.gateway.prices import ModelPrice, PriceList, Tokens

_CONTENT = {EMBEDDINGS_PATH: "input", CHAT_PATH: "messages", COMPLETIONS_PATH: "prompt"}
# An upstream that knows one of them ignores the other: it is told the same limit by each.
_LIMITS = {CHAT_PATH: ("max_completion_tokens", "max_tokens"), COMPLETIONS_PATH: ("max_tokens",)}
# Not OpenAI's: how vLLM and llama.cpp choose the next token. None of them has to do with how many there are.
_SAMPLING = ("top_k", "min_p", "typical_p", "repetition_penalty", "repeat_penalty")
_GENERATING = {
    *_SAMPLING,
    *("model", "stream", "stream_options", "n", "max_tokens", "stop", "seed", "user"),
    *("temperature", "top_p", "frequency_penalty", "presence_penalty", "logit_bias", "logprobs"),
}
# OpenAI's documented fields, as far as what they cost is known before the call: reasoning and calls of tools are
# output within the limit, and what is echoed was input. Whatever else a request has is refused.
_FIELDS = {
    EMBEDDINGS_PATH: frozenset({"model", "input", "dimensions", "encoding_format", "user"}),
    COMPLETIONS_PATH: frozenset({*_GENERATING, "prompt", "suffix", "echo"}),
    CHAT_PATH: frozenset(
        {
            *_GENERATING,
            *("messages", "max_completion_tokens", "top_logprobs", "reasoning_effort", "verbosity"),
            *("response_format", "tools", "tool_choice", "parallel_tool_calls", "functions", "function_call"),
            *("metadata", "store", "prompt_cache_key", "prompt_cache_retention", "safety_identifier"),
        }
    ),
}
# OpenAI's too, and why they are refused all the same.
_UNPRICED = {
    "audio": "speech is not sold here",
    "best_of": "what is generated and then thrown away is not counted",
    "modalities": "only text is sold here",
    "prediction": "what is predicted wrongly counts as output beyond the limit",
    "service_tier": "there is one price for all",
    "web_search_options": "searches are not sold here",
}
_STREAM_OPTIONS = frozenset({"include_usage", "include_obfuscation"})
MAX_CHOICES = 128


class Call(msgspec.Struct, frozen=True):
    """A request that may be sent to an upstream, and what it costs at most."""

    path: str
    body: bytes
    price: ModelPrice
    most: Tokens
    stream: bool
    # Whether the customer asked for the stream's last chunk, which counts tokens; the gateway always does.
    wants_usage: bool

    @property
    def ceiling_usd6(self) -> int:
        """The most that this call is charged."""
        return self.price.cost_up(self.most)

    def cost_usd6(self, tokens: Tokens) -> int:
        """What it costs if the upstream counted `tokens`: never more than the ceiling, whatever it says."""
        return min(self.price.cost_up(tokens), self.ceiling_usd6)

    def work_units(self, tokens: Tokens) -> int:
        """The work in it, as a pool counts it: tokens either way, and never more than can have been charged for."""
        return min(tokens.input, self.most.input) + min(tokens.output, self.most.output)


def read_call(path: str, body: bytes, prices: PriceList) -> Call:
    """The request in `body`. Raises RequestError for what no upstream could serve; it judges the rest."""
    fields = _fields(body)
    model = fields.get("model")
    if not isinstance(model, str):
        raise RequestError("model must be a string; GET /v1/models lists what is served", param="model")
    price = prices.of(model)
    if price is None:
        raise RequestError(
            f"model {model[:80]!r} is not sold here", status=404, code="model_not_found", param="model"
        )
    _must_be_known(fields, _FIELDS[path])
    name = _CONTENT[path]
    if not isinstance(fields.get(name), str | list) or not fields[name]:
        raise RequestError(f"{name} must be a string or a list, and not empty", param=name)
    input_tokens = min(len(body), price.max_input_tokens or len(body))
    if path == EMBEDDINGS_PATH:
        most = Tokens(input_tokens, 0)
        return Call(path, msgspec.json.encode(fields), price, most, stream=False, wants_usage=False)
    stream, wants_usage = _streaming(fields)
    choices = _whole(fields, "n", 1, MAX_CHOICES) * _prompts(path, fields)
    limit = min(
        _whole(fields, name, price.max_output_tokens, price.max_output_tokens) for name in _LIMITS[path]
    )
    sent = fields | dict.fromkeys(_LIMITS[path], limit)
    if stream:
        sent["stream_options"] = {"include_usage": True}
    return Call(
        path, msgspec.json.encode(sent), price, Tokens(input_tokens, limit * choices), stream, wants_usage
    )


class _Embeddings(msgspec.Struct):
    data: list[msgspec.Raw]
    usage: Any = None


class _Generated(msgspec.Struct):
    choices: list[msgspec.Raw]
    usage: Any = None


# Of an answer only that is made into objects which is looked at: an embedding has hundreds of numbers.
_ANSWERS: dict[str, msgspec.json.Decoder[_Embeddings] | msgspec.json.Decoder[_Generated]] = {
    EMBEDDINGS_PATH: msgspec.json.Decoder(_Embeddings),
    CHAT_PATH: msgspec.json.Decoder(_Generated),
    COMPLETIONS_PATH: msgspec.json.Decoder(_Generated),
}


def read_answer(path: str, body: bytes) -> Tokens | None:
    """The tokens that a whole answer says it took, None if it does not. Raises ValueError for what is not worth money:
    no object with OpenAI's list of results."""
    try:
        return counted(_ANSWERS[path].decode(body).usage)
    except RecursionError as error:
        raise ValueError(str(error)) from None


def counted(usage: Any) -> Tokens | None:
    """The tokens in an answer's `usage`, None if there are none that can be right."""
    if not isinstance(usage, dict):
        return None
    read: Any = usage.get("prompt_tokens")
    written: Any = usage.get("completion_tokens") or 0
    if not (_is_count(read) and _is_count(written)):
        return None
    return Tokens(read, written)


def _is_count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = msgspec.json.decode(body)
    except (ValueError, RecursionError) as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError("the body must be a JSON object")
    return fields


def _must_be_known(fields: dict[str, Any], known: frozenset[str], within: str = "") -> None:
    """Raises RequestError for the first field that is not `known`."""
    for name in fields:
        if name in known:
            continue
        shown = within + name[:80]
        if name in _UNPRICED:
            why = _UNPRICED[name]
        elif name.casefold() in known:
            why = f"its name is {name.casefold()!r}, in small letters"
        else:
            why = f"nobody knows what it would cost; taken are {', '.join(sorted(known))}"
        raise RequestError(f"{shown!r} is not passed on: {why}", code="unknown_parameter", param=shown)


def _prompts(path: str, fields: dict[str, Any]) -> int:
    """Completions take several prompts at once, each as text or as a list of token ids."""
    prompt = fields.get("prompt")
    if path != COMPLETIONS_PATH or not isinstance(prompt, list) or all(type(item) is int for item in prompt):
        return 1
    return len(prompt)


def _streaming(fields: dict[str, Any]) -> tuple[bool, bool]:
    stream, options = fields.get("stream"), fields.get("stream_options")
    if stream is not None and not isinstance(stream, bool):
        raise RequestError("stream must be true or false", param="stream")
    if options is None:
        return bool(stream), False
    if not isinstance(options, dict):
        raise RequestError("stream_options must be an object", param="stream_options")
    _must_be_known(options, _STREAM_OPTIONS, "stream_options.")
    wants_usage = options.get("include_usage")
    if wants_usage is not None and not isinstance(wants_usage, bool):
        raise RequestError("stream_options.include_usage must be true or false", param="stream_options")
    return bool(stream), bool(wants_usage)


def _whole(fields: dict[str, Any], name: str, default: Any, most: int) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise RequestError(f"{name} is {str(value)[:40]}, not a whole number from 1 to {most}", param=name)
    return value

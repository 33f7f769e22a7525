"""Requests for inference in OpenAI's shape: what they may cost at most, and what they did. Pure.

No tokenizer runs here. Before the call, tokens are bounded: those of the input by the bytes of the request, as every
token of a byte or word-piece vocabulary stands for at least one of them and what a chat template adds is less than
JSON's own names and braces; those of the output by what the request, or the price list, allows. After the call, the
upstream's `usage` counts, within these bounds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import orjson

from wellhead.gateway.openai_shape import RequestError
from wellhead.gateway.paths import CHAT_PATH, COMPLETIONS_PATH, EMBEDDINGS_PATH
from wellhead.gateway.prices import ModelPrice, PriceList, Tokens

_CONTENT = {EMBEDDINGS_PATH: "input", CHAT_PATH: "messages", COMPLETIONS_PATH: "prompt"}
_LIMITS = {CHAT_PATH: ("max_completion_tokens", "max_tokens"), COMPLETIONS_PATH: ("max_tokens",)}
_MANY = ("n", "best_of")
MAX_CHOICES = 128


@dataclass(frozen=True, slots=True)
class Call:
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
    name = _CONTENT[path]
    if not isinstance(fields.get(name), str | list) or not fields[name]:
        raise RequestError(f"{name} must be a string or a list, and not empty", param=name)
    input_tokens = len(body) if price.max_input_tokens is None else min(len(body), price.max_input_tokens)
    if path == EMBEDDINGS_PATH:
        return Call(path, body, price, Tokens(input_tokens, 0), stream=False, wants_usage=False)
    stream, wants_usage = _streaming(fields)
    choices = max(_whole(fields, many, 1, MAX_CHOICES) for many in _MANY) * _prompts(path, fields)
    limits = [_whole(fields, limit, None, price.max_output_tokens) for limit in _LIMITS[path]]
    limit = next((limit for limit in limits if limit is not None), price.max_output_tokens)
    sent = fields | {
        next((name for name in _LIMITS[path] if fields.get(name) is not None), "max_tokens"): limit
    }
    if stream:
        sent["stream_options"] = {**(fields.get("stream_options") or {}), "include_usage": True}
    return Call(path, orjson.dumps(sent), price, Tokens(input_tokens, limit * choices), stream, wants_usage)


def counted(answer: Any) -> Tokens | None:
    """The tokens in an answer's `usage`, None if it has none that can be right."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    if not isinstance(usage, dict):
        return None
    read: Any = usage.get("prompt_tokens")
    written: Any = usage.get("completion_tokens") or 0
    if not (_is_count(read) and _is_count(written)):
        return None
    return Tokens(read, written)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def is_answer(path: str, answer: Any) -> bool:
    """Whether `answer` is worth money: an object with OpenAI's list of results."""
    return isinstance(answer, dict) and isinstance(
        answer.get("data" if path == EMBEDDINGS_PATH else "choices"), list
    )


def _fields(body: bytes) -> dict[str, Any]:
    try:
        fields = orjson.loads(body)
    except ValueError as error:
        raise RequestError(f"the body is not JSON: {error}") from None
    if not isinstance(fields, dict):
        raise RequestError("the body must be a JSON object")
    return fields


def _prompts(path: str, fields: dict[str, Any]) -> int:
    """Completions take several prompts at once, each as text or as a list of token ids."""
    prompt = fields.get("prompt")
    many = path == COMPLETIONS_PATH and isinstance(prompt, list) and not isinstance(prompt[0], int)
    return len(prompt) if many and prompt else 1


def _streaming(fields: dict[str, Any]) -> tuple[bool, bool]:
    stream, options = fields.get("stream"), fields.get("stream_options")
    if stream is not None and not isinstance(stream, bool):
        raise RequestError("stream must be true or false", param="stream")
    if options is not None and not isinstance(options, dict):
        raise RequestError("stream_options must be an object", param="stream_options")
    return bool(stream), bool(options and options.get("include_usage"))


def _whole(fields: dict[str, Any], name: str, default: Any, most: int) -> Any:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, int) or isinstance(value, bool) or not 1 <= value <= most:
        raise RequestError(f"{name} is {str(value)[:40]}, not a whole number from 1 to {most}", param=name)
    return value

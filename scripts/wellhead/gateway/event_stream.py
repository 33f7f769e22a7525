"""A streamed answer, event by event, as an upstream sends it: what is passed on, and what it cost. Pure."""

from __future__ import annotations

import re
from typing import Any

import msgspec

from wellhead.gateway.inference import counted
from wellhead.gateway.prices import Tokens

MAX_EVENT_BYTES = 1 << 20
DONE = b"data: [DONE]\n\n"
_END = re.compile(rb"\r?\n\r?\n")


class BrokenStreamError(ValueError):
    """The upstream sends something that is no stream of events."""


class StreamMeter:
    """Cuts bytes into server-sent events and counts what they hold."""

    def __init__(self, *, wants_usage: bool) -> None:
        """The chunk that only counts tokens is passed on if the customer asked for it."""
        self._wants_usage = wants_usage
        self._rest = b""
        self._usage: Tokens | None = None
        self._pieces = 0
        self.done = False

    @property
    def tokens(self) -> Tokens:
        """What the upstream counted. Before or without its count, one token for each piece of text that came, and none
        for the input: the least that it can be."""
        return self._usage if self._usage is not None else Tokens(0, self._pieces)

    @property
    def counted(self) -> bool:
        """Whether the upstream said how many tokens it were."""
        return self._usage is not None

    def feed(self, chunk: bytes) -> bytes:
        """What of the stream is complete with `chunk`, to be passed on; the end mark is left out, see `done`.

        Raises BrokenStreamError.
        """
        *events, self._rest = _END.split(self._rest + chunk)
        if len(self._rest) > MAX_EVENT_BYTES:
            raise BrokenStreamError(f"an event of more than {MAX_EVENT_BYTES} bytes")
        return b"".join(event + b"\n\n" for event in events if event and self._passes(event))

    def _passes(self, event: bytes) -> bool:
        data = b"\n".join(line[5:].strip() for line in event.splitlines() if line.startswith(b"data:"))
        if not data:
            return True  # a comment, which keeps the connection alive
        if data == b"[DONE]":
            self.done = True
            return False
        try:
            chunk = msgspec.json.decode(data)
        except (ValueError, RecursionError) as error:
            raise BrokenStreamError(f"an event that is not JSON: {error}") from None
        fields = chunk if isinstance(chunk, dict) else {}
        choices = fields.get("choices")
        if isinstance(choices, list):
            self._pieces += sum(_has_text(choice) for choice in choices)
        usage = counted(fields.get("usage"))
        if usage is None:
            return True
        self._usage = usage
        return self._wants_usage or bool(choices)


def _has_text(choice: Any) -> bool:
    if not isinstance(choice, dict):
        return False
    delta = choice.get("delta")
    if isinstance(delta, dict):
        return any(value for name, value in delta.items() if name != "role")
    return bool(choice.get("text"))

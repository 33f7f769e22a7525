"""Active probes: a real inference whose right answer is known. A wrong answer is as good as none.

What is asked changes from look to look wherever it can, so that nobody serves it from a memory of answers.

A node counts probes as served, and they stay counted. Each reporter knows its own alone: with those taken off, the
others' are left, and the median is too high all the same, by now this reporter's and now that one's. To take off
everybody's, each would have to tell how many tokens were its own, and who told too many would take away work that was
done. So over any time served work is too high by at most, over all reporters, looks (one in `every_slots`) times the
tokens of a question and its answer. A pool pays for the smaller of served and billed work, and nobody bills a probe.
"""

from __future__ import annotations

import asyncio
import json
import math
import secrets
import threading
from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Protocol

import httpx

from wellhead.errors import Misused
from wellhead.oracle.sources.fetch import ScrapeError, fetch
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import Key, Reading
from wellhead.oracle.sources.reach import NOT_COUNTED

NONCE = "{nonce}"
SHOWN_CHARACTERS = 80
# Same model, other hardware: half precision moves a unit vector by less than a thousandth of this margin.
MIN_COSINE = 0.99
_COSINE: Key = ("cosine", ())

Vector = Sequence[float]


class KnownVectors(Protocol):
    """Texts of which the right vector is known."""

    async def at(self, slot: int) -> tuple[str, Vector]:
        """The text that is asked in `slot`, and its vector."""
        ...


class StoredVectors:
    """Texts in turn, with the vectors that were computed when the reporter was set up."""

    def __init__(self, known: Sequence[tuple[str, Vector]]) -> None:
        self._known = tuple(known)

    async def at(self, slot: int) -> tuple[str, Vector]:
        """As stored."""
        return self._known[slot % len(self._known)]


class LocalVectors:
    """A text that nobody asked before, embedded by the same model here: once per slot, for all nodes."""

    def __init__(self) -> None:
        """Loads the model. Raises Misused where its package is not installed, WeightsError without its weights."""
        try:
            from wellhead.runtime.embedder import MiniLM
            from wellhead.runtime.weights import packaged_folder
        except ImportError as error:
            raise Misused(
                f"no model here to compute right answers ({error}): install wellhead[node]"
            ) from None
        self._model, self._alone = MiniLM(packaged_folder()), threading.Lock()
        self._slot, self._text = -1, ""
        self._vector: Vector = ()

    async def at(self, slot: int) -> tuple[str, Vector]:
        """New for every slot."""
        return await asyncio.to_thread(self._known, slot)

    def _known(self, slot: int) -> tuple[str, Vector]:
        with self._alone:
            if slot != self._slot:
                text = f"The meter at the well reads {secrets.token_hex(8)}."
                vector = self._model.embed([text]).vectors[0].tolist()
                self._slot, self._text, self._vector = slot, text, vector
            return self._text, self._vector


class EmbeddingProbe:
    """Asks an OpenAI-shaped server for an embedding, and holds it against the right one."""

    line, kind = HERE, NOT_COUNTED

    def __init__(self, root: str, model: str, known: KnownVectors, min_cosine: float = MIN_COSINE) -> None:
        """`root` as OpenAI clients have it, without /v1."""
        self._url, self._model, self._known = f"{root.rstrip('/')}/v1/embeddings", model, known
        self._min_cosine = min_cosine
        self.asked = f"embedding of {model} at {self._url}"

    async def read(self, client: httpx.AsyncClient, slot: int, timeout_seconds: float) -> Reading:
        """How near its answer was. Raises ScrapeError when it was wrong."""
        text, right = await self._known.at(slot)
        request = client.build_request("POST", self._url, json={"model": self._model, "input": text})
        answer = _json(await fetch(client, request, timeout_seconds), self._url)
        try:
            near = cosine([float(one) for one in answer["data"][0]["embedding"]], right)
        except (KeyError, IndexError, TypeError, ValueError, OverflowError) as error:
            raise ScrapeError(f"{self._url} answers no embedding: {type(error).__name__}") from None
        if not near >= self._min_cosine:  # nor NaN
            raise ScrapeError(
                f"{self._url} answers wrongly: cosine {near:.3f}, not {self._min_cosine} or more"
            )
        return Reading({_COSINE: Decimal(f"{near:.6f}")})


class ChatProbe:
    """Asks a chat server a canary question. `{nonce}` in it and in what must be answered is a new number each time."""

    line, kind = HERE, NOT_COUNTED

    def __init__(self, root: str, model: str, prompt: str, expected: str, max_tokens: int) -> None:
        """`root` as OpenAI clients have it, without /v1."""
        self._url, self._model = f"{root.rstrip('/')}/v1/chat/completions", model
        self._prompt, self._expected, self._max_tokens = prompt, expected, max_tokens
        self.asked = f"chat of {model} at {self._url}"

    async def read(self, client: httpx.AsyncClient, _slot: int, timeout_seconds: float) -> Reading:
        """Raises ScrapeError when the answer does not hold what is expected, in whatever case."""
        nonce = str(100_000 + secrets.randbelow(900_000))
        body = {
            "model": self._model,
            "messages": [{"role": "user", "content": self._prompt.replace(NONCE, nonce)}],
            "max_tokens": self._max_tokens,
            "temperature": 0,
        }
        request = client.build_request("POST", self._url, json=body)
        answer = _json(await fetch(client, request, timeout_seconds), self._url)
        try:
            said = str(answer["choices"][0]["message"]["content"])
        except (KeyError, IndexError, TypeError):
            raise ScrapeError(f"{self._url} answers no chat completion") from None
        expected = self._expected.replace(NONCE, nonce)
        if expected.casefold() not in said.casefold():
            raise ScrapeError(f"{self._url} answers wrongly: {said[:SHOWN_CHARACTERS]!r}, not {expected!r}")
        return Reading({})


def cosine(one: Vector, other: Vector) -> float:
    """Of two vectors of one length. Raises ValueError for others."""
    if len(one) != len(other):
        raise ValueError(f"{len(one)} dimensions, not {len(other)}")
    product = math.sumprod(one, other) if hasattr(math, "sumprod") else sum(map(float.__mul__, one, other))
    return product / (math.hypot(*one) * math.hypot(*other) or math.nan)


def _json(body: bytes, url: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        raise ScrapeError(f"{url} does not answer JSON") from None

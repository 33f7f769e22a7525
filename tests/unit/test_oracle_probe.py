"""Probes with known answers: right, wrong, and nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from wellhead.oracle.sources.fetch import ScrapeError
from wellhead.oracle.sources.live import Reader, Reading
from wellhead.oracle.sources.probe import ChatProbe, EmbeddingProbe, LocalVectors, StoredVectors, cosine

ROOT = "http://node.test"
STORED = StoredVectors([("well", (1.0, 0.0)), ("head", (0.0, 1.0))])
Answer = Callable[[dict[str, Any]], object]


def probe(reader: Reader, answer: Answer, slot: int = 0) -> Reading:
    def respond(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=answer(json.loads(request.content)))

    async def story() -> Reading:
        async with httpx.AsyncClient(transport=httpx.MockTransport(respond)) as client:
            return await reader.read(client, slot, 30)

    return asyncio.run(story())


def embedding(*vector: Any) -> dict[str, Any]:
    return {"data": [{"embedding": list(vector)}]}


def said(text: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}]}


def test_a_right_embedding_serves_and_texts_take_turns() -> None:
    right = {"well": embedding(2, 0.1), "head": embedding(0, 3)}
    reader = EmbeddingProbe(ROOT, "m", STORED)
    for slot, text in enumerate(["well", "head", "well"]):
        asked: list[dict[str, Any]] = []

        def answer(body: dict[str, Any], asked: list[dict[str, Any]] = asked) -> object:
            asked.append(body)
            return right[body["input"]]

        probe(reader, answer, slot)
        assert asked == [{"model": "m", "input": text}]


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (embedding(0, 1), r"answers wrongly: cosine 0\.000, not 0\.99 or more"),
        (embedding(-1, 0), "answers wrongly: cosine -1"),
        (embedding(0, 0), "answers wrongly: cosine nan"),
        (embedding(1, 0, 0), "answers no embedding"),
        (embedding("x", 0), "answers no embedding"),
        (embedding(None, 0), "answers no embedding"),
        ({"data": []}, "answers no embedding"),
        ([], "answers no embedding"),
        ({"error": {"message": "out of memory"}}, "answers no embedding"),
    ],
)
def test_a_wrong_embedding_does_not_serve(answer: object, message: str) -> None:
    with pytest.raises(ScrapeError, match=message):
        probe(EmbeddingProbe(ROOT, "m", STORED), lambda _: answer)


def test_the_real_model_knows_the_right_answer_to_a_new_question() -> None:
    known = LocalVectors()
    text, vector = asyncio.run(known.at(1))
    assert asyncio.run(known.at(1)) == (text, vector)  # the same for all nodes of a slot
    other_text, other = asyncio.run(known.at(2))
    assert other_text != text
    assert cosine(vector, vector) == pytest.approx(1)
    assert cosine(vector, other) < 0.999
    reader = EmbeddingProbe(ROOT, "m", known, min_cosine=0.999)
    probe(reader, lambda _: embedding(*other), 2)
    with pytest.raises(ScrapeError, match="answers wrongly"):  # yesterday's answer, from a memory
        probe(reader, lambda _: embedding(*vector), 2)


CHAT = ChatProbe(ROOT, "m", "Say {nonce} again.", "{nonce}", 16)


def test_a_chat_that_repeats_the_canary_serves() -> None:
    prompts = []

    def answer(body: dict[str, Any]) -> object:
        assert (body["model"], body["max_tokens"], body["temperature"]) == ("m", 16, 0)
        prompts.append(body["messages"][0]["content"])
        return said(f"Sure: {prompts[-1].split()[1]}!")

    for _ in range(5):
        probe(CHAT, answer)
    assert len(set(prompts)) > 1  # a memory of answers would not do


def test_what_is_expected_is_found_in_whatever_case() -> None:
    probe(ChatProbe(ROOT, "m", "Capital of France?", "paris", 16), lambda _: said("PARIS."))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (said("I cannot do that"), "answers wrongly: 'I cannot do that', not '[0-9]{6}'"),
        (said(None), "answers wrongly: 'None'"),
        ({"choices": []}, "answers no chat completion"),
        ({}, "answers no chat completion"),
        ([1], "answers no chat completion"),
    ],
)
def test_a_wrong_chat_does_not_serve(answer: object, message: str) -> None:
    with pytest.raises(ScrapeError, match=message):
        probe(CHAT, lambda _: answer)


@pytest.mark.parametrize("body", [b"<html>", b"[" * 100_000])
def test_what_is_not_json_does_not_serve(body: bytes) -> None:
    async def story() -> None:
        transport = httpx.MockTransport(lambda _: httpx.Response(200, content=body))
        async with httpx.AsyncClient(transport=transport) as client:
            await CHAT.read(client, 0, 5)

    with pytest.raises(ScrapeError, match="does not answer JSON"):
        asyncio.run(story())


def test_vectors_of_different_lengths_have_no_cosine() -> None:
    with pytest.raises(ValueError, match="3 dimensions, not 2"):
        cosine((1, 2, 3), (1, 2))

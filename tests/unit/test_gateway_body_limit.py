"""Bodies that are late, or whose sender has gone."""

from __future__ import annotations

import asyncio
import json

from starlette.types import Message, Receive, Scope, Send

from wellhead.gateway.body_limit import BodyLimit

SCOPE: Scope = {"type": "http", "headers": [], "method": "POST", "path": "/"}


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with the type of the scope and the body."""
    body = (await receive()).get("body", b"") if scope["type"] == "http" else b""
    await send({"type": scope["type"], "body": body})


def answers_to(messages: list[Message], scope: Scope = SCOPE) -> list[Message]:
    """What is sent to a client that sends `messages` and then nothing."""
    sent: list[Message] = []
    pending = list(messages)

    async def receive() -> Message:
        if pending:
            return pending.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(echo, max_bytes=10, timeout_seconds=0.05)(scope, receive, send))
    return sent


def part(body: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_arrives_whole() -> None:
    assert answers_to([part(b"12345", True), part(b"67890", False)]) == [
        {"type": "http", "body": b"1234567890"}
    ]


def test_a_body_that_never_ends_is_408() -> None:
    start, body = answers_to([part(b"12345", True)])
    assert start["status"] == 408
    assert "0.05 s" in json.loads(body["body"])["error"]["message"]


def test_a_length_announced_above_the_limit_is_413_before_any_body() -> None:
    start, _ = answers_to([], {**SCOPE, "headers": [(b"content-length", b"11")]})
    assert start["status"] == 413


def test_a_sender_that_has_gone_gets_no_answer() -> None:
    assert answers_to([part(b"12345", True), {"type": "http.disconnect"}]) == []


def test_what_is_not_http_passes() -> None:
    assert answers_to([], {"type": "lifespan"}) == [{"type": "lifespan", "body": b""}]

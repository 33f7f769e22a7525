"""Bodies that are late, or whose sender has gone."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Scope

from wellhead.gateway.body_limit import read_body
from wellhead.gateway.openai_shape import RequestError

SCOPE: Scope = {"type": "http", "headers": [], "method": "POST", "path": "/"}


def body_of(messages: list[Message], scope: Scope = SCOPE) -> bytes | None:
    """What is read from a client that sends `messages` and then nothing."""
    pending = list(messages)

    async def receive() -> Message:
        if pending:
            return pending.pop(0)
        await asyncio.Event().wait()
        raise AssertionError("nobody sets it")

    return asyncio.run(read_body(scope, receive, max_bytes=10, timeout_seconds=0.05))


def part(body: bytes, more: bool) -> Message:
    return {"type": "http.request", "body": body, "more_body": more}


def test_a_body_in_parts_arrives_whole() -> None:
    assert body_of([part(b"12345", True), part(b"67890", False)]) == b"1234567890"


def test_a_body_that_never_ends_is_408() -> None:
    with pytest.raises(RequestError, match=r"0\.05 s") as refused:
        body_of([part(b"12345", True)])
    assert refused.value.status == 408


@pytest.mark.parametrize(
    "messages", [[part(b"x" * 11, False)], [part(b"x" * 11, True)], [part(b"123456", True)] * 2]
)
def test_a_body_above_the_limit_is_413(messages: list[Message]) -> None:
    with pytest.raises(RequestError) as refused:
        body_of(messages)
    assert refused.value.status == 413


def test_a_length_announced_above_the_limit_is_413_before_any_body() -> None:
    with pytest.raises(RequestError) as refused:
        body_of([], {**SCOPE, "headers": [(b"content-length", b"11")]})
    assert refused.value.status == 413


def test_of_a_sender_that_has_gone_nothing_is_taken() -> None:
    assert body_of([part(b"12345", True), {"type": "http.disconnect"}]) is None
    assert body_of([{"type": "http.disconnect"}]) is None

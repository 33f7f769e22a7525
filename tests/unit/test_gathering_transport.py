"""What is written in one turn of the loop leaves at once, and nothing of it is lost or late."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from wellhead.gathering_transport import GATHERED_BYTES, GatheringTransport


class Wire:
    """A transport that keeps what it was told to send."""

    def __init__(self) -> None:
        self.sent: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.sent.append(data)

    def close(self) -> None:
        self.closed = True

    abort = close

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 7

    def get_extra_info(self, name: str) -> str:
        return name

    pause_reading = resume_reading = close


def sent_by(story: Callable[[Any], None], turns: int = 1) -> list[bytes]:
    """What leaves when `story` is played in one turn of the loop, and `turns` more pass."""

    async def play() -> list[bytes]:
        wire: Any = Wire()
        story(GatheringTransport(asyncio.get_running_loop(), wire))
        for _ in range(turns):
            await asyncio.sleep(0)
        return list(wire.sent)

    return asyncio.run(play())


def test_what_one_turn_writes_is_sent_at_once_after_it() -> None:
    def answer(transport: GatheringTransport) -> None:
        transport.write(b"head ")
        transport.write(b"body")

    assert sent_by(answer, turns=0) == []
    assert sent_by(answer) == [b"head body"]


def test_a_second_turn_is_sent_too() -> None:
    def answer(transport: GatheringTransport) -> None:
        transport.write(b"now")
        asyncio.get_running_loop().call_soon(transport.write, b"then")

    assert sent_by(answer, turns=3) == [b"now", b"then"]


def test_much_does_not_wait() -> None:
    """So that the transport can say that it is too much."""
    sent = sent_by(lambda transport: [transport.write(b"x" * GATHERED_BYTES) for _ in range(3)], turns=0)
    assert sent == [b"x" * 2 * GATHERED_BYTES]


def test_what_waits_counts_as_not_sent() -> None:
    def answer(transport: GatheringTransport) -> None:
        transport.write(b"four")
        assert transport.get_write_buffer_size() == 4 + 7

    sent_by(answer)


@pytest.mark.parametrize(("end", "sent"), [("close", [b"last"]), ("abort", [])])
def test_a_close_sends_what_waits_and_an_abort_does_not(end: str, sent: list[bytes]) -> None:
    def answer(transport: GatheringTransport) -> None:
        transport.write(b"last")
        getattr(transport, end)()

    assert sent_by(answer) == sent

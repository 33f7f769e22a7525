"""Letters over HTTP: nobody makes a reporter read, keep or wait for more than it should."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from eth_hash.auto import keccak
from oracle_doubles import Shelf
from starlette.applications import Starlette

from wellhead.chain.keys import local_account
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.exchange.mail import (
    MAX_ANSWER_BYTES,
    MAX_ON_THEIR_WAY,
    MAX_OTHER_BYTES,
    PATH,
    HttpPeers,
    mail_route,
)
from wellhead.oracle.exchange.messages import MAX_HEAD_BYTES, Kind, Message, encode
from wellhead.oracle.exchange.post import Post

ROUND = 12
PIECE = b"\x00" * 65_536
ACCOUNTS = [local_account(f"reporter-{number}") for number in range(5)]
ME, OTHER, STRANGER = ACCOUNTS[0], ACCOUNTS[1], local_account("operator")
CONFIG = OracleConfig(31337, "0x" + "5f" * 20, b"\x11" * 32, tuple(one.address for one in ACCOUNTS), 3)


class Desk:
    """A reporter's letter box, without a socket."""

    def __init__(self) -> None:
        self.shelf = Shelf()
        self.post = Post(ME.address, self.shelf, lambda: range(ROUND, ROUND + 2))
        self.post.use(CONFIG)
        self.transport = httpx.ASGITransport(Starlette(routes=[mail_route(self.post)]))

    async def bring(self, content: AsyncIterator[bytes] | bytes) -> httpx.Response:
        async with httpx.AsyncClient(transport=self.transport, base_url="http://reporter") as client:
            return await client.post(PATH, content=content)


def commit(body: bytes = b"\x01" * 32) -> Message:
    return Message.sign(OTHER, Kind.COMMIT, CONFIG.config_digest, ROUND, body)


class Endless:
    """A body without an end; how much of it was taken."""

    def __init__(self, begin: bytes) -> None:
        self._begin, self.taken = begin, 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._begin
        while self.taken < 1 << 28:
            self.taken += len(PIECE)
            yield PIECE
        raise AssertionError("all of it was read")


def test_a_letter_arrives() -> None:
    desk = Desk()

    async def tell() -> None:
        async with HttpPeers({ME.address: "http://reporter"}, desk.transport) as peers:
            assert (await peers.ask(commit(), 5)).keys() == {ME.address}

    asyncio.run(tell())
    assert desk.shelf.messages == [commit()]


@pytest.mark.parametrize(
    ("begin", "status"),
    [
        (b"", 400),
        (b"{}\n", 400),
        (encode(commit()).replace(OTHER.address.encode(), STRANGER.address.encode()), 403),
        (encode(commit()).replace(OTHER.address.encode(), ACCOUNTS[2].address.encode()), 403),
    ],
    ids=["no head", "an empty one", "a stranger's", "not signed"],
)
def test_of_a_letter_that_nobody_signed_who_may_write_only_the_head_is_read(
    begin: bytes, status: int
) -> None:
    body = Endless(begin)
    assert asyncio.run(Desk().bring(body.__aiter__())).status_code == status
    assert body.taken <= 2 * len(PIECE)
    assert len(PIECE) > MAX_HEAD_BYTES


def test_a_letter_is_no_longer_than_its_kind() -> None:
    body = Endless(encode(commit()))
    answer = asyncio.run(Desk().bring(body.__aiter__()))
    assert answer.status_code == 400
    assert str(MAX_OTHER_BYTES) in answer.json()["objection"]
    assert body.taken <= 2 * len(PIECE)


def test_another_body_than_was_signed_is_no_letter() -> None:
    head, _, _ = encode(commit()).partition(b"\n")
    answer = asyncio.run(Desk().bring(head + b"\n" + b"\x02" * 32))
    assert answer.status_code == 400
    assert keccak(b"\x02" * 32) != commit().head.body_hash


def test_a_reporter_has_few_letters_on_their_way_at_once() -> None:
    desk, free = Desk(), asyncio.Event()

    async def slow(number: int) -> AsyncIterator[bytes]:
        head, _, body = encode(commit(bytes([number]) * 32)).partition(b"\n")
        yield head + b"\n"
        await free.wait()
        yield body

    async def crowd() -> list[int]:
        held = [asyncio.create_task(desk.bring(slow(number))) for number in range(MAX_ON_THEIR_WAY)]
        for _ in range(20):
            await asyncio.sleep(0)
        refused = await desk.bring(slow(9))
        free.set()
        return [refused.status_code, *(one.status_code for one in await asyncio.gather(*held))]

    assert asyncio.run(crowd()) == [429, *[200] * MAX_ON_THEIR_WAY]


def test_what_cannot_be_kept_is_not_taken() -> None:
    desk = Desk()
    desk.shelf.full = True
    answer = asyncio.run(desk.bring(encode(commit())))
    assert answer.status_code == 503
    assert "cannot be kept" in answer.json()["objection"]


def test_a_peer_that_answers_without_end_is_not_heard_out() -> None:
    body = Endless(b'{"objection": "')

    def answer(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=body.__aiter__())

    async def ask() -> None:
        async with HttpPeers({OTHER.address: "http://liar"}, httpx.MockTransport(answer)) as peers:
            assert await peers.ask(commit(), 5) == {}

    asyncio.run(ask())
    assert body.taken <= MAX_ANSWER_BYTES + len(PIECE)

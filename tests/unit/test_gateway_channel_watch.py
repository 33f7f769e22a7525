"""The watch over a chain that fails, goes back, and moves on while it is being read: no change is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from requests.exceptions import ConnectionError as NoConnectionError
from sqlalchemy.exc import OperationalError
from web3 import Web3
from web3.providers import BaseProvider

from wellhead.deploy.canonical import SETTLEMENT
from wellhead.gateway.chain_clock import ChainClock
from wellhead.gateway.channels import watch as watching
from wellhead.gateway.channels.book import NOTHING, ChannelAccount
from wellhead.gateway.channels.books import SoleBooks
from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.gateway.channels.watch import ChannelWatch
from wellhead.reference.channel import ChannelConfig, ChannelFigures

CHANNEL = b"\x01" * 32
CONFIG = ChannelConfig(*["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"] * 5, 900, bytes(32))
FUNDED = ChannelFigures(10_000, 0, 0, 0)
LEAVING = FUNDED._replace(withdraw_requested_at=5)
TOPPED_UP = FUNDED._replace(balance=20_000)
DELAY_SECONDS = 900


class Chain(BaseProvider):
    """Stands for a node: blocks with events of one channel, its figures of now, and failures in store."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [b"genesis".rjust(32, b"\0")]
        self.events: dict[bytes, int] = {}
        self.figures = FUNDED
        self.failing: dict[str, Exception] = {}
        self.meanwhile: Callable[[], object] | None = None

    def mine(self, figures: ChannelFigures | None = None, event: bool = True) -> None:
        """A block; with an event, if it changed the channel's figures."""
        self.blocks.append(len(self.blocks).to_bytes(31, "big") + bytes([len(self.events)]))
        if figures is not None:
            self.figures = figures
        if figures is not None and event:
            self.events[self.blocks[-1]] = 1

    def undo(self, figures: ChannelFigures) -> None:
        """The newest block gives way to two others without events."""
        number = len(self.blocks)
        del self.blocks[-1]
        self.blocks += [bytes([255]) * 31 + bytes([number]), bytes([255]) * 31 + bytes([number + 1])]
        self.figures = figures

    def make_request(self, method: Any, params: Any) -> Any:
        if method in self.failing:
            raise self.failing.pop(method)
        if method == "eth_getCode":
            return {"jsonrpc": "2.0", "id": 1, "result": "0x01"}
        if method == "eth_getBlockByNumber":
            number = len(self.blocks) - 1 if params[0] == "latest" else int(params[0], 16)
            if number >= len(self.blocks):
                return {"jsonrpc": "2.0", "id": 1, "result": None}
            block = {"number": hex(number), "hash": "0x" + self.blocks[number].hex(), "timestamp": hex(1_000)}
            return {"jsonrpc": "2.0", "id": 1, "result": block}
        assert method == "eth_getLogs"
        asked = self.blocks[int(params[0]["fromBlock"], 16) : int(params[0]["toBlock"], 16) + 1]
        topics = ["0x" + "00" * 32, "0x" + CHANNEL.hex()]
        return {
            "jsonrpc": "2.0",
            "id": 1,
            "result": [{"topics": topics} for one in asked if one in self.events],
        }

    def read_figures(self, _: object, channel_ids: Sequence[bytes]) -> dict[bytes, ChannelFigures]:
        """What stands in for the one of the same name."""
        if "figures" in self.failing:
            raise self.failing.pop("figures")
        found = dict.fromkeys(channel_ids, self.figures)
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return found


class FailingBooks(SoleBooks):
    """Books whose database fails when it is told to."""

    failing: Exception | None = None

    async def seen(self, *arguments: Any) -> ChannelAccount:
        failing, self.failing = self.failing, None
        if failing is not None:
            raise failing
        return await super().seen(*arguments)


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    node = Chain()
    monkeypatch.setattr(watching, "read_figures", node.read_figures)
    monkeypatch.setattr(watching, "POLL_SECONDS", 0)
    return node


@pytest.fixture
def books(tmp_path: Path) -> Iterator[FailingBooks]:
    opened = FailingBooks(SoleLedger(Ledger(f"sqlite:///{tmp_path / 'ledger.db'}")))
    yield opened
    asyncio.run(opened.close())


@pytest.fixture
def watch(chain: Chain, books: FailingBooks) -> ChannelWatch:
    return ChannelWatch(Web3(chain), SETTLEMENT.address, books, DELAY_SECONDS, ChainClock())


async def begin(watch: ChannelWatch) -> None:
    """The channel is known, and nothing is left to do."""
    await watch.look()
    await watch.read(CHANNEL, CONFIG)
    await watch.look()


async def told(books: FailingBooks) -> ChannelFigures:
    return (await books.account(CHANNEL)).figures


def looks_until_told(
    chain: Chain, watch: ChannelWatch, books: FailingBooks, fails: Callable[[], None]
) -> ChannelFigures:
    """What the books have after the failure and one look more."""

    async def story() -> ChannelFigures:
        await begin(watch)
        chain.mine(LEAVING)
        fails()
        await watch.try_look()
        assert await told(books) == FUNDED
        await watch.try_look()
        return await told(books)

    return asyncio.run(story())


def test_a_change_whose_figures_could_not_be_read_is_read_again(
    chain: Chain, watch: ChannelWatch, books: FailingBooks
) -> None:
    assert (
        looks_until_told(chain, watch, books, lambda: chain.failing.update(figures=NoConnectionError()))
        == LEAVING
    )


def test_a_change_that_the_books_did_not_take_is_told_again(
    chain: Chain, watch: ChannelWatch, books: FailingBooks
) -> None:
    def fail() -> None:
        books.failing = OperationalError("COMMIT", {}, Exception("server closed the connection"))

    assert looks_until_told(chain, watch, books, fail) == LEAVING


def test_what_was_undone_is_read_again_even_if_the_next_logs_fail(
    chain: Chain, watch: ChannelWatch, books: FailingBooks
) -> None:
    async def story() -> ChannelFigures:
        await begin(watch)
        chain.mine(LEAVING)
        for _ in range(2):
            await watch.look()
        assert await told(books) == LEAVING
        chain.undo(FUNDED)
        chain.failing["eth_getLogs"] = NoConnectionError()
        await watch.try_look()
        await watch.try_look()
        return await told(books)

    assert asyncio.run(story()) == FUNDED


def test_what_was_read_in_a_block_that_no_mark_was_made_of_is_corrected(
    chain: Chain, watch: ChannelWatch, books: FailingBooks
) -> None:
    """The figures are of a block newer than the look's, and that block is undone."""

    async def story() -> ChannelFigures:
        await begin(watch)
        chain.mine(TOPPED_UP)
        await asyncio.to_thread(lambda: None)
        read_blocks = watch._read_blocks

        def then_a_block(*arguments: Any) -> Any:
            found = read_blocks(*arguments)
            chain.mine(LEAVING)
            watch._read_blocks = read_blocks  # type: ignore[method-assign]
            return found

        watch._read_blocks = then_a_block  # type: ignore[method-assign]
        await watch.look()
        assert await told(books) == LEAVING
        chain.undo(TOPPED_UP)
        await watch.look()
        return await told(books)

    assert asyncio.run(story()) == TOPPED_UP


@pytest.mark.parametrize(
    "error",
    [
        OperationalError("SELECT", {}, Exception("database is locked")),
        ValueError("Expecting value: line 1 column 1"),
        KeyError("result"),
        NoConnectionError(),
    ],
)
def test_whatever_fails_the_watch_looks_again(
    chain: Chain, watch: ChannelWatch, books: FailingBooks, error: Exception
) -> None:
    async def story() -> None:
        await begin(watch)
        running = asyncio.create_task(watch.run())
        chain.failing["eth_getBlockByNumber"] = error
        while chain.failing:
            await asyncio.sleep(0)
        books.failing = error
        chain.mine(LEAVING)
        async with asyncio.timeout(10):
            while await told(books) != LEAVING:
                await asyncio.sleep(0)
        assert not running.done()
        running.cancel()

    asyncio.run(story())


def test_a_watch_that_fails_for_too_long_is_blind_until_a_look_succeeds(
    chain: Chain, watch: ChannelWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr(watching, "time", SimpleNamespace(monotonic=lambda: now[0]))

    async def story() -> None:
        assert watch.is_blind()
        await begin(watch)
        for now[0] in (DELAY_SECONDS / 3, DELAY_SECONDS / 3 + 1):
            chain.failing["eth_getBlockByNumber"] = ValueError("nonsense")
            await watch.try_look()
            assert watch.is_blind() == (now[0] > DELAY_SECONDS / 3)
        await watch.try_look()
        assert not watch.is_blind()

    asyncio.run(story())


def in_between(chain: Chain, watch: ChannelWatch, step: Callable[[], None]) -> None:
    """When the figures have been read next, and before anybody is told: `step`, and a look of the watch's own."""
    loop = asyncio.get_running_loop()

    def meanwhile() -> None:
        step()
        asyncio.run_coroutine_threadsafe(watch.look(), loop).result(10)

    chain.meanwhile = meanwhile


def test_a_channel_that_changes_while_it_becomes_known_is_read_again(
    chain: Chain, watch: ChannelWatch, books: FailingBooks
) -> None:
    async def story() -> ChannelFigures:
        await watch.look()
        in_between(chain, watch, lambda: chain.mine(LEAVING))
        await watch.read(CHANNEL, CONFIG)
        await watch.look()
        return await told(books)

    assert asyncio.run(story()) == LEAVING


def test_older_figures_never_replace_newer_ones(
    chain: Chain, watch: ChannelWatch, books: FailingBooks
) -> None:
    async def story() -> None:
        await begin(watch)
        chain.mine(TOPPED_UP)
        in_between(chain, watch, lambda: chain.mine(LEAVING))
        shown = await watch.read(CHANNEL, CONFIG)
        assert shown.figures == await told(books) == LEAVING

    asyncio.run(story())


def test_only_what_becomes_known_is_followed(chain: Chain, watch: ChannelWatch) -> None:
    async def story() -> None:
        await watch.look()
        chain.figures = NOTHING
        for number in range(100):
            shown = await watch.read(number.to_bytes(32, "big"), CONFIG)
            assert shown == ChannelAccount(CONFIG)
        assert (watch._followed, watch._pending) == (set(), set())

    asyncio.run(story())

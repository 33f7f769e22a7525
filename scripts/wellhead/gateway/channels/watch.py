"""Following the chain: whatever changes a channel reaches the books, reorganisations included.

Two rules make that certain. Figures are told to the books together with what those had before the chain was asked: so
nobody overwrites what was read later, and of any two tellings the later one was read later. And a channel that may have
changed stays pending until a look has found the chain and the books agreeing: what fails is done again, and what was
read in a block that was undone is corrected.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from eth_typing import ChecksumAddress
from requests.exceptions import RequestException
from web3 import Web3
from web3.exceptions import BlockNotFound, Web3Exception
from web3.types import FilterParams

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.gateway.chain_clock import ChainClock
from wellhead.gateway.channels.book import NOTHING, ChannelAccount
from wellhead.gateway.channels.books import Books
from wellhead.gateway.channels.figures import read_figures
from wellhead.gateway.channels.ledger import UnknownChannelError
from wellhead.reference.channel import ChannelConfig, ChannelFigures

POLL_SECONDS = 1.0
# What nodes let one ask for at once.
MAX_BLOCKS = 2_000
# As deep as reorganisations are followed block by block; deeper ones refresh every channel.
KEPT_MARKS = 128
EVENTS = ("Deposited", "Claimed", "Refunded", "WithdrawInitiated", "WithdrawFinalized")

_log = logging.getLogger(__name__)


class Mark(NamedTuple):
    """How far the chain was read, and which channels were found to have changed since the mark before."""

    number: int
    block_hash: bytes
    changed: frozenset[bytes]


class ChannelWatch:
    """Looks at new blocks again and again; see `run`."""

    def __init__(
        self,
        w3: Web3,
        settlement: ChecksumAddress,
        books: Books,
        withdraw_delay_seconds: int,
        clock: ChainClock,
    ) -> None:
        """Channels can be emptied within `withdraw_delay_seconds`: a third of it may pass without a look."""
        self._w3, self._books, self._clock = w3, books, clock
        self._contract = BatchSettlement(w3, settlement)
        self._topics = [self._contract.contract.events[name]().topic for name in EVENTS]
        # Channels of the books alone: whoever invents some by the million makes nothing grow.
        self._followed: set[bytes] = set()
        self._pending: set[bytes] = set()
        self._marks: tuple[Mark, ...] = ()
        self._blind_after_seconds = withdraw_delay_seconds / 3
        self._has_looked, self._looked_at = False, time.monotonic()

    def knows(self, channel_id: bytes) -> bool:
        """Whether the channel is followed: its changes reach the books without being asked for."""
        return channel_id in self._followed

    def is_blind(self) -> bool:
        """Whether nobody looked yet, or so long ago that a payer may be about to empty a channel unnoticed. A look that
        failed is none."""
        waited_seconds = time.monotonic() - self._looked_at
        return not self._has_looked or waited_seconds > self._blind_after_seconds

    async def read(self, channel_id: bytes, config: ChannelConfig) -> ChannelAccount:
        """The channel with the chain's figures of now, in the books and followed from now on; if neither they nor the
        chain have anything of it, it is only shown. Raises what web3 raises."""
        account = await self._account(channel_id)
        while True:
            figures = await asyncio.to_thread(self._figures, channel_id)
            if account is None and figures.balance == 0:
                return ChannelAccount(config)
            before = account.figures if account else NOTHING
            account = await self._books.seen(channel_id, config, figures, before)
            if account.figures == figures:
                break
        self._followed.add(channel_id)
        self._pending.add(channel_id)  # what has changed since it was read, no look may have noticed
        return account

    # Looking ----------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Look again and again until cancelled. A chain that does not answer is asked again."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.try_look()

    async def try_look(self) -> None:
        """Look once; if that fails the next look has more to do."""
        try:
            await self.look()
        except (RequestException, Web3Exception) as error:
            _log.warning("the chain cannot be followed: %s", type(error).__name__)
        except Exception:
            # A database that is started anew, a node that answers nonsense: whatever it is, channels may be emptied.
            _log.exception("a look at the chain failed; it goes on")

    async def look(self) -> None:
        """Tell the books of every followed channel that changed since the last look. Raises what web3 and the database
        raise; then nothing is forgotten."""
        if not self._has_looked:
            # Whoever asked for its money back while nobody looked is found here.
            claimable = {waiting.channel_id for waiting in await self._books.claimable()}
            self._followed |= claimable
            self._pending |= claimable
        marks, changed = await asyncio.to_thread(self._read_blocks, self._marks)
        self._marks = marks
        self._pending |= self._followed if changed is None else changed & self._followed
        await self._tell_pending()
        self._has_looked, self._looked_at = True, time.monotonic()

    async def _tell_pending(self) -> None:
        due, self._pending = self._pending, set()  # what is added from here on stays for the next look
        agreeing: set[bytes] = set()
        try:
            known = {channel_id: await self._account(channel_id) for channel_id in sorted(due)}
            found = await asyncio.to_thread(read_figures, self._contract, list(known))
            for channel_id, figures in found.items():
                account = known[channel_id]
                if account is None:  # the database was exchanged under us: whoever pays by it has it read
                    self._followed.discard(channel_id)
                elif figures != account.figures:
                    await self._tell(channel_id, account, figures)
                    continue  # and is read again, until it agrees
                agreeing.add(channel_id)
        finally:
            self._pending |= due - agreeing

    async def _tell(self, channel_id: bytes, account: ChannelAccount, figures: ChannelFigures) -> None:
        await self._books.seen(channel_id, account.config, figures, account.figures)
        if figures.withdraw_requested_at and not account.withdraw_requested_at:
            _log.info("withdrawal requested", extra={"channel": f"0x{channel_id.hex()}"})

    async def _account(self, channel_id: bytes) -> ChannelAccount | None:
        try:
            return await self._books.account(channel_id)
        except UnknownChannelError:
            return None

    def _figures(self, channel_id: bytes) -> ChannelFigures:
        return read_figures(self._contract, [channel_id])[channel_id]

    # Blocks: changes nothing, so that a look that fails has moved no mark ----------------------------

    def _read_blocks(self, marks: tuple[Mark, ...]) -> tuple[tuple[Mark, ...], frozenset[bytes] | None]:
        """The marks after the newest block, and what changed since those given; None if that may be any channel."""
        latest = self._w3.eth.get_block("latest")
        self._clock.saw(latest["timestamp"])
        number, block_hash = latest["number"], bytes(latest["hash"])
        stand = marks
        while stand and not self._stands(stand[-1]):
            stand = stand[:-1]
        if not stand:
            # The first look, which begins with every channel anyway, or all that was read is undone.
            return (Mark(number, block_hash, frozenset()),), None
        # What was undone, or done again in other blocks, has changed as well.
        changed = frozenset[bytes]().union(*(mark.changed for mark in marks[len(stand) :]))
        if stand[-1].number >= number:
            return stand, changed
        changed |= self._logged(stand[-1].number + 1, number)
        return (*stand[-KEPT_MARKS:], Mark(number, block_hash, changed)), changed

    def _stands(self, mark: Mark) -> bool:
        try:
            return bytes(self._w3.eth.get_block(mark.number)["hash"]) == mark.block_hash
        except BlockNotFound:
            return False

    def _logged(self, first: int, last: int) -> frozenset[bytes]:
        found: set[bytes] = set()
        for start in range(first, last + 1, MAX_BLOCKS):
            wanted: FilterParams = {
                "address": self._contract.address,
                "topics": [self._topics],
                "fromBlock": start,
                "toBlock": min(last, start + MAX_BLOCKS - 1),
            }
            found.update(bytes(log["topics"][1]) for log in self._w3.eth.get_logs(wanted))
        return frozenset(found)

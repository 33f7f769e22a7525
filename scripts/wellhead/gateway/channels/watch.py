"""Following the chain: whatever changes a channel reaches the books, reorganisations included."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import NamedTuple

from eth_typing import ChecksumAddress
from requests.exceptions import RequestException
from web3 import Web3
from web3.exceptions import BlockNotFound, Web3Exception
from web3.types import FilterParams

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.gateway.chain_clock import ChainClock
from wellhead.gateway.channels.books import Books
from wellhead.gateway.channels.figures import read_figures
from wellhead.gateway.channels.ledger import UnknownChannelError

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
        self._followed: set[bytes] = set()
        self._marks: list[Mark] = []
        self._blind_after_seconds = withdraw_delay_seconds / 3
        self._has_looked, self._looked_at = False, time.monotonic()

    def add(self, channel_id: bytes) -> None:
        """From now on changes of this channel are told to the books."""
        self._followed.add(channel_id)

    def knows(self, channel_id: bytes) -> bool:
        """Whether the channel is followed."""
        return channel_id in self._followed

    def is_blind(self) -> bool:
        """Whether nobody looked yet, or so long ago that a payer may be about to empty a channel unnoticed."""
        waited_seconds = time.monotonic() - self._looked_at
        return not self._has_looked or waited_seconds > self._blind_after_seconds

    async def run(self) -> None:
        """Look again and again until cancelled. A chain that does not answer is asked again."""
        while True:
            await asyncio.sleep(POLL_SECONDS)
            await self.try_look()

    async def try_look(self) -> None:
        """Look once; without an answer the next look has more to do."""
        try:
            await self.look()
        except (RequestException, Web3Exception) as error:
            _log.warning("the chain cannot be followed: %s", type(error).__name__)

    async def look(self) -> None:
        """Tell the books of every followed channel that changed since the last look. Raises what web3 raises."""
        changed = await asyncio.to_thread(self._changed)
        if not self._has_looked:
            # Whoever asked for its money back while nobody looked is found here.
            changed = frozenset(waiting.channel_id for waiting in await self._books.claimable())
            self._followed |= changed
        await self._refresh(sorted(changed & self._followed))
        self._has_looked, self._looked_at = True, time.monotonic()

    async def _refresh(self, channel_ids: Sequence[bytes]) -> None:
        if not channel_ids:
            return
        found = await asyncio.to_thread(read_figures, self._contract, channel_ids)
        for channel_id, figures in found.items():
            try:
                account = await self._books.account(channel_id)
            except UnknownChannelError:
                continue  # nobody has paid by it yet; whoever does has it read
            await self._books.seen(channel_id, account.config, figures)
            if figures.withdraw_requested_at and not account.withdraw_requested_at:
                _log.info("withdrawal requested", extra={"channel": f"0x{channel_id.hex()}"})

    def _changed(self) -> frozenset[bytes]:
        latest = self._w3.eth.get_block("latest")
        self._clock.saw(latest["timestamp"])
        number, block_hash = latest["number"], bytes(latest["hash"])
        if not self._marks:
            self._marks.append(Mark(number, block_hash, frozenset()))
            return frozenset()
        changed: frozenset[bytes] = frozenset()
        while self._marks and not self._stands(self._marks[-1]):
            changed |= self._marks.pop().changed  # undone, or done again in other blocks
        if not self._marks:
            changed |= frozenset(self._followed)
        elif self._marks[-1].number < number:
            changed |= self._logged(self._marks[-1].number + 1, number)
        else:
            return changed
        self._marks = [*self._marks[-KEPT_MARKS:], Mark(number, block_hash, changed)]
        return changed

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

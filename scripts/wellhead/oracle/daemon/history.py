"""Every reported round's records: kept from one's own reports, or fetched from those who have them, and never believed
unless they hash to the chain's root."""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from wellhead.chain.contracts.telemetry_oracle import Round
from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.store import ReporterStore
from wellhead.oracle.records.round_file import Damaged, NotKept
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.round import first_record
from wellhead.reference.merkle import MerkleError
from wellhead.reference.record import NodeRecord

# So far back a reporter that was away looks for what it missed.
BACKFILL_ROUNDS = 200
# So many of the newest may still be replaced by others, after a reorganisation.
UNSETTLED_ROUNDS = 8
# For one peer, when a round waits for it: a slow one must not hold up a window.
NEEDED_WITHIN_SECONDS = 30.0
FETCH_SECONDS = 300.0
BUSY_SECONDS = 5.0
_log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Somebody else who keeps records."""

    def fetch(
        self, store: RecordStore, round_number: int, root: bytes, *, within_seconds: float = FETCH_SECONDS
    ) -> None:
        """Put the round into `store`. Raises Refused."""


class History:
    """What nodes did up to the newest good round. Blocking; any thread may call."""

    def __init__(
        self, view: ChainView, store: ReporterStore, records: RecordStore, others: Sequence[Keeper]
    ) -> None:
        self._view, self._store, self._records = view, store, records
        self._others = [(other, threading.Lock()) for other in others]
        self._latest = 0
        self._absent: set[int] = set()
        self._damaged: set[int] = set()
        # Rounds that no veto and no reorganisation changes any more.
        self._settled: dict[int, Round] = {}
        # What `last` found after the round with that root: several proposals of a round ask for the same.
        self._found: tuple[int, bytes, dict[int, NodeRecord]] = (0, b"", {})
        self._searching = threading.Lock()

    def catch_up(self) -> None:
        """Keep the records of every recent round that the chain has, the newest first. What nobody gives is asked for
        again next time."""
        latest = self._view.latest_round()
        backfill = min(BACKFILL_ROUNDS, self._records.keep_rounds)
        # By two looks: a node that once answered nonsense must not hide rounds to come.
        settled, oldest = min(latest, self._latest) - UNSETTLED_ROUNDS, max(1, latest - backfill + 1)
        self._latest = latest
        self._absent = {number for number in self._absent if oldest <= number <= settled}
        kept = set(self._records.rounds())
        self._settled = {number: self._settled[number] for number in kept & self._settled.keys()}
        for round_number in range(latest, oldest - 1, -1):
            whole = round_number in kept and round_number not in self._damaged
            if round_number in self._absent or (whole and round_number <= settled):
                continue
            posted = self._view.posted(round_number)
            if posted is None:
                if round_number <= settled:  # rounds only rise: it will not come any more
                    self._absent.add(round_number)
                    self._store.forget_unreported(round_number, UNSETTLED_ROUNDS)
                continue
            try:
                self._need(round_number, posted, FETCH_SECONDS)
            except Refused as refused:
                _log.warning("the records of round %s are not to be had yet: %s", round_number, refused)

    def last(self, nodes: Iterable[int], since: int) -> dict[int, NodeRecord]:
        """Each registered node's record in the newest good round up to `since` that has one; before its first round,
        nothing counted since genesis. Raises Refused without the records of `since` themselves."""
        root = b""
        if since:
            posted = self._view.posted(since)
            if posted is None:
                raise Refused(f"round {since} is no longer in the chain")
            self._need(since, posted, NEEDED_WITHIN_SECONDS)
            root = posted.root
        wanted = set(nodes)
        with self._searching:
            if self._found[:2] != (since, root):
                self._found = (since, root, {})
            found = self._found[2]
            if missing := wanted - found.keys():
                found |= self._search(missing, since)
            return {node: found[node] for node in wanted & found.keys()}

    def before(self, nodes: Iterable[int], since: int) -> dict[int, NodeRecord]:
        """Each registered node's record in the newest good round before `since` that is kept here; of one that is not
        in it, nothing counted since genesis."""
        wanted = set(nodes)
        round_number = next(self._good_rounds(since), None)
        found = {} if round_number is None else self._in_round(wanted, round_number)
        return found | self._first(wanted - found.keys())

    def _first(self, nodes: Iterable[int]) -> dict[int, NodeRecord]:
        counts = {node: self._view.gpu_count(node) for node in nodes}
        return {
            node: first_record(self._view.genesis, gpus) for node, gpus in counts.items() if gpus is not None
        }

    def _search(self, wanted: set[int], since: int) -> dict[int, NodeRecord]:
        found = self._in_round(wanted, since) if since else {}
        for node in sorted(wanted - found.keys()):
            # A node that comes back after a long time goes on from where it was, kept here or not.
            pushed = self._view.last_pushed(node)
            if pushed is not None and pushed.window_end > self._view.window_end_of(since):
                raise Refused(f"node {node} was reported after round {since}")
            if pushed is not None:
                found[node] = pushed
        for round_number in self._good_rounds(since):
            older = {
                node
                for node in wanted
                if node in found and found[node].window_end >= self._view.window_end_of(round_number)
            }
            if older == wanted:
                break
            found |= self._in_round(wanted - older, round_number)
        return found | self._first(wanted - found.keys())

    def _in_round(self, nodes: Iterable[int], round_number: int) -> dict[int, NodeRecord]:
        found = {}
        for node in nodes:
            try:
                found[node] = NodeRecord.unpack(self._records.reading(round_number, node).record)
            except NotKept:
                continue
            except Damaged:
                self._damaged.add(round_number)
                raise
        return found

    def _good_rounds(self, since: int) -> Iterator[int]:
        now = self._view.chain_time()
        for round_number in reversed(self._records.rounds()):
            if round_number >= since:
                continue
            posted = self._settled.get(round_number) or self._view.posted(round_number)
            if posted is None:
                continue
            if posted.posted_at + self._view.finality_delay_seconds <= now:
                self._settled[round_number] = posted
            if not posted.vetoed and self._is_kept(round_number, posted):
                yield round_number

    def _is_kept(self, round_number: int, posted: Round) -> bool:
        try:
            if round_number in self._damaged:
                return False
            return self._records.about(round_number).root == posted.root
        except (NotKept, Damaged):
            return False

    def _need(self, round_number: int, posted: Round, within_seconds: float) -> None:
        """Have the round's records, those that the chain names now. Raises Refused."""
        if not self._is_kept(round_number, posted):
            self._obtain(round_number, posted, within_seconds)
            self._damaged.discard(round_number)

    def _obtain(self, round_number: int, posted: Round, within_seconds: float) -> None:
        agreed = self._store.agreed_with_root(round_number, posted.root)
        if agreed is not None:
            self._records.write_entries(round_number, [agreed.entries], posted.root)
            return
        try:
            pushed = self._view.entries_of(round_number, posted.root)
            self._records.write_entries(round_number, pushed, posted.root)
            return
        except (Refused, MerkleError):  # it names records that it did not push
            refusals = []
        for other, free in random.sample(self._others, len(self._others)):
            if not free.acquire(timeout=BUSY_SECONDS):
                refusals.append("a reporter is still giving another round")
                continue
            try:
                other.fetch(self._records, round_number, posted.root, within_seconds=within_seconds)
                return
            except Refused as refused:
                refusals.append(str(refused))
            finally:
                free.release()
        raise Refused("; ".join(refusals) or "there is nobody to ask")

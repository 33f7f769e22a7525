"""Every reported round's records: kept from one's own reports, or fetched from those who have them, and never believed
unless they hash to the chain's root."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from typing import Protocol

from wellhead.chain.contracts.telemetry_oracle import Round
from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.store import ReporterStore
from wellhead.oracle.records.round_file import NotKept
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.round import first_record
from wellhead.reference.merkle import MerkleError
from wellhead.reference.record import NodeRecord

# So far back a reporter that was away looks for what it missed.
BACKFILL_ROUNDS = 200
_log = logging.getLogger(__name__)


class Keeper(Protocol):
    """Somebody else who keeps records."""

    def fetch(self, store: RecordStore, round_number: int, root: bytes) -> None:
        """Put the round into `store`. Raises Refused."""


class History:
    """What nodes did up to the newest good round. Blocking."""

    def __init__(
        self, view: ChainView, store: ReporterStore, records: RecordStore, others: Sequence[Keeper]
    ) -> None:
        self._view, self._store, self._records, self._others = view, store, records, others
        self._absent: set[int] = set()

    def catch_up(self) -> None:
        """Keep the records of every recent round that the chain has and this store has not. What nobody gives is asked
        for again next time."""
        latest, kept = self._view.latest_round(), set(self._records.rounds())
        for round_number in range(max(1, latest - BACKFILL_ROUNDS), latest + 1):
            if round_number in kept or round_number in self._absent:
                continue
            posted = self._view.posted(round_number)
            if posted is None:
                if round_number < latest:  # rounds only rise: it will not come any more
                    self._absent.add(round_number)
                continue
            try:
                self._obtain(round_number, posted)
            except Refused as refused:
                _log.warning("the records of round %s are not to be had yet: %s", round_number, refused)

    def last(self, nodes: Iterable[int], since: int) -> dict[int, NodeRecord]:
        """Each registered node's record in the newest good round up to `since` that has one; before its first round,
        nothing counted since genesis. Raises Refused without the records of `since` themselves."""
        wanted, found = set(nodes), dict[int, NodeRecord]()
        if since:
            posted = self._view.posted(since)
            if posted is None or not self._is_kept(since, posted):
                raise Refused(f"the records of round {since} are needed to go on from, and nobody gave them")
        for round_number in self._good_rounds(since):
            for node in sorted(wanted - found.keys()):
                try:
                    found[node] = NodeRecord.unpack(self._records.reading(round_number, node).record)
                except NotKept:
                    continue
            if wanted == found.keys():
                break
        for node in wanted - found.keys():
            gpus = self._view.gpu_count(node)
            if gpus is not None:
                found[node] = first_record(self._view.genesis, gpus)
        return found

    def _good_rounds(self, since: int) -> Iterator[int]:
        for round_number in reversed(self._records.rounds()):
            if round_number > since:
                continue
            posted = self._view.posted(round_number)
            if posted is not None and not posted.vetoed and self._is_kept(round_number, posted):
                yield round_number

    def _is_kept(self, round_number: int, posted: Round) -> bool:
        try:
            return self._records.about(round_number).root == posted.root
        except NotKept:
            return False

    def _obtain(self, round_number: int, posted: Round) -> None:
        agreed = self._store.agreed_with_root(round_number, posted.root)
        if agreed is not None:
            self._records.write_entries(round_number, [agreed.entries], posted.root)
            return
        pushed = [one.records for one in self._view.oracle.reports([round_number]) if one.root == posted.root]
        try:
            self._records.write_entries(round_number, pushed, posted.root)
            return
        except (Refused, MerkleError):  # it names records that it did not push
            refusals = []
        for other in self._others:
            try:
                other.fetch(self._records, round_number, posted.root)
                return
            except Refused as refused:
                refusals.append(str(refused))
        raise Refused("; ".join(refusals) or "there is nobody to ask")

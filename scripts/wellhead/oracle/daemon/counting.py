"""Each round's distances, kept as soon as it is reported: by what was agreed on here, or what others show. Blocking."""

from __future__ import annotations

import logging
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.tallies import Counted, Tallies
from wellhead.oracle.deviation import deviations_bps_up
from wellhead.oracle.draft import Draft, OracleConfig, aggregates_of
from wellhead.oracle.records.round_file import Damaged, NotKept
from wellhead.oracle.records.store import RecordStore
from wellhead.oracle.sealed import Revealed

_log = logging.getLogger(__name__)


class RevealKeeper(Protocol):
    """Another reporter, who keeps what was revealed."""

    def reveals(self, config_digest: bytes, round_number: int, named_hash: bytes) -> Sequence[Revealed]:
        """All that the report with that evidence hash counts. Raises Refused."""


class Counting:
    """One reporter's. Any thread may count; only one may look for what is missing."""

    def __init__(
        self, view: ChainView, tallies: Tallies, records: RecordStore, others: Sequence[RevealKeeper]
    ) -> None:
        self._view, self._tallies, self._records, self._others = view, tallies, records, others
        self._complained: set[int] = set()

    def count(self, config: OracleConfig, drafted: Draft, revealed: Sequence[Revealed]) -> None:
        """Of a report that was agreed on, or may have been; `revealed` is what it follows from."""
        counted = [one for one in revealed if drafted.evidence.get(one.reporter) == one.named]
        named = Counted(config.config_digest, drafted.evidence)
        self._tallies.keep(drafted.round, named, deviations_bps_up(counted, drafted.aggregates))

    def of(self, round_number: int, named_hash: bytes) -> dict[str, int] | None:
        """Basis points by reporter; None if they are not known."""
        return self._tallies.of(round_number, named_hash)

    def look_for(
        self, config: OracleConfig, reported: Mapping[int, bytes], is_over: Callable[[int], bool]
    ) -> None:
        """Fetch what counts in the `reported` rounds, by their evidence hashes, where nothing is known of it though the
        round is over here. What is older is forgotten."""
        oldest = min(reported, default=0)
        self._tallies.forget_before(oldest - self._records.keep_rounds)
        for round_number, named_hash in reported.items():
            if is_over(round_number) and self.of(round_number, named_hash) is None:
                self._fetch(config, round_number, named_hash)

    def _fetch(self, config: OracleConfig, round_number: int, named_hash: bytes) -> None:
        posted = self._view.posted(round_number)
        if posted is None or posted.vetoed:
            return
        try:
            if self._records.about(round_number).root != posted.root:
                return  # the history is still to get the chain's
            nodes = {node for node, _ in self._records.records(round_number)}
        except (NotKept, Damaged):
            return
        refusals = []
        for other in random.sample(self._others, len(self._others)):
            try:
                revealed = other.reveals(config.config_digest, round_number, named_hash)
                aggregates = aggregates_of(revealed, nodes, config.faulty)
                if aggregates.keys() != nodes:
                    raise Refused(f"what it gives of round {round_number} does not make the round's records")
            except (Refused, ValueError) as error:
                refusals.append(str(error))
                continue
            named = Counted(config.config_digest, {one.reporter: one.named for one in revealed})
            self._tallies.keep(round_number, named, deviations_bps_up(revealed, aggregates))
            return
        if round_number not in self._complained:
            self._complained.add(round_number)
            why = "; ".join(refusals)
            _log.warning("what counts in round %s is not to be had yet: %s", round_number, why)

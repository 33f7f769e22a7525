"""Brings the records of rounds that are too large for one report to the chain, part by part after it. Blocking."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from wellhead.chain.revert import ContractRefused
from wellhead.errors import Misused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.exchange.play import leaders
from wellhead.oracle.pushing import DEFAULT_BUDGET, DEFAULT_MAX_PUSHED, MAX_REPORTED, split
from wellhead.oracle.records.round_file import NotKept
from wellhead.oracle.records.store import RecordStore
from wellhead.reference.merkle import Branch, RecordTree
from wellhead.reference.record import unpack_entries

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class PushPolicy:
    """Which rounds a reporter pushes at its own cost, and how."""

    max_nodes: int = DEFAULT_MAX_PUSHED
    """Of a round with more nodes nothing is pushed; 0: of none."""
    budget: int = DEFAULT_BUDGET
    """Gas that one transaction may take."""
    patience_seconds: float = 120
    """Each of the others leaves it to the one before for so long after the last part came."""

    def __post_init__(self) -> None:
        if self.max_nodes < 0:
            raise Misused(f"at most {self.max_nodes} nodes are to be pushed: say 0 for none")


class Pusher:
    """Of the newest round alone: what is missing of earlier ones nobody looks at any more. Only one thread may call.

    What is there the chain is asked: several reporters may push at once, and a process that is killed has lost nothing.
    """

    def __init__(
        self,
        view: ChainView,
        records: RecordStore,
        transmitter: Transmitter,
        reporter: str,
        policy: PushPolicy,
        clock: Callable[[], float],
    ) -> None:
        """`reporter` is the address whose place in line it is; `clock` tells seconds."""
        self._view, self._records, self._transmitter = view, records, transmitter
        self._reporter, self._policy, self._clock = reporter, policy, clock
        self._done = self._round = 0
        self._root = b""
        self._parts: list[Branch] = []
        self._missing, self._block, self._place, self._turn_at = 0, 0, 0, 0.0
        # Nodes that have their slots. Of others it is not asked: their parts are merely smaller than they might be.
        self._known: set[int] = set()

    @property
    def state(self) -> str:
        """What is being pushed, for people; empty if nothing is."""
        if self._done >= self._round:
            return ""
        return f"round {self._round}: {self._missing} records are still to be sent"

    def advance(self) -> None:
        """Send a part that is missing, if it is this reporter's turn and nothing is under way. Raises what web3 and the
        database raise."""
        latest = self._view.latest_round()
        if latest == self._done or not self._policy.max_nodes:
            return
        posted = self._view.posted(latest)
        if posted is None or posted.vetoed:
            return
        if (latest, posted.root) != (self._round, self._root) and not self._begin(latest, posted.root):
            return
        if self._clock() >= self._turn_at and self._transmitter.is_idle:
            self._push()

    def _begin(self, round_number: int, root: bytes) -> bool:
        """Whether there is anything to do about it, now."""
        try:
            kept = self._records.about(round_number)
            if kept.root != root:
                return False
            if not MAX_REPORTED < kept.nodes <= self._policy.max_nodes:
                self._done = round_number
                return False
            tree = RecordTree(self._records.records(round_number))
        except NotKept:  # it is fetched from others
            return False
        brought = self._view.brought(round_number)
        if brought is None:
            return False
        self._parts = split(tree, self._known, self._policy.budget)
        self._round, self._root, self._missing, self._block = round_number, root, kept.nodes, brought.block
        self._place = self._place_in_line(round_number, brought.transmitter)
        self._wait()
        return True

    def _place_in_line(self, round_number: int, transmitter: str) -> int:
        if transmitter == self._transmitter.address:
            return 0
        order = leaders(self._view.config().reporters, round_number)
        # A leader whose report another brought is the last to ask.
        return (order.index(self._reporter) if self._reporter in order else 0) or len(order)

    def _wait(self) -> None:
        self._turn_at = self._clock() + self._place * self._policy.patience_seconds

    def _push(self) -> None:
        pushed = self._view.pushed_nodes(self._round, self._block)
        self._known |= pushed
        lacking = [(part, lacks) for part in self._parts if (lacks := _nodes_of(part) - pushed)]
        expected, self._missing = self._missing, sum(len(lacks) for _, lacks in lacking)
        if not lacking:
            self._done = self._round
            _log.info("round %s: every record is pushed", self._round)
        elif self._place and self._missing < expected:
            self._wait()  # somebody else is at it
        else:
            self._send(*lacking[0])

    def _send(self, part: Branch, lacks: set[int]) -> None:
        try:
            self._transmitter.push(self._round, part)
            self._missing -= len(lacks)
        except ContractRefused as refused:
            # A newer round comes; to try this one again at every look would help nobody.
            _log.warning("the records of round %s are not taken: %s", self._round, refused)
            self._done = self._round


def _nodes_of(part: Branch) -> set[int]:
    return {node for node, _ in unpack_entries(part.entries)}

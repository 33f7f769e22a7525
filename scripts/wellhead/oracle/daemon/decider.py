"""Whether a round is reported, by the trigger's rule; it keeps in mind what it left out. Blocking."""

from __future__ import annotations

from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.history import History
from wellhead.oracle.draft import Basis, Draft
from wellhead.oracle.trigger import Decision, Said, Trigger, decide
from wellhead.reference.record import NodeRecord


class Decider:
    """One reporter's. What it has in mind is lost when it stops: then it sees a change less sharply, once."""

    def __init__(self, trigger: Trigger, view: ChainView, history: History) -> None:
        self._trigger, self._view, self._history = trigger, view, history
        # The newest good round when this was asked last, and the round then to be reported, if it was.
        self._since, self._wanted = 0, 0
        self._left_out: dict[int, NodeRecord] = {}
        self._left_out_before: dict[int, NodeRecord] = {}
        self._before: tuple[int, dict[int, NodeRecord]] = (0, {})

    def decide(self, since: int, basis: Basis, drafted: Draft) -> Decision:
        """Of the report `drafted` out of `basis`, which goes on from round `since`. Raises what the chain and the disk
        raise."""
        if since != self._since:
            self._left_out_before, self._left_out = self._left_out, {}
        decision = decide(
            self._trigger,
            self._said(since, basis),
            drafted.records,
            basis.window_end,
            self._view.window_seconds,
        )
        self._since, self._wanted = since, basis.round if decision.reports else 0
        if not decision.reports:
            self._left_out = drafted.records
        return decision

    def _said(self, since: int, basis: Basis) -> Said:
        window_end = self._view.window_end_of(since)
        reported = {
            node: one for node, one in basis.previous.items() if since and one.window_end == window_end
        }
        if self._before[0] != since:
            self._before = since, {}
        before = self._before[1]
        if missing := reported.keys() - before.keys():
            before |= self._history.before(missing, since)
        nodes = {node: (before[node], record) for node, record in reported.items()}
        return Said(since, window_end, nodes, self._left_out, self._left_out_before, self._owed(since))

    def _owed(self, since: int) -> str:
        if since < self._since:
            return f"the report of round {self._since} does not stand any more"
        if since == self._since and self._wanted:
            return f"round {self._wanted} was to be reported, and was not"
        return ""

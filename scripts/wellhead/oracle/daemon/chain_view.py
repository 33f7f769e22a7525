"""What a reporter asks the chain before it does anything: who reports, what stands, whose window it is. Blocking."""

from __future__ import annotations

from typing import NamedTuple

from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.telemetry_oracle import Round, TelemetryOracle
from wellhead.chain.local import chain_time
from wellhead.chain.logs import events_of
from wellhead.errors import Misused, Refused
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.onchain import read_config
from wellhead.reference.record import NodeRecord, unpack_entries


class Brought(NamedTuple):
    """How a report came to the chain."""

    transmitter: str
    block: int


class ChainView:
    """One oracle, and the registry of its nodes. Raises what web3 raises."""

    def __init__(self, oracle: TelemetryOracle, registry: NodeRegistry) -> None:
        self.oracle, self._registry = oracle, registry
        self.genesis, self.window_seconds = oracle.window_end_of(0), oracle.window_seconds()
        self.finality_delay_seconds, self.ring_rounds = oracle.finality_delay_seconds(), oracle.ring_rounds()
        self._gpu_counts: dict[int, int] = {}

    def config(self) -> OracleConfig:
        """As it is now."""
        return read_config(self.oracle)

    def window_end_of(self, round_number: int) -> int:
        """Chain time in seconds; of round 0 the genesis."""
        return self.genesis + round_number * self.window_seconds

    def chain_time(self) -> int:
        """Of the newest block, in seconds."""
        return chain_time(self.oracle.w3)

    def latest_round(self) -> int:
        """The newest reported round, vetoed or not; 0 before the first."""
        return self.oracle.latest_round()

    def ended_round(self) -> int:
        """The last round whose window has ended on the chain."""
        return self.oracle.round_ended_by(self.chain_time())

    def posted(self, round_number: int) -> Round | None:
        """What the chain keeps of a round; None if it was not reported, or was forgotten."""
        found = self.oracle.round_info(round_number)
        return found if found.posted_at else None

    def newest_good_round(self) -> int:
        """The newest round that was reported and not vetoed: what the next report goes on from. 0 if there is none.

        Raises Refused when all that the oracle remembers is vetoed: what was before it cannot be told any more.
        """
        latest = self.latest_round()
        oldest = max(1, latest - self.ring_rounds + 1)
        for round_number in range(latest, oldest - 1, -1):
            found = self.posted(round_number)
            if found is not None and not found.vetoed:
                return round_number
        if oldest > 1:
            raise Refused(
                f"every report from round {oldest} to {latest} is vetoed, and earlier ones are forgotten"
            )
        return 0

    def last_pushed(self, node: int) -> NodeRecord | None:
        """The newest record of the node that was pushed and stands; None if there is none."""
        found = self.oracle.latest_record(node)
        return found if found.window_end else None

    def entries_of(self, round_number: int, root: bytes) -> list[bytes]:
        """The packed records that were pushed with the round's report of that root, or after it."""
        return [one.records for one in self.oracle.reports([round_number]) if one.root == root]

    def brought(self, round_number: int) -> Brought | None:
        """Who brought the round's report, and in which block; None if nobody did."""
        found = self.oracle.events("Reported", round=round_number)
        return Brought(found[-1]["args"]["transmitter"], found[-1]["blockNumber"]) if found else None

    def pushed_nodes(self, round_number: int, since_block: int) -> set[int]:
        """Whose records of the round were pushed after its report, which was in block `since_block`."""
        event, filters = self.oracle.contract.events["RecordsPushed"](), {"round": round_number}
        found = events_of(self.oracle.w3, event, since_block, filters)
        return {node for one in found for node, _ in unpack_entries(bytes(one["args"]["records"]))}

    def gpu_count(self, node: int) -> int | None:
        """As registered; None for a node that is not."""
        if node not in self._gpu_counts:
            try:
                self._gpu_counts[node] = self._registry.node(node).spec.gpu_count
            except Misused:
                return None
        return self._gpu_counts[node]

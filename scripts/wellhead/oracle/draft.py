"""The report that follows from what reporters revealed: same basis, same draft, whoever computes it. Pure."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field

from wellhead.errors import Refused
from wellhead.oracle.aggregate import Aggregate, aggregate, quorum_of
from wellhead.oracle.observation import Window
from wellhead.oracle.pushing import MAX_REPORTED
from wellhead.oracle.round import NextRecord, TimeScale, next_records
from wellhead.oracle.sealed import Revealed, fault_of_reveal
from wellhead.reference.merkle import RecordTree
from wellhead.reference.quorum import evidence_hash, report_hash
from wellhead.reference.record import NodeRecord, pack_entries


@dataclass(frozen=True)
class OracleConfig:
    """What the contract says about itself and its reporters."""

    chain_id: int
    contract: str
    config_digest: bytes
    reporters: tuple[str, ...]
    quorum: int

    @property
    def faulty(self) -> int:
        """f, out of k = 2f + 1."""
        return (self.quorum - 1) // 2


@dataclass(frozen=True)
class Basis:
    """All that a report follows from."""

    config: OracleConfig
    round: int
    window_end: int
    """Where the round's window ends on the chain, seconds since the epoch."""
    window: Window
    """The samples that stand for it."""
    revealed: tuple[Revealed, ...]
    previous: Mapping[int, NodeRecord]
    """The last record of each registered node, or `first_record`: no other is reported."""
    scale: TimeScale
    carried_microjoules: Mapping[int, int] = field(default_factory=dict)
    """What the last window left below one watt-hour, by node."""


@dataclass(frozen=True)
class Draft:
    """A report before its signatures."""

    round: int
    aggregates: Mapping[int, Aggregate]
    next: Mapping[int, NextRecord]
    dropped: Mapping[str, str]
    """Reporters whose reveal does not count, and why."""
    evidence: Mapping[str, bytes]
    """Of every reporter whose reveal counts, what the report names of it: see `Revealed.named`."""

    @property
    def records(self) -> dict[int, NodeRecord]:
        """The new record of each node."""
        return {node: step.record for node, step in self.next.items()}

    @property
    def tree(self) -> RecordTree:
        """The tree whose root is reported; it makes the proofs later."""
        return RecordTree(self.records.items())

    @property
    def entries(self) -> bytes:
        """The `records` argument: all of the round's, unless there are too many for a report; see `pushing`."""
        records = self.records
        return pack_entries(records) if len(records) <= MAX_REPORTED else b""

    @property
    def evidence_hash(self) -> bytes:
        """The `evidenceHash` argument."""
        return evidence_hash(self.evidence)

    def message_hash(self, config: OracleConfig) -> bytes:
        """What reporters sign."""
        return report_hash(
            config.chain_id,
            config.contract,
            config.config_digest,
            self.round,
            self.tree.root,
            self.evidence_hash,
            self.entries,
        )


def draft(basis: Basis) -> Draft:
    """The report that follows from `basis`; a node is in it when at least k reporters observed it.

    One without a previous record is left out: it is not registered (yet), and what some watch too early must not keep
    the others from being reported. Raises Refused when nothing is left.
    """
    counted, dropped = _sift(basis)
    aggregates = aggregates_of(counted, basis.previous, basis.config.faulty)
    if not aggregates:
        why = "".join(f"; {reporter} {fault}" for reporter, fault in dropped.items())
        raise Refused(
            f"no registered node was observed by {basis.config.quorum} reporters ({len(counted)} count{why})"
        )
    steps = next_records(basis.previous, aggregates, basis.window_end, basis.scale, basis.carried_microjoules)
    evidence = {revealed.reporter: revealed.named for revealed in counted}
    return Draft(basis.round, aggregates, steps, dropped, evidence)


def aggregates_of(
    counted: Sequence[Revealed], registered: Container[int], faulty: int
) -> dict[int, Aggregate]:
    """What the reveals that count say together of each registered node that at least k reporters observed."""
    nodes = sorted({node for revealed in counted for node in revealed.observations})
    observed = {
        node: [revealed.observations[node] for revealed in counted if node in revealed.observations]
        for node in nodes
        if node in registered
    }
    return {
        node: aggregate(observations, faulty)
        for node, observations in observed.items()
        if len(observations) >= quorum_of(faulty)
    }


def _sift(basis: Basis) -> tuple[list[Revealed], dict[str, str]]:
    """The reveals that count, one per reporter, and why the others do not.

    A fault is its own author's alone: nobody is dropped for what another sends under his name, or sends again.
    """
    good: dict[str, dict[bytes, Revealed]] = {}
    dropped: dict[str, str] = {}
    for revealed in basis.revealed:
        fault = fault_of_reveal(
            revealed, basis.config.config_digest, basis.round, basis.window, basis.config.reporters
        )
        if fault:
            dropped[revealed.reporter] = fault
        else:
            good.setdefault(revealed.reporter, {})[revealed.commitment.hash] = revealed
    counted: list[Revealed] = []
    for reporter, versions in good.items():
        dropped.pop(reporter, None)
        if len(versions) == 1:
            counted += versions.values()
        else:
            dropped[reporter] = f"committed to {len(versions)} different observations"
    return counted, dropped

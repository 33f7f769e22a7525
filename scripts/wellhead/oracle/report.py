"""A report with its k signatures, ready for anyone to transmit; and what each reporter gave to it. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from wellhead.errors import Refused
from wellhead.oracle.draft import Basis, Draft, draft
from wellhead.oracle.observation import Observation
from wellhead.oracle.review import Tolerance, endorse
from wellhead.reference.merkle import Reading
from wellhead.reference.quorum import join
from wellhead.reference.record import NodeRecord


@dataclass(frozen=True)
class ReporterFigures:
    """What one reporter contributed, for people to read."""

    reporter: str
    observations: Mapping[int, Observation]
    """By node; empty for a silent reporter."""
    signed: bool
    objection: str
    """Why it did not sign; empty if it did."""


@dataclass(frozen=True)
class Report:
    """`TelemetryOracle.report(*report.arguments)` transmits it."""

    draft: Draft
    signatures: bytes
    figures: tuple[ReporterFigures, ...]

    @property
    def round(self) -> int:
        """The round that is reported."""
        return self.draft.round

    @property
    def root(self) -> bytes:
        """23 bytes, over the records of all nodes."""
        return self.draft.tree.root

    @property
    def records(self) -> dict[int, NodeRecord]:
        """The new record of each node."""
        return self.draft.records

    @property
    def notes(self) -> tuple[str, ...]:
        """What was cut from the figures, and why."""
        return tuple(note for step in self.draft.next.values() for note in step.notes)

    @property
    def carried_microjoules(self) -> dict[int, int]:
        """Energy below one watt-hour, for the next window's basis."""
        return {node: step.energy_left_microjoules for node, step in self.draft.next.items()}

    @property
    def arguments(self) -> tuple[int, bytes, bytes, bytes, bytes]:
        """round, root, evidence hash, records, signatures, as the contract takes them."""
        return self.round, self.root, self.draft.evidence_hash, self.draft.entries, self.signatures

    def reading(self, node: int) -> Reading:
        """The node's record with its proof, for whoever needs it once the round is final."""
        return self.draft.tree.reading(self.round, node)


def co_sign(basis: Basis, accounts: Sequence[LocalAccount], tolerance: Tolerance | None = None) -> Report:
    """Draft the report and let each of `accounts` re-check and sign it; the first k signatures suffice.

    An account without a reveal in `basis` is silent: it neither observes nor signs. Raises Refused when
    fewer than k sign, with everyone's reasons.
    """
    tolerance = tolerance or Tolerance()
    proposed = draft(basis)
    own = {revealed.reporter: revealed for revealed in basis.revealed}
    signatures: dict[str, bytes] = {}
    figures = []
    for account in accounts:
        revealed = own.get(account.address)
        objection = "silent" if revealed is None else ""
        if revealed is not None:
            try:
                signatures[account.address] = endorse(account, basis, revealed, proposed, tolerance)
            except Refused as refused:
                objection = str(refused)
        seen = {} if revealed is None else revealed.observations
        figures.append(ReporterFigures(account.address, seen, not objection, objection))
    return Report(proposed, _quorum_of(signatures, basis, proposed, figures), tuple(figures))


def _quorum_of(
    signatures: Mapping[str, bytes], basis: Basis, proposed: Draft, figures: Sequence[ReporterFigures]
) -> bytes:
    k = basis.config.quorum
    if len(signatures) < k:
        reasons = "; ".join(f"{entry.reporter}: {entry.objection}" for entry in figures if entry.objection)
        raise Refused(f"{len(signatures)} of the {k} signatures that round {basis.round} needs ({reasons})")
    return join(list(signatures.values())[:k], proposed.message_hash(basis.config))

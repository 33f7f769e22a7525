"""What one reporter holds of one round: who committed to what, and what they revealed. Pure: nothing is sent here.

Commitments are frozen when this reporter reveals: what is committed to later may be a copy, and never counts with it.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from wellhead.errors import Refused
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.exchange.messages import SignedReport
from wellhead.oracle.sealed import Commitment, Revealed, commitment_hash, is_signed


class RefusedMessageError(Refused):
    """A message that this round does not take; it says why."""


class MissingError(Refused):
    """Commitments that were named and that this reporter does not hold, or not in time."""

    def __init__(self, hashes: Sequence[bytes]) -> None:
        super().__init__("I do not hold " + ", ".join(f"0x{one.hex()}" for one in hashes))
        self.hashes = list(hashes)


class RoundBook:
    """One round as `me` sees it."""

    def __init__(self, config: OracleConfig, round_number: int, me: str) -> None:
        self.config, self.round, self._me = config, round_number, me
        self.commitments: dict[str, Commitment] = {}
        # Who signed two: kept, as it can be shown to everyone.
        self.equivocations: dict[str, tuple[Commitment, Commitment]] = {}
        # What was committed to in time, by reporter; None before this one has revealed.
        self.frozen: dict[str, bytes] | None = None
        self.revealed: dict[bytes, Revealed] = {}
        self.report: SignedReport | None = None

    # Commit -----------------------------------------------------------------------------------------

    def commit(self, commitment: Commitment) -> bool:
        """Take a commitment; whether it is new. Raises RefusedMessageError."""
        if commitment.reporter not in self.config.reporters:
            raise RefusedMessageError(f"{commitment.reporter} is no reporter of this oracle")
        if not is_signed(commitment, self.config.config_digest, self.round):
            raise RefusedMessageError(f"{commitment.reporter} did not sign that for round {self.round}")
        known = self.commitments.setdefault(commitment.reporter, commitment)
        if known.hash == commitment.hash:
            return known is commitment
        if commitment.reporter in self.equivocations:
            return False
        self.equivocations[commitment.reporter] = (known, commitment)
        return True

    @property
    def in_time(self) -> dict[str, bytes]:
        """What could be frozen now: nothing of those who signed two."""
        return {
            reporter: one.hash
            for reporter, one in self.commitments.items()
            if reporter not in self.equivocations
        }

    @property
    def all_committed(self) -> bool:
        """Whether nobody is left to wait for."""
        return len(self.commitments) == len(self.config.reporters)

    def freeze(self) -> None:
        """Take no more: this reporter reveals. Raises Refused when too few committed for any report."""
        if self.frozen is not None:
            return
        in_time = self.in_time
        if len(in_time) < self.config.quorum:
            raise Refused(
                f"round {self.round}: {len(in_time)} reporters committed in time, {self.config.quorum} are needed"
            )
        self.frozen = in_time

    # Reveal -----------------------------------------------------------------------------------------

    def reveal(self, revealed: Revealed, digest: bytes | None = None) -> bool:
        """Take a reveal; whether it is new. `digest` is its `digest_of`, which takes a while for many nodes. Raises
        RefusedMessageError for one that is not what was committed to."""
        self.commit(revealed.commitment)
        digest = digest or digest_of(revealed)
        if digest != revealed.commitment.hash:
            raise RefusedMessageError(f"{revealed.reporter} reveals something else than it committed to")
        first = self.commitments[revealed.reporter].hash == digest
        if not first or (self.frozen is not None and digest not in self.frozen.values()):
            raise RefusedMessageError(f"{revealed.reporter} committed to that too late, or to two things")
        if digest in self.revealed:
            return False
        self.revealed[digest] = revealed
        return True

    @property
    def all_revealed(self) -> bool:
        """Whether everyone who committed in time has revealed."""
        return self.frozen is not None and set(self.frozen.values()) <= self.revealed.keys()

    # Report -----------------------------------------------------------------------------------------

    def proposal(self, without: Collection[bytes] = ()) -> list[bytes]:
        """The commitments that a report of this reporter's would follow from, ascending; none if they are too few, or
        its own is not among them."""
        if self.frozen is None or self.frozen.get(self._me) in {None, *without}:
            return []
        # Once each: whoever committed to another's hash has nothing to reveal.
        hashes = sorted({one for one in self.frozen.values() if one in self.revealed and one not in without})
        return hashes if len(hashes) >= self.config.quorum else []

    def select(self, hashes: Sequence[bytes]) -> tuple[Revealed, ...]:
        """The reveals that a proposal names. Raises MissingError for those not held in time, Refused for too few or one
        without this reporter's own."""
        in_time = set() if self.frozen is None else set(self.frozen.values())
        missing = [one for one in hashes if one not in in_time or one not in self.revealed]
        if missing:
            raise MissingError(missing)
        if len(set(hashes)) < self.config.quorum:
            raise Refused(f"{len(hashes)} observations; the quorum needs {self.config.quorum}")
        selected = tuple(self.revealed[one] for one in hashes)
        if self._me not in {revealed.reporter for revealed in selected}:
            raise Refused("my own observation is missing")
        return selected


def digest_of(revealed: Revealed) -> bytes:
    """What must have been committed to."""
    return commitment_hash(revealed.observations, revealed.evidence_hash, revealed.salt)

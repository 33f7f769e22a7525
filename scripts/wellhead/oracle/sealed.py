"""Commit, then reveal: a reporter signs the hash of what it saw before it can see what the others saw."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from wellhead.oracle.observation import Observation, Window, fault_of
from wellhead.reference.quorum import QuorumError, compact_signature, signer_of

SALT_BYTES = 32
# Keeps the signature from being one over anything else that the key may sign.
_TAG = b"Wellhead observation 1\n"


@dataclass(frozen=True)
class Commitment:
    """What a reporter publishes first: the hash of its observations, signed."""

    reporter: str
    hash: bytes
    signature: bytes


@dataclass(frozen=True)
class Revealed:
    """What a reporter publishes once it holds the others' commitments. `observations` by node."""

    observations: Mapping[int, Observation]
    salt: bytes
    commitment: Commitment

    @property
    def reporter(self) -> str:
        """The address that committed."""
        return self.commitment.reporter


def commitment_hash(observations: Mapping[int, Observation], salt: bytes) -> bytes:
    """The hash over all observations of one reporter and window; the salt keeps it from being guessed."""
    content = [asdict(observations[node]) for node in sorted(observations)]
    return keccak(_TAG + salt + json.dumps(content, sort_keys=True, separators=(",", ":")).encode())


def seal(account: LocalAccount, observations: Mapping[int, Observation], salt: bytes) -> Revealed:
    """Commit to `observations` with the reporter's key. Publish `.commitment` first, the rest later."""
    digest = commitment_hash(observations, salt)
    return Revealed(
        observations, salt, Commitment(account.address, digest, compact_signature(account, digest))
    )


def fault_of_reveal(revealed: Revealed, window: Window, reporters: Collection[str]) -> str:
    """Why a reveal does not count; empty when it does. A fault silences its author, and nobody else."""
    reporter = revealed.reporter
    if reporter not in reporters:
        return "is no reporter of this oracle"
    if commitment_hash(revealed.observations, revealed.salt) != revealed.commitment.hash:
        return "reveals something else than it committed to"
    try:
        signer = signer_of(revealed.commitment.signature, revealed.commitment.hash)
    except QuorumError:
        signer = None
    if signer != reporter:
        return f"shows a commitment signed by {signer or 'nobody'}"
    faults = (
        fault_of(observation, reporter, node, window) for node, observation in revealed.observations.items()
    )
    return next(filter(None, faults), "")

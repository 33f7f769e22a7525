"""Commit, then reveal: a reporter signs the hash of what it saw before it can see what the others saw."""

from __future__ import annotations

import json
import secrets
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from wellhead.oracle.observation import Observation, Window, fault_of
from wellhead.reference.quorum import QuorumError, compact_signature, signer_of

SALT_BYTES = 32
EVIDENCE_HASH_BYTES = 32
# Keep what is hashed here from being anything else that the key may sign.
_OBSERVATION_TAG = b"Wellhead observation 2\n"
_MESSAGE_TAG = b"Wellhead reporter message 1\n"
COMMIT = "commit"


def message_digest(kind: str, config_digest: bytes, round_number: int, body: bytes) -> bytes:
    """What a reporter signs to say `body` to the others: worth nothing in another round or configuration."""
    return digest_over(kind, config_digest, round_number, keccak(body))


def digest_over(kind: str, config_digest: bytes, round_number: int, body_hash: bytes) -> bytes:
    """As `message_digest`, of a body of which only the hash is there yet."""
    return keccak(_MESSAGE_TAG + f"{kind} {round_number}\n".encode() + config_digest + body_hash)


@dataclass(frozen=True)
class Commitment:
    """What a reporter publishes first: the hash of its observations, signed for one round."""

    reporter: str
    hash: bytes
    signature: bytes


@dataclass(frozen=True)
class Revealed:
    """What a reporter publishes once it holds the others' commitments. `observations` by node."""

    observations: Mapping[int, Observation]
    salt: bytes
    evidence_hash: bytes
    """32 bytes over the raw answers that it keeps: the chain names the hash of everyone's, see `Draft`."""
    commitment: Commitment

    @property
    def reporter(self) -> str:
        """The address that committed."""
        return self.commitment.reporter

    @property
    def named(self) -> bytes:
        """What a report that counts it names, and so the chain pins: evidence hash and commitment, 64 bytes."""
        return self.evidence_hash + self.commitment.hash


def commitment_hash(observations: Mapping[int, Observation], evidence_hash: bytes, salt: bytes) -> bytes:
    """The hash over all observations of one reporter and window; the salt keeps it from being guessed."""
    content = [asdict(observations[node]) for node in sorted(observations)]
    written = json.dumps(content, sort_keys=True, separators=(",", ":")).encode()
    return keccak(_OBSERVATION_TAG + salt + evidence_hash + written)


def seal(
    account: LocalAccount,
    config_digest: bytes,
    round_number: int,
    observations: Mapping[int, Observation],
    evidence_hash: bytes,
    salt: bytes,
) -> Revealed:
    """Commit to `observations` with the reporter's key. Publish `.commitment` first, the rest later."""
    digest = commitment_hash(observations, evidence_hash, salt)
    signature = compact_signature(account, message_digest(COMMIT, config_digest, round_number, digest))
    return Revealed(observations, salt, evidence_hash, Commitment(account.address, digest, signature))


class Unsealed(NamedTuple):
    """What one reporter saw, before the round is known that it belongs to."""

    account: LocalAccount
    observations: Mapping[int, Observation]
    evidence_hash: bytes

    def seal(self, config_digest: bytes, round_number: int) -> Revealed:
        """Sealed for that round, with a salt that nobody knows."""
        salt = secrets.token_bytes(SALT_BYTES)
        return seal(self.account, config_digest, round_number, self.observations, self.evidence_hash, salt)


def is_signed(commitment: Commitment, config_digest: bytes, round_number: int) -> bool:
    """Whether its reporter's key signed it, for this round of this configuration."""
    digest = message_digest(COMMIT, config_digest, round_number, commitment.hash)
    try:
        return signer_of(commitment.signature, digest) == commitment.reporter
    except QuorumError:
        return False


def fault_of_reveal(
    revealed: Revealed, config_digest: bytes, round_number: int, window: Window, reporters: Collection[str]
) -> str:
    """Why a reveal does not count; empty when it does. A fault silences its author, and nobody else."""
    reporter = revealed.reporter
    if reporter not in reporters:
        return "is no reporter of this oracle"
    # Of fixed lengths, or two reveals could share a hash.
    salt_bytes, evidence_bytes = len(revealed.salt), len(revealed.evidence_hash)
    if (salt_bytes, evidence_bytes) != (SALT_BYTES, EVIDENCE_HASH_BYTES):
        return f"gives {salt_bytes} bytes of salt and {evidence_bytes} of evidence hash, not {SALT_BYTES} of each"
    told = commitment_hash(revealed.observations, revealed.evidence_hash, revealed.salt)
    if told != revealed.commitment.hash:
        return "reveals something else than it committed to"
    if not is_signed(revealed.commitment, config_digest, round_number):
        return f"shows a commitment that it did not sign for round {round_number}"
    faults = (
        fault_of(observation, reporter, node, window) for node, observation in revealed.observations.items()
    )
    return next(filter(None, faults), "")

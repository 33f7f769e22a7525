"""What reporters say to each other, signed: what is said in one round of one configuration is worth nothing in another.

A message travels as JSON: its body in hexadecimal, as the signature is over the body's bytes and not over what a
parser makes of them.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.sealed import Commitment, Revealed, message_digest
from wellhead.reference.quorum import MAX_SIGNERS, QuorumError, compact_signature, signer_of

HASH_BYTES = 32
MAX_ROUND = (1 << 24) - 1


class Kind(StrEnum):
    """The steps of a round, in order."""

    COMMIT = "commit"
    REVEAL = "reveal"
    PROPOSE = "propose"
    REPORT = "report"


class UnreadableMessageError(ValueError):
    """No message, or not one that this reporter could use; it says why."""


class Message(NamedTuple):
    """One signed statement of one reporter."""

    kind: Kind
    config_digest: bytes
    round: int
    reporter: str
    body: bytes
    signature: bytes

    @classmethod
    def sign(
        cls, account: LocalAccount, kind: Kind, config_digest: bytes, round_: int, body: bytes
    ) -> Message:
        """`body` as the reporter's own word."""
        signature = compact_signature(account, message_digest(kind, config_digest, round_, body))
        return cls(kind, config_digest, round_, account.address, body, signature)

    @property
    def is_signed(self) -> bool:
        """Whether its reporter's key signed it."""
        try:
            signer = signer_of(
                self.signature, message_digest(self.kind, self.config_digest, self.round, self.body)
            )
        except QuorumError:
            return False
        return signer == self.reporter


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    config_digest: str
    round: int = Field(ge=1, le=MAX_ROUND)
    reporter: str
    body: str
    signature: str


def encode(message: Message) -> bytes:
    """As it travels."""
    return json.dumps(
        {
            "kind": message.kind,
            "config_digest": message.config_digest.hex(),
            "round": message.round,
            "reporter": message.reporter,
            "body": message.body.hex(),
            "signature": message.signature.hex(),
        }
    ).encode()


def decode(data: bytes) -> Message:
    """The message in `data`, whoever signed it. Raises UnreadableMessageError."""
    try:
        wire = _Wire.model_validate_json(data)
        return Message(
            Kind(wire.kind),
            _bytes(wire.config_digest, HASH_BYTES),
            wire.round,
            wire.reporter,
            bytes.fromhex(wire.body),
            bytes.fromhex(wire.signature),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise UnreadableMessageError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except ValueError as error:
        raise UnreadableMessageError(str(error)) from None


# Bodies ---------------------------------------------------------------------------------------------


class _Observed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    node: int
    first_slot: int
    slots: int
    interval_ms: int
    states: str
    tokens: int
    busy_micros: int
    energy_microjoules: int


class _Reveal(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    commitment: str
    commitment_signature: str
    salt: str
    evidence_hash: str
    observations: list[_Observed]


def commit_body(commitment: Commitment) -> bytes:
    """Just the hash: the signature over it is the commitment's."""
    return commitment.hash


def commitment_in(message: Message) -> Commitment:
    """The commitment that a commit message is. Raises UnreadableMessageError."""
    if len(message.body) != HASH_BYTES:
        raise UnreadableMessageError(f"a commitment has {HASH_BYTES} bytes, this one {len(message.body)}")
    return Commitment(message.reporter, message.body, message.signature)


def reveal_body(revealed: Revealed) -> bytes:
    """Everything that was committed to."""
    observations = [
        {
            "node": seen.node,
            **_window(seen.window),
            "states": seen.states,
            "tokens": seen.gained.tokens,
            "busy_micros": seen.gained.busy_micros,
            "energy_microjoules": seen.gained.energy_microjoules,
        }
        for _, seen in sorted(revealed.observations.items())
    ]
    return json.dumps(
        {
            "commitment": revealed.commitment.hash.hex(),
            "commitment_signature": revealed.commitment.signature.hex(),
            "salt": revealed.salt.hex(),
            "evidence_hash": revealed.evidence_hash.hex(),
            "observations": observations,
        }
    ).encode()


def reveal_in(message: Message) -> Revealed:
    """What a reveal message holds, whether or not it was committed to. Raises UnreadableMessageError."""
    try:
        found = _Reveal.model_validate_json(message.body)
        observations: Mapping[int, Observation] = {
            one.node: Observation(
                message.reporter,
                one.node,
                Window(one.first_slot, one.slots, one.interval_ms),
                one.states,
                Counters(one.tokens, one.busy_micros, one.energy_microjoules),
            )
            for one in found.observations
        }
        if len(observations) != len(found.observations):
            raise UnreadableMessageError("a node is observed twice")
        commitment = Commitment(
            message.reporter,
            _bytes(found.commitment, HASH_BYTES),
            bytes.fromhex(found.commitment_signature),
        )
        return Revealed(
            observations, bytes.fromhex(found.salt), _bytes(found.evidence_hash, HASH_BYTES), commitment
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise UnreadableMessageError(f"reveal: {where}: {first['msg']}") from None
    except ValueError as error:
        raise UnreadableMessageError(f"reveal: {error}") from None


def propose_body(hashes: Sequence[bytes]) -> bytes:
    """The commitments, ascending, whose reveals a report shall follow from."""
    return b"".join(sorted(hashes))


def hashes_in(message: Message) -> list[bytes]:
    """The commitments that a proposal names. Raises UnreadableMessageError."""
    return _hashes(message.body)


class SignedReport(NamedTuple):
    """A report that has its quorum: the commitments that it follows from, and the signatures joined."""

    hashes: list[bytes]
    signatures: bytes


def report_body(report: SignedReport) -> bytes:
    """A report for those who hold the same reveals."""
    return json.dumps(
        {"commitments": propose_body(report.hashes).hex(), "signatures": report.signatures.hex()}
    ).encode()


def report_in(message: Message) -> SignedReport:
    """The report in a message. Raises UnreadableMessageError."""
    try:
        found = _REPORT.validate_json(message.body)
        return SignedReport(_hashes(bytes.fromhex(found["commitments"])), bytes.fromhex(found["signatures"]))
    except (ValidationError, KeyError, ValueError) as error:
        raise UnreadableMessageError(f"report: {type(error).__name__}: {str(error)[:200]}") from None


_REPORT: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])


def _window(window: Window) -> dict[str, Any]:
    return {"first_slot": window.first_slot, "slots": window.slots, "interval_ms": window.interval_ms}


def _hashes(body: bytes) -> list[bytes]:
    if not body or len(body) % HASH_BYTES:
        raise UnreadableMessageError(f"{len(body)} bytes are no list of commitments")
    if len(body) > MAX_SIGNERS * HASH_BYTES:
        raise UnreadableMessageError(
            f"{len(body) // HASH_BYTES} commitments; there are at most {MAX_SIGNERS} reporters"
        )
    hashes = [body[start : start + HASH_BYTES] for start in range(0, len(body), HASH_BYTES)]
    if any(later <= earlier for earlier, later in itertools.pairwise(hashes)):
        raise UnreadableMessageError("commitments are named in ascending order, each once")
    return hashes


def _bytes(text: str, length: int) -> bytes:
    value = bytes.fromhex(text)
    if len(value) != length:
        raise UnreadableMessageError(f"{text[:80]!r} has {len(value)} bytes, not {length}")
    return value

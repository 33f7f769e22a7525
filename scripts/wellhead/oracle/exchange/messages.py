"""What reporters say to each other, signed: what is said in one round of one configuration is worth nothing in another.

A message travels as a line of JSON, its head, and then its body: the signature is over the body's hash, so who did not
sign is known before the body is read.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.sealed import Commitment, Revealed, digest_over, message_digest
from wellhead.reference.quorum import MAX_SIGNERS, QuorumError, compact_signature, signer_of

HASH_BYTES = 32
MAX_HEAD_BYTES = 1024
END_OF_HEAD = b"\n"
MAX_ROUND = (1 << 24) - 1


class Kind(StrEnum):
    """The steps of a round, in order; and apart from them, a batch of scores that is proposed."""

    COMMIT = "commit"
    REVEAL = "reveal"
    PROPOSE = "propose"
    REPORT = "report"
    SCORES = "scores"


class UnreadableMessageError(ValueError):
    """No message, or not one that this reporter could use; it says why."""


class Head(NamedTuple):
    """A signed statement before its body is there: enough to tell whether it is worth waiting for."""

    kind: Kind
    config_digest: bytes
    round: int
    reporter: str
    body_hash: bytes
    signature: bytes

    @property
    def is_signed(self) -> bool:
        """Whether its reporter's key signed it."""
        digest = digest_over(self.kind, self.config_digest, self.round, self.body_hash)
        try:
            return signer_of(self.signature, digest) == self.reporter
        except QuorumError:
            return False

    def with_body(self, body: bytes) -> Message:
        """The whole message. Raises UnreadableMessageError for another body than was signed."""
        if keccak(body) != self.body_hash:
            raise UnreadableMessageError(f"these {len(body)} bytes are not what {self.reporter} signed")
        return Message(self.kind, self.config_digest, self.round, self.reporter, body, self.signature)


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
    def head(self) -> Head:
        """All but the body."""
        body_hash = keccak(self.body)
        return Head(self.kind, self.config_digest, self.round, self.reporter, body_hash, self.signature)


class _Wire(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    kind: str
    config_digest: str
    round: int = Field(ge=1, le=MAX_ROUND)
    reporter: str
    body_hash: str
    signature: str


def encode(message: Message) -> bytes:
    """As it travels."""
    head = message.head
    wire = {
        "kind": head.kind,
        "config_digest": head.config_digest.hex(),
        "round": head.round,
        "reporter": head.reporter,
        "body_hash": head.body_hash.hex(),
        "signature": head.signature.hex(),
    }
    return json.dumps(wire).encode() + END_OF_HEAD + message.body


def decode(data: bytes) -> Message:
    """The message in `data`, whoever signed it. Raises UnreadableMessageError."""
    head, _, body = data.partition(END_OF_HEAD)
    return read_head(head).with_body(body)


def read_head(data: bytes) -> Head:
    """The head in `data`, whoever signed it. Raises UnreadableMessageError."""
    if len(data) > MAX_HEAD_BYTES:
        raise UnreadableMessageError(f"a letter's head has at most {MAX_HEAD_BYTES} bytes")
    try:
        wire = _Wire.model_validate_json(data)
        return Head(
            Kind(wire.kind),
            _bytes(wire.config_digest, HASH_BYTES),
            wire.round,
            wire.reporter,
            _bytes(wire.body_hash, HASH_BYTES),
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

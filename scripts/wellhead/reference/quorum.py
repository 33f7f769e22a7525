"""What reporters sign and in what order: the twin of Quorum.sol and of the oracle's EIP-712 message."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from eth_abi.abi import encode
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak
from eth_keys.datatypes import Signature
from eth_keys.exceptions import BadSignature
from eth_typing import Hash32
from eth_utils.address import to_canonical_address
from eth_utils.exceptions import ValidationError

from wellhead.reference.eip712 import domain_separator, typed_digest

ORACLE_DOMAIN = ("Wellhead TelemetryOracle", "1")
SIGNATURE_BYTES = 64
MAX_SIGNERS = 31
ZERO_ADDRESS = "0x" + "00" * 20

_REPORT_TYPE = (
    b"Report(bytes32 configDigest,uint24 round,bytes23 root,bytes32 evidenceHash,bytes32 recordsHash)"
)


class QuorumError(ValueError):
    """Signers or signatures that are no quorum. `name` and `values` are those of the contract's custom error.

    `NotASignature` exists here only: bytes of the wrong length given for a single signature.
    """

    def __init__(self, name: str, *values: int | str) -> None:
        super().__init__(f"{name}({', '.join(map(str, values))})")
        self.name = name
        self.values = values


def needed_for(faulty: int) -> int:
    """Signatures needed when up to `faulty` signers lie: k = 2f + 1."""
    return 2 * faulty + 1


def ascending(signers: Iterable[str], faulty: int) -> list[str]:
    """`signers` in the contract's order; QuorumError if the contract would refuse them for `faulty` liars."""
    ordered = sorted(signers, key=to_canonical_address)
    check_signers(ordered, faulty)
    return ordered


def check_signers(signers: Sequence[str], faulty: int) -> None:
    """Raise QuorumError unless the contract would take `signers` as a configuration for `faulty` liars."""
    if not (faulty >= 1 and 3 * faulty + 1 <= len(signers) <= MAX_SIGNERS):
        raise QuorumError("Quorum_Weak", len(signers), faulty)
    previous = ZERO_ADDRESS
    for index, signer in enumerate(signers):
        if to_canonical_address(signer) <= to_canonical_address(previous):
            raise QuorumError("Quorum_SignersNotAscending", index, previous, signer)
        previous = signer


def verify(message_hash: bytes, signatures: bytes, signers: Sequence[str], faulty: int) -> None:
    """Raise QuorumError unless `signatures` are the quorum that the contract wants of `signers`, ascending."""
    required = needed_for(faulty) * SIGNATURE_BYTES
    if len(signatures) != required:
        raise QuorumError("Quorum_WrongSignatureLength", len(signatures), required)
    members = set(map(to_canonical_address, signers))
    previous = ZERO_ADDRESS
    for index in range(needed_for(faulty)):
        signature = signatures[index * SIGNATURE_BYTES : (index + 1) * SIGNATURE_BYTES]
        signer = signer_of(signature, message_hash)
        if signer is None:
            raise QuorumError("Quorum_InvalidSignature", index)
        if to_canonical_address(signer) <= to_canonical_address(previous):
            raise QuorumError("Quorum_SignaturesNotAscending", index, previous, signer)
        if to_canonical_address(signer) not in members:
            raise QuorumError("Quorum_ForeignSigner", index, signer)
        previous = signer


def config_digest(
    chain_id: int, contract: str, config_count: int, faulty: int, signers: Sequence[str]
) -> bytes:
    """Names a configuration of `contract`; `signers` ascending, as the contract keeps them."""
    return keccak(
        encode(
            ["uint256", "address", "uint256", "uint256", "uint256", "address[]"],
            [chain_id, contract, config_count, needed_for(faulty), faulty, list(signers)],
        )
    )


def evidence_hash(evidence: Mapping[str, bytes]) -> bytes:
    """The `evidenceHash` of a report. By reporter: the hash of its raw evidence, then its commitment, 32 bytes each."""
    ordered = sorted((to_canonical_address(reporter), named) for reporter, named in evidence.items())
    return keccak(b"".join(reporter + named for reporter, named in ordered))


def report_hash(
    chain_id: int,
    contract: str,
    digest: bytes,
    round_number: int,
    root: bytes,
    evidence: bytes,
    entries: bytes,
) -> bytes:
    """The 32 bytes that reporters sign.

    `root` is 23 bytes, `evidence` the 32 of `evidence_hash`, `entries` the report's packed records.
    """
    struct = keccak(
        encode(
            ["bytes32", "bytes32", "uint24", "bytes23", "bytes32", "bytes32"],
            [keccak(_REPORT_TYPE), digest, round_number, root, evidence, keccak(entries)],
        )
    )
    return typed_digest(domain_separator(*ORACLE_DOMAIN, chain_id, contract), struct)


def compact_signature(key: LocalAccount, message_hash: bytes) -> bytes:
    """64 bytes by EIP-2098: r, then s with the parity in its top bit."""
    # No prefix is added: the hash is already an EIP-712 digest.
    signed = key.unsafe_sign_hash(Hash32(message_hash))
    return int(signed.r).to_bytes(32, "big") + (int(signed.s) | (signed.v - 27) << 255).to_bytes(32, "big")


def signer_of(signature: bytes, message_hash: bytes) -> str | None:
    """The checksummed address whose key made the compact `signature`; None if no key did.

    Raises QuorumError if the signature is not 64 bytes long.
    """
    if len(signature) != SIGNATURE_BYTES:
        raise QuorumError("NotASignature", len(signature))
    r, parity_and_s = int.from_bytes(signature[:32], "big"), int.from_bytes(signature[32:], "big")
    try:
        made = Signature(vrs=(parity_and_s >> 255, r, parity_and_s & (1 << 255) - 1))
        return made.recover_public_key_from_msg_hash(message_hash).to_checksum_address()
    except (BadSignature, ValidationError):
        return None


def join(signatures: Iterable[bytes], message_hash: bytes) -> bytes:
    """The `signatures` argument: compact signatures in ascending order of their signers, each signer once.

    Raises QuorumError for bytes that no key signed.
    """
    by_signer: dict[bytes, bytes] = {}
    for index, signature in enumerate(signatures):
        signer = signer_of(signature, message_hash)
        if signer is None:
            raise QuorumError("Quorum_InvalidSignature", index)
        by_signer[to_canonical_address(signer)] = signature
    return b"".join(by_signer[signer] for signer in sorted(by_signer))


def sign(message_hash: bytes, keys: Iterable[LocalAccount]) -> bytes:
    """The `signatures` argument, made with `keys`."""
    return join((compact_signature(key, message_hash) for key in keys), message_hash)

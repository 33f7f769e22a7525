"""Signatures of reporters: the EIP-712 message, the order, and what is no quorum."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from wellhead.reference import quorum
from wellhead.reference.quorum import QuorumError

CHAIN_ID = 31337
ORACLE = "0x" + "5F" * 20
DIGEST = bytes(range(32))
ROOT = bytes(range(23))
EVIDENCE = bytes(range(32, 64))
MESSAGE = keccak(b"message")
KEYS: list[LocalAccount] = sorted(
    (Account.from_key(number.to_bytes(32, "big")) for number in range(1, 8)),
    key=lambda key: int(key.address, 16),
)
ADDRESSES = [key.address for key in KEYS]


def test_the_message_is_what_a_wallet_signs() -> None:
    """eth_account's own EIP-712 encoder agrees."""
    message = {
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Report": [
                {"name": "configDigest", "type": "bytes32"},
                {"name": "round", "type": "uint24"},
                {"name": "root", "type": "bytes23"},
                {"name": "evidenceHash", "type": "bytes32"},
                {"name": "recordsHash", "type": "bytes32"},
            ],
        },
        "primaryType": "Report",
        "domain": {
            "name": "Wellhead TelemetryOracle",
            "version": "1",
            "chainId": CHAIN_ID,
            "verifyingContract": ORACLE,
        },
        "message": {
            "configDigest": DIGEST,
            "round": 77,
            "root": ROOT,
            "evidenceHash": EVIDENCE,
            "recordsHash": keccak(b"entries"),
        },
    }
    signable = encode_typed_data(full_message=message)
    expected = keccak(b"\x19" + signable.version + signable.header + signable.body)
    assert quorum.report_hash(CHAIN_ID, ORACLE, DIGEST, 77, ROOT, EVIDENCE, b"entries") == expected


def test_evidence_is_hashed_by_ascending_reporter_however_it_is_given() -> None:
    low, high = sorted(ADDRESSES[:2], key=str.lower)
    joined = bytes.fromhex(low[2:]) + b"\x01" * 64 + bytes.fromhex(high[2:]) + b"\x02" * 64
    for given in ({low: b"\x01" * 64, high: b"\x02" * 64}, {high: b"\x02" * 64, low.lower(): b"\x01" * 64}):
        assert quorum.evidence_hash(given) == keccak(joined)
    assert quorum.evidence_hash({low: b"\x02" * 64, high: b"\x01" * 64}) != keccak(joined)
    assert quorum.evidence_hash({}) == keccak(b"")


def test_every_part_of_a_configuration_is_in_its_digest() -> None:
    base = (CHAIN_ID, ORACLE, 1, 1, ADDRESSES)
    changes = [
        (1, *base[1:]),
        (CHAIN_ID, ADDRESSES[0], *base[2:]),
        (CHAIN_ID, ORACLE, 2, 1, ADDRESSES),
        (CHAIN_ID, ORACLE, 1, 2, ADDRESSES),
        (CHAIN_ID, ORACLE, 1, 1, ADDRESSES[1:]),
    ]
    digests = {quorum.config_digest(*values) for values in (base, *changes)}
    assert len(digests) == 6


def test_signers_are_put_in_the_contracts_order() -> None:
    assert quorum.ascending(reversed(ADDRESSES), 2) == ADDRESSES
    assert quorum.ascending([address.lower() for address in ADDRESSES[::-1]], 1) == [
        address.lower() for address in ADDRESSES
    ]


@pytest.mark.parametrize(("count", "faulty"), [(7, 0), (3, 1), (6, 2), (0, 1), (7, 3)])
def test_a_weak_set_is_refused(count: int, faulty: int) -> None:
    with pytest.raises(QuorumError) as refusal:
        quorum.ascending(ADDRESSES[:count], faulty)
    assert (refusal.value.name, refusal.value.values) == ("Quorum_Weak", (count, faulty))


def test_more_than_thirty_one_signers_are_refused() -> None:
    crowd = [f"0x{number:040x}" for number in range(1, 33)]
    quorum.check_signers(crowd[:31], 10)
    with pytest.raises(QuorumError, match="Quorum_Weak"):
        quorum.check_signers(crowd, 10)


def test_a_repeated_misplaced_or_zero_signer_is_refused() -> None:
    first, second, *rest = ADDRESSES
    for signers, index in (
        ([first, first, *rest], 1),
        ([second, first, *rest], 1),
        (["0x" + "00" * 20, *ADDRESSES], 0),
    ):
        with pytest.raises(QuorumError) as refusal:
            quorum.check_signers(signers, 1)
        assert refusal.value.name == "Quorum_SignersNotAscending"
        assert refusal.value.values[0] == index
    with pytest.raises(QuorumError, match="Quorum_SignersNotAscending"):
        quorum.ascending([first, *ADDRESSES], 1)


def test_a_compact_signature_tells_its_signer() -> None:
    for key in KEYS:
        signature = quorum.compact_signature(key, MESSAGE)
        assert len(signature) == 64
        assert quorum.signer_of(signature, MESSAGE) == key.address
        assert quorum.signer_of(signature, keccak(b"other")) != key.address


@pytest.mark.parametrize("garbage", [bytes(64), b"\xff" * 64, bytes(63) + b"\x01"])
def test_garbage_has_no_signer(garbage: bytes) -> None:
    assert quorum.signer_of(garbage, MESSAGE) is None
    with pytest.raises(QuorumError, match="Quorum_InvalidSignature"):
        quorum.join([garbage], MESSAGE)


@pytest.mark.parametrize("length", [0, 63, 65])
def test_a_signature_has_64_bytes(length: int) -> None:
    with pytest.raises(QuorumError, match="NotASignature"):
        quorum.signer_of(bytes(length), MESSAGE)


def test_signatures_ascend_by_signer_whatever_order_they_came_in() -> None:
    signatures = quorum.sign(MESSAGE, reversed(KEYS[:3]))
    assert signatures == quorum.sign(MESSAGE, KEYS[:3])
    assert signatures == quorum.sign(MESSAGE, [*KEYS[:3], KEYS[0]])  # each signer once
    quorum.verify(MESSAGE, signatures, ADDRESSES, 1)


def refusal_of(signatures: bytes, signers: list[str]) -> tuple[object, ...]:
    with pytest.raises(QuorumError) as refusal:
        quorum.verify(MESSAGE, signatures, signers, 1)
    return refusal.value.name, *refusal.value.values


def test_what_is_no_quorum_is_named() -> None:
    one, two, three, four = (quorum.compact_signature(key, MESSAGE) for key in KEYS[:4])
    assert refusal_of(one + two, ADDRESSES) == ("Quorum_WrongSignatureLength", 128, 192)
    assert refusal_of(one + two + three + four, ADDRESSES) == ("Quorum_WrongSignatureLength", 256, 192)
    assert refusal_of(one + two + two, ADDRESSES) == (
        "Quorum_SignaturesNotAscending",
        2,
        ADDRESSES[1],
        ADDRESSES[1],
    )
    assert refusal_of(two + one + three, ADDRESSES)[:2] == ("Quorum_SignaturesNotAscending", 1)
    assert refusal_of(one + two + three, ADDRESSES[1:]) == ("Quorum_ForeignSigner", 0, ADDRESSES[0])
    assert refusal_of(one + two + bytes(64), ADDRESSES) == ("Quorum_InvalidSignature", 2)

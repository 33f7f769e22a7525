"""Signing what MockUSD takes by signature, for the tests of every contract that moves stablecoins so."""

from __future__ import annotations

from typing import Any, NamedTuple

from eth_account.datastructures import SignedMessage
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract

FOREVER = 2**256 - 1
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141

TRANSFER_FIELDS = [
    {"name": "from", "type": "address"},
    {"name": "to", "type": "address"},
    {"name": "value", "type": "uint256"},
    {"name": "validAfter", "type": "uint256"},
    {"name": "validBefore", "type": "uint256"},
    {"name": "nonce", "type": "bytes32"},
]
TYPES = {
    "TransferWithAuthorization": TRANSFER_FIELDS,
    "ReceiveWithAuthorization": TRANSFER_FIELDS,
    "CancelAuthorization": [
        {"name": "authorizer", "type": "address"},
        {"name": "nonce", "type": "bytes32"},
    ],
    "Permit": [
        {"name": "owner", "type": "address"},
        {"name": "spender", "type": "address"},
        {"name": "value", "type": "uint256"},
        {"name": "nonce", "type": "uint256"},
        {"name": "deadline", "type": "uint256"},
    ],
}


class Authorization(NamedTuple):
    """The terms of an EIP-3009 transfer, in the order of the contract's parameters."""

    payer: str
    to: str
    value: int
    valid_after: int = 0
    valid_before: int = FOREVER
    nonce: bytes = b"\x01" * 32

    def message(self) -> dict[str, Any]:
        names = [field["name"] for field in TRANSFER_FIELDS]
        return dict(zip(names, self, strict=True))


def sign(usd: Contract, key: LocalAccount, primary_type: str, message: dict[str, Any]) -> SignedMessage:
    """`key`'s EIP-712 signature under the domain that `usd` states of itself."""
    domain = {
        "name": usd.functions.name().call(),
        "version": usd.functions.version().call(),
        "chainId": usd.w3.eth.chain_id,
        "verifyingContract": usd.address,
    }
    return key.sign_typed_data(domain, {primary_type: TYPES[primary_type]}, message)


def vrs(signed: SignedMessage) -> tuple[int, bytes, bytes]:
    """The signature in three parts."""
    return signed.v, signed.r.to_bytes(32, "big"), signed.s.to_bytes(32, "big")


def mirrored(signed: SignedMessage) -> tuple[int, bytes, bytes]:
    """The other signature that the curve accepts for the same message: its `s` is high."""
    high_s = SECP256K1_ORDER - signed.s
    return 27 + 28 - signed.v, signed.r.to_bytes(32, "big"), high_s.to_bytes(32, "big")


def smart_wallet_signature(signed: SignedMessage) -> bytes:
    """What tests/doubles/SmartWallet accepts from its key."""
    return b"\x77" + bytes(signed.signature)


def domain_separator(usd: Contract) -> bytes:
    """The separator computed from the EIP's definition alone."""
    kind = Web3.keccak(
        text="EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
    )
    encoded = usd.w3.codec.encode(
        ["bytes32", "bytes32", "bytes32", "uint256", "address"],
        [kind, Web3.keccak(text="Mock USD"), Web3.keccak(text="2"), usd.w3.eth.chain_id, usd.address],
    )
    return bytes(Web3.keccak(encoded))

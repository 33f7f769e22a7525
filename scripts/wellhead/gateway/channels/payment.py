"""What a customer pays with by `batch-settlement`, read from its PAYMENT-SIGNATURE header. Pure.

Shapes are the x402 v2 scheme's. Whether the channel, the amounts and the signature are right is judged elsewhere;
here a payment only becomes readable, or is refused as unreadable.
"""

from __future__ import annotations

import binascii
from enum import StrEnum
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import msgspec
from eth_utils.address import to_checksum_address
from x402.mechanisms.evm.batch_settlement.constants import SCHEME_BATCH_SETTLEMENT

from wellhead.reference.channel import MAX_AMOUNT, ChannelConfig

MAX_HEADER_BYTES = 16_384
MAX_DIGITS = len(str(MAX_AMOUNT))
KNOWN_CONFIGS = 100_000


class Kind(StrEnum):
    """What the payer side sends: money and a voucher, a voucher, or the wish to have money back."""

    DEPOSIT = "deposit"
    VOUCHER = "voucher"
    REFUND = "refund"


class UnreadablePaymentError(ValueError):
    """The header holds no payment of this scheme; the message names the part."""


class ChannelPayment(NamedTuple):
    """A payment as it was sent. Amounts are atomic units."""

    kind: Kind
    network: str
    # What the payer side takes the call to cost at most.
    accepted_amount: int
    config: ChannelConfig
    claimed_channel_id: bytes
    max_claimable_amount: int
    signature: bytes
    deposit_amount: int
    # None asks for all that is left; meaningful with a refund alone.
    refund_amount: int | None
    # Ours, beside the scheme's fields: the payer side has several calls under way on this channel.
    concurrent: bool
    # The whole payload as it came, for the facilitator's part of the work.
    payload: dict[str, Any]


class _Accepted(msgspec.Struct):
    scheme: str
    network: str
    amount: str


class _Config(msgspec.Struct, frozen=True, rename="camel"):
    payer: str
    payer_authorizer: str
    receiver: str
    receiver_authorizer: str
    token: str
    withdraw_delay: int | str
    salt: str


class _Voucher(msgspec.Struct, rename="camel"):
    channel_id: str
    max_claimable_amount: str
    signature: str


class _Deposit(msgspec.Struct):
    amount: str


class _Payload(msgspec.Struct, rename="camel"):
    type: Kind
    channel_config: _Config
    voucher: _Voucher
    deposit: _Deposit | None = None
    amount: str | None = None
    concurrent: bool | None = None


class _Document(msgspec.Struct):
    version: Literal[2] = msgspec.field(name="x402Version")
    accepted: _Accepted
    payload: _Payload


def scheme_of(document: dict[str, Any]) -> str:
    """The scheme that a decoded header pays by. Raises UnreadablePaymentError."""
    accepted = document.get("accepted")
    scheme = accepted.get("scheme") if isinstance(accepted, dict) else None
    if not isinstance(scheme, str):
        raise UnreadablePaymentError(f"accepted.scheme is {scheme!r}, no text")
    return scheme


def decode(header: str) -> dict[str, Any]:
    """The JSON object in a payment header. Raises UnreadablePaymentError."""
    if len(header) > MAX_HEADER_BYTES:
        raise UnreadablePaymentError(f"{len(header)} characters are more than {MAX_HEADER_BYTES}")
    try:
        document = msgspec.json.decode(binascii.a2b_base64(header, strict_mode=True))
    except (ValueError, RecursionError, msgspec.DecodeError) as error:
        raise UnreadablePaymentError(f"no base64 of JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnreadablePaymentError("no JSON object")
    return document


def read(document: dict[str, Any]) -> ChannelPayment:
    """The payment in a decoded header. Raises UnreadablePaymentError."""
    try:
        read = msgspec.convert(document, _Document)
    except msgspec.ValidationError as error:
        raise UnreadablePaymentError(str(error)) from None
    accepted, payload, voucher = read.accepted, read.payload, read.payload.voucher
    if accepted.scheme != SCHEME_BATCH_SETTLEMENT:
        raise UnreadablePaymentError(f"accepted.scheme is {accepted.scheme!r}")
    deposit_amount, refund_amount = 0, None
    if payload.type is Kind.DEPOSIT:
        if payload.deposit is None:
            raise UnreadablePaymentError("a deposit without payload.deposit")
        deposit_amount = _amount(payload.deposit.amount, "deposit.amount")
    elif payload.type is Kind.REFUND and payload.amount is not None:
        refund_amount = _amount(payload.amount, "amount")
    return ChannelPayment(
        kind=payload.type,
        network=accepted.network,
        accepted_amount=_amount(accepted.amount, "accepted.amount"),
        config=_channel_config(payload.channel_config),
        claimed_channel_id=_hex(voucher.channel_id, "channelId", 32),
        max_claimable_amount=_amount(voucher.max_claimable_amount, "maxClaimableAmount"),
        signature=_hex(voucher.signature, "signature"),
        deposit_amount=deposit_amount,
        refund_amount=refund_amount,
        concurrent=payload.concurrent is True,
        payload=document["payload"],
    )


@lru_cache(KNOWN_CONFIGS)
def _channel_config(read: _Config) -> ChannelConfig:
    """Checksums are a hash each, and a channel's configuration never changes."""
    delay = read.withdraw_delay
    if isinstance(delay, str) and delay.isdecimal() and len(delay) <= MAX_DIGITS:
        delay = int(delay)
    if not isinstance(delay, int) or not 0 <= delay < 2**40:
        raise UnreadablePaymentError(f"withdrawDelay is {delay!r}, not seconds below 2^40")
    return ChannelConfig(
        payer=_address(read.payer),
        payer_authorizer=_address(read.payer_authorizer),
        receiver=_address(read.receiver),
        receiver_authorizer=_address(read.receiver_authorizer),
        token=_address(read.token),
        withdraw_delay=delay,
        salt=_hex(read.salt, "salt", 32),
    )


def _address(text: str) -> str:
    return to_checksum_address(_hex(text, "address", 20))


def _amount(digits: str, name: str) -> int:
    """Decimal digits, no sign, no fraction: what the scheme writes amounts in."""
    if digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS:
        amount = int(digits)
        if amount <= MAX_AMOUNT:
            return amount
    raise UnreadablePaymentError(f"{name} is {digits[:50]!r}, not a whole number of atomic units below 2^128")


def _hex(text: str, name: str, length: int | None = None) -> bytes:
    try:
        value = bytes.fromhex(text[2:]) if text.startswith("0x") and " " not in text else None
    except ValueError:
        value = None
    if value is None or (length is not None and len(value) != length):
        expected = "bytes" if length is None else f"{length} bytes"
        raise UnreadablePaymentError(f"{name} is {text[:80]!r}, not {expected} in hexadecimal after 0x")
    return value

"""What a customer pays with by `batch-settlement`, read from its PAYMENT-SIGNATURE header. Pure.

Shapes are the x402 v2 scheme's. Whether the channel, the amounts and the signature are right is judged elsewhere;
here a payment only becomes readable, or is refused as unreadable.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from enum import StrEnum
from functools import lru_cache
from typing import Any, NamedTuple

import orjson
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
    accepted: dict[str, Any]


def scheme_of(document: dict[str, Any]) -> str:
    """The scheme that a decoded header pays by. Raises UnreadablePaymentError."""
    return _text(_object(document, "accepted"), "scheme")


def decode(header: str) -> dict[str, Any]:
    """The JSON object in a payment header. Raises UnreadablePaymentError."""
    if len(header) > MAX_HEADER_BYTES:
        raise UnreadablePaymentError(f"{len(header)} characters are more than {MAX_HEADER_BYTES}")
    try:
        document = orjson.loads(b64decode(header, validate=True))
    except (binascii.Error, ValueError) as error:
        raise UnreadablePaymentError(f"no base64 of JSON: {error}") from None
    if not isinstance(document, dict):
        raise UnreadablePaymentError("no JSON object")
    return document


def read(document: dict[str, Any]) -> ChannelPayment:
    """The payment in a decoded header. Raises UnreadablePaymentError."""
    if document.get("x402Version") != 2:
        raise UnreadablePaymentError(f"x402Version is {document.get('x402Version')!r}, this gateway speaks 2")
    accepted, payload = _object(document, "accepted"), _object(document, "payload")
    scheme = _text(accepted, "scheme")
    if scheme != SCHEME_BATCH_SETTLEMENT:
        raise UnreadablePaymentError(f"accepted.scheme is {scheme!r}")
    try:
        kind = Kind(_text(payload, "type"))
    except ValueError:
        raise UnreadablePaymentError(f"payload.type is {payload['type']!r}") from None
    voucher = _object(payload, "voucher")
    deposit_amount = 0
    if kind is Kind.DEPOSIT:
        deposit_amount = _amount(_object(payload, "deposit"), "amount")
    refund_amount = None
    if kind is Kind.REFUND and payload.get("amount") is not None:
        refund_amount = _amount(payload, "amount")
    return ChannelPayment(
        kind=kind,
        network=_text(accepted, "network"),
        accepted_amount=_amount(accepted, "amount"),
        config=_config(_object(payload, "channelConfig")),
        claimed_channel_id=_bytes(voucher, "channelId", 32),
        max_claimable_amount=_amount(voucher, "maxClaimableAmount"),
        signature=_bytes(voucher, "signature"),
        deposit_amount=deposit_amount,
        refund_amount=refund_amount,
        concurrent=payload.get("concurrent") is True,
        payload=payload,
        accepted=accepted,
    )


def _config(fields: dict[str, Any]) -> ChannelConfig:
    names = ("payer", "payerAuthorizer", "receiver", "receiverAuthorizer", "token")
    delay = fields.get("withdrawDelay")
    if isinstance(delay, str) and delay.isdecimal() and len(delay) <= MAX_DIGITS:
        delay = int(delay)
    if not isinstance(delay, int) or isinstance(delay, bool) or not 0 <= delay < 2**40:
        raise UnreadablePaymentError(f"withdrawDelay is {delay!r}, not seconds below 2^40")
    return _known_config(*(_text(fields, name) for name in names), delay, _text(fields, "salt"))


@lru_cache(KNOWN_CONFIGS)
def _known_config(
    payer: str, payer_authorizer: str, receiver: str, authorizer: str, token: str, delay: int, salt: str
) -> ChannelConfig:
    """Checksums are a hash each, and a channel's configuration never changes."""
    return ChannelConfig(
        payer=_address(payer),
        payer_authorizer=_address(payer_authorizer),
        receiver=_address(receiver),
        receiver_authorizer=_address(authorizer),
        token=_address(token),
        withdraw_delay=delay,
        salt=_hex(salt, "salt", 32),
    )


def _address(text: str) -> str:
    return to_checksum_address(_hex(text, "address", 20))


def _object(document: dict[str, Any], name: str) -> dict[str, Any]:
    value = document.get(name)
    if not isinstance(value, dict):
        raise UnreadablePaymentError(f"{name} is no object")
    return value


def _text(document: dict[str, Any], name: str) -> str:
    value = document.get(name)
    if not isinstance(value, str):
        raise UnreadablePaymentError(f"{name} is {value!r}, no text")
    return value


def _amount(document: dict[str, Any], name: str) -> int:
    """Decimal digits, no sign, no fraction: what the scheme writes amounts in."""
    digits = _text(document, name)
    if (
        not (digits.isascii() and digits.isdecimal() and len(digits) <= MAX_DIGITS)
        or int(digits) > MAX_AMOUNT
    ):
        raise UnreadablePaymentError(
            f"{name} is {digits[:50]!r}, not a whole number of atomic units below 2^128"
        )
    return int(digits)


def _bytes(document: dict[str, Any], name: str, length: int | None = None) -> bytes:
    return _hex(_text(document, name), name, length)


def _hex(text: str, name: str, length: int | None = None) -> bytes:
    try:
        value = bytes.fromhex(text[2:]) if text.startswith("0x") and " " not in text else None
    except ValueError:
        value = None
    if value is None or (length is not None and len(value) != length):
        expected = "bytes" if length is None else f"{length} bytes"
        raise UnreadablePaymentError(f"{name} is {text[:80]!r}, not {expected} in hexadecimal after 0x")
    return value

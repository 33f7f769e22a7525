"""Whose signature a voucher carries: the hot path of every paid call, so domain and channel ids are computed once.

Equal to `wellhead.reference.channel` and to the x402 package; tests compare the three. Only the one form of signature
passes that x402's contract takes: another would be served here and refused on the chain.
"""

from __future__ import annotations

from functools import lru_cache

from coincurve import PublicKey
from sha3 import keccak_256  # eth-hash's default takes nine times as long, three times per voucher

from wellhead.reference import channel
from wellhead.reference.channel import ChannelConfig


def _keccak(data: bytes) -> bytes:
    digest: bytes = keccak_256(data).digest()
    return digest


SIGNATURE_BYTES = 65
KNOWN_CHANNELS = 100_000
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0
_VOUCHER_TYPEHASH = _keccak(channel.VOUCHER_TYPE)


class VoucherDomain:
    """Vouchers of one settlement contract on one chain."""

    def __init__(self, chain_id: int, settlement: str) -> None:
        self._domain = channel.settlement_domain(chain_id, settlement)
        self._prefix = b"\x19\x01" + self._domain
        self.channel_id = lru_cache(KNOWN_CHANNELS)(self._channel_id)

    def _channel_id(self, config: ChannelConfig) -> bytes:
        """The id of the channel that `config` describes."""
        return channel.channel_id(self._domain, config)

    def signer(self, channel_id: bytes, max_claimable_amount: int, signature: bytes) -> bytes | None:
        """The 20-byte address whose key signed this ceiling for this channel; None if none did in the one form."""
        struct_hash = _keccak(_VOUCHER_TYPEHASH + channel_id + max_claimable_amount.to_bytes(32, "big"))
        return recover(_keccak(self._prefix + struct_hash), signature)


def recover(digest: bytes, signature: bytes) -> bytes | None:
    """The 20-byte address whose key signed `digest`: 65 bytes r, s, v with low s and v of 27 or 28; else None."""
    if len(signature) != SIGNATURE_BYTES or int.from_bytes(signature[32:64], "big") > _HALF_ORDER:
        return None
    parity = signature[64] - 27
    if parity not in (0, 1):
        return None
    try:
        key = PublicKey.from_signature_and_message(signature[:64] + bytes([parity]), digest, hasher=None)
    except ValueError:  # r is no point of the curve, or r or s is zero
        return None
    return _keccak(key.format(compressed=False)[1:])[12:]

"""The dense batches of claims that SettleRouter takes: the twin of DenseClaims.sol. ISettleRouter says what each byte
means.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from itertools import groupby
from typing import NamedTuple

from eth_utils.address import to_checksum_address

from wellhead.reference.channel import ChannelConfig

NOBODY = "0x" + "00" * 20
MAX_RECEIVERS = 255
MAX_ROWS_PER_RECEIVER = 2**16 - 1

_HEADER = 46
_RECEIVER = 23
_NO_AUTHORIZER, _PAYER, _OTHER_AUTHORIZER = 0, 1, 2
_AUTHORIZER, _SALT, _AS_IT_IS = 3, 4, 8
_HALF_ORDER = 0x7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF5D576E7357A4501DDFE92F46681B20A0


class SignedClaim(NamedTuple):
    """A VoucherClaim: what its voucher allows, and what is claimed on it, in all. Atomic units of the token."""

    config: ChannelConfig
    ceiling: int
    signature: bytes
    total_claimed: int

    @property
    def abi(self) -> tuple[tuple[ChannelConfig, int], bytes, int]:
        """As `claim` and `claimWithSignature` take it."""
        return (self.config, self.ceiling), self.signature, self.total_claimed


class DenseBatch(NamedTuple):
    """What a batch says: claims in order, and each receiver with whether it is synced and how many rows it has."""

    claims: list[SignedClaim]
    receivers: list[tuple[str, bool, int]]


class DenseClaimsError(ValueError):
    """What the contract reverts with: its custom error's name without `DenseClaims_`, and the values."""

    def __init__(self, name: str, *values: int) -> None:
        super().__init__(f"{name}({', '.join(map(str, values))})")
        self.name = name
        self.values = values


# Writing ----------------------------------------------------------------------------------------------------


def encode_claims(claims: Sequence[SignedClaim], synced: Collection[str] = ()) -> bytes:
    """A batch of `claims` in this order, which is the order that the receiver authorizer signs.

    Claims that lie together share their receiver's entry, and its slot on chain is written once for them: sort by
    receiver. `synced` are the receivers to call `sync` on. Raises ValueError for what no batch can say.
    """
    if not claims:
        raise ValueError("a batch has claims")
    shared = {_shared(claim.config) for claim in claims}
    if len(shared) > 1:
        raise ValueError("the claims of a batch agree in receiver authorizer, token and withdrawal delay")
    groups = [(receiver, list(rows)) for receiver, rows in groupby(claims, key=_receiver)]
    if len(groups) > MAX_RECEIVERS or max(len(rows) for _, rows in groups) > MAX_ROWS_PER_RECEIVER:
        raise ValueError(f"at most {MAX_RECEIVERS} receivers and {MAX_ROWS_PER_RECEIVER} rows of each")
    authorizer, token, delay = shared.pop()
    header = _address(authorizer) + _address(token) + delay.to_bytes(5, "big") + bytes([len(groups)])
    table = b"".join(
        _address(receiver) + bytes([receiver in synced]) + len(rows).to_bytes(2, "big")
        for receiver, rows in groups
    )
    return header + table + b"".join(map(_row, claims))


def _shared(config: ChannelConfig) -> tuple[str, str, int]:
    return config.receiver_authorizer, config.token, config.withdraw_delay


def _receiver(claim: SignedClaim) -> str:
    return claim.config.receiver


def _address(address: str) -> bytes:
    return bytes.fromhex(address[2:])


def _row(claim: SignedClaim) -> bytes:
    config = claim.config
    most = max(claim.total_claimed, claim.ceiling)
    width = max(1, -(-most.bit_length() // 8))
    if width > 16:
        raise ValueError(f"{most} is no amount")
    flags = (width - 1) << 4
    row = _address(config.payer)
    if config.payer_authorizer == config.payer:
        flags |= _PAYER
    elif config.payer_authorizer != NOBODY:
        flags |= _OTHER_AUTHORIZER
        row += _address(config.payer_authorizer)
    if any(config.salt):
        flags |= _SALT
        row += config.salt
    row += claim.total_claimed.to_bytes(width, "big") + claim.ceiling.to_bytes(width, "big")
    compact = _compact(claim.signature)
    if compact is None:
        flags |= _AS_IT_IS
        row += len(claim.signature).to_bytes(2, "big") + claim.signature
    else:
        row += compact
    return bytes([flags]) + row


def _compact(signature: bytes) -> bytes | None:
    """EIP-2098's form of a standard signature; None for anything else."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        return None
    s = int.from_bytes(signature[32:64], "big")
    if s > _HALF_ORDER:
        return None
    return signature[:32] + (s | (signature[64] - 27) << 255).to_bytes(32, "big")


# Reading ----------------------------------------------------------------------------------------------------


def decode_claims(batch: bytes) -> DenseBatch:
    """What the contract makes of `batch`. Raises DenseClaimsError where it reverts."""
    if len(batch) < _HEADER:
        raise DenseClaimsError("Truncated", 0)
    authorizer, token = _read_address(batch, 0), _read_address(batch, 20)
    delay, count = int.from_bytes(batch[40:45], "big"), batch[45]
    offset = _HEADER + count * _RECEIVER
    if len(batch) < offset:
        raise DenseClaimsError("Truncated", _HEADER)
    receivers = [_read_receiver(batch, _HEADER + index * _RECEIVER) for index in range(count)]
    claims = []
    for receiver, _, rows in receivers:
        for _ in range(rows):
            claim, offset = _read_row(batch, offset, receiver, authorizer, token, delay)
            claims.append(claim)
    if offset != len(batch):
        raise DenseClaimsError("TrailingBytes", offset)
    return DenseBatch(claims, receivers)


def _read_address(batch: bytes, offset: int) -> str:
    return str(to_checksum_address(batch[offset : offset + 20]))


def _read_receiver(batch: bytes, offset: int) -> tuple[str, bool, int]:
    flag = batch[offset + 20]
    if flag > 1:
        raise DenseClaimsError("UnknownSyncFlag", offset + 20, flag)
    rows = int.from_bytes(batch[offset + 21 : offset + 23], "big")
    return _read_address(batch, offset), flag == 1, rows


def _read_row(
    batch: bytes, start: int, receiver: str, authorizer: str, token: str, delay: int
) -> tuple[SignedClaim, int]:
    """The row that starts at `start`, and where the next one does."""
    offset = start

    def take(size: int) -> bytes:
        nonlocal offset
        offset += size
        if offset > len(batch):
            raise DenseClaimsError("Truncated", start)
        return batch[offset - size : offset]

    flags = take(1)[0]
    if flags & _AUTHORIZER == _AUTHORIZER:
        raise DenseClaimsError("UnknownFlags", start, flags)
    payer = str(to_checksum_address(take(20)))
    payer_authorizer = payer if flags & _AUTHORIZER == _PAYER else NOBODY
    if flags & _AUTHORIZER == _OTHER_AUTHORIZER:
        payer_authorizer = str(to_checksum_address(take(20)))
    salt = take(32) if flags & _SALT else bytes(32)
    width = (flags >> 4) + 1
    total, ceiling = int.from_bytes(take(width), "big"), int.from_bytes(take(width), "big")
    if flags & _AS_IT_IS:
        signature = take(int.from_bytes(take(2), "big"))
    else:
        r, s = take(32), int.from_bytes(take(32), "big")
        signature = r + (s & 2**255 - 1).to_bytes(32, "big") + bytes([27 + (s >> 255)])
    config = ChannelConfig(payer, payer_authorizer, receiver, authorizer, token, delay, salt)
    return SignedClaim(config, ceiling, signature, total), offset

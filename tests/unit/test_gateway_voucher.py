"""The gateway's fast check of vouchers: the same signers as everyone else finds, and nothing that the chain refuses."""

from __future__ import annotations

import random

import pytest
from eth_account import Account
from eth_account.messages import encode_typed_data
from eth_typing import Hash32
from x402.mechanisms.evm.batch_settlement.constants import BATCH_SETTLEMENT_ADDRESS, VOUCHER_TYPES
from x402.mechanisms.evm.batch_settlement.utils import get_batch_settlement_eip712_domain

from wellhead.gateway.channels.voucher import VoucherDomain
from wellhead.reference import channel
from wellhead.reference.channel import ChannelConfig

CHAIN_ID = 31_337
ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
ACCOUNT = Account.from_key("0x" + "11" * 32)
VOUCHERS = VoucherDomain(CHAIN_ID, BATCH_SETTLEMENT_ADDRESS)
CHANNEL = b"\x42" * 32


def sign(ceiling: int, channel_id: bytes = CHANNEL, chain_id: int = CHAIN_ID) -> bytes:
    domain = channel.settlement_domain(chain_id, BATCH_SETTLEMENT_ADDRESS)
    digest = channel.voucher_digest(domain, channel_id, ceiling)
    return bytes(ACCOUNT.unsafe_sign_hash(Hash32(digest)).signature)


def test_finds_the_signer_of_the_packages_vouchers() -> None:
    source = random.Random(402)
    for _ in range(20):
        account, ceiling = Account.from_key(source.randbytes(32)), source.randrange(2**128)
        message = {"channelId": CHANNEL, "maxClaimableAmount": ceiling}
        domain = get_batch_settlement_eip712_domain(CHAIN_ID)
        signed = account.sign_message(
            encode_typed_data(domain_data=domain, message_types=VOUCHER_TYPES, message_data=message)
        )
        assert VOUCHERS.signer(CHANNEL, ceiling, bytes(signed.signature)) == bytes.fromhex(
            account.address[2:]
        )


def test_channel_ids_are_the_twins() -> None:
    config = ChannelConfig(*[ACCOUNT.address] * 5, 900, bytes(32))
    domain = channel.settlement_domain(CHAIN_ID, BATCH_SETTLEMENT_ADDRESS)
    assert VOUCHERS.channel_id(config) == channel.channel_id(domain, config)


@pytest.mark.parametrize(
    "signature",
    [
        pytest.param(sign(6), id="another ceiling"),
        pytest.param(sign(5, channel_id=b"\x43" * 32), id="another channel"),
        pytest.param(sign(5, chain_id=1), id="another chain"),
    ],
)
def test_a_voucher_for_something_else_has_another_signer(signature: bytes) -> None:
    assert VOUCHERS.signer(CHANNEL, 5, signature) != bytes.fromhex(ACCOUNT.address[2:])


def mangled() -> dict[str, bytes]:
    whole = sign(5)
    r, s, v = whole[:32], int.from_bytes(whole[32:64], "big"), whole[64]
    return {
        "empty": b"",
        "zeros": bytes(64) + b"\x1b",
        "short": whole[:64],
        "long": whole + b"\0",
        "high s": r + (ORDER - s).to_bytes(32, "big") + bytes([55 - v]),
        "compact": r + (s | (v - 27) << 255).to_bytes(32, "big"),
        "v of 0 or 1": whole[:64] + bytes([v - 27]),
        "v of 29": whole[:64] + b"\x1d",
        "r beyond the order": b"\xff" * 32 + whole[32:],
    }


@pytest.mark.parametrize("how", list(mangled()))
def test_what_the_chain_refuses_has_no_signer(how: str) -> None:
    assert VOUCHERS.signer(CHANNEL, 5, mangled()[how]) is None

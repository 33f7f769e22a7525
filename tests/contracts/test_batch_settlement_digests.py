"""Ids and digests: contract, twin and the x402 package agree on every byte."""

from __future__ import annotations

import random

import pytest
from eth_account.messages import encode_typed_data
from settlement_stage import SettlementStage, raise_settlement_stage
from web3 import Web3
from x402.mechanisms.evm.batch_settlement import constants as x402
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as X402ChannelConfig
from x402.mechanisms.evm.batch_settlement.utils import (
    compute_channel_id,
    get_batch_settlement_eip712_domain,
)

from wellhead.reference import channel as twin
from wellhead.reference.channel import ChannelConfig, ClaimRow
from wellhead.reference.eip712 import typed_digest

SEED = 402


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> SettlementStage:
    return raise_settlement_stage(w3, deploy, send, actors, keys, compiled)


def random_config(source: random.Random) -> ChannelConfig:
    addresses = [Web3.to_checksum_address(source.randbytes(20)) for _ in range(5)]
    return ChannelConfig(*addresses, source.randrange(2**40), source.randbytes(32))


def theirs(stage: SettlementStage, kinds: dict, message: dict) -> bytes:
    """A digest by x402's types and eth_account."""
    domain = get_batch_settlement_eip712_domain(stage.w3.eth.chain_id)
    signable = encode_typed_data(domain_data=domain, message_types=kinds, message_data=message)
    return bytes(Web3.keccak(b"\x19" + signable.version + signable.header + signable.body))


def test_channel_ids_are_the_packages(stage):
    source = random.Random(SEED)
    for _ in range(20):
        config = random_config(source)
        fields = X402ChannelConfig(
            payer=config.payer,
            payer_authorizer=config.payer_authorizer,
            receiver=config.receiver,
            receiver_authorizer=config.receiver_authorizer,
            token=config.token,
            withdraw_delay=config.withdraw_delay,
            salt="0x" + config.salt.hex(),
        )
        expected = bytes.fromhex(compute_channel_id(fields, stage.w3.eth.chain_id)[2:])
        assert stage.channel_id(config) == expected
        assert stage.functions.getChannelId(tuple(config)).call() == expected


def test_digests_are_the_packages(stage):
    source = random.Random(SEED + 1)
    for _ in range(10):
        channel, amount, nonce = source.randbytes(32), source.randrange(2**128), source.randrange(2**256)
        voucher = twin.voucher_digest(stage.domain, channel, amount)
        message = {"channelId": channel, "maxClaimableAmount": amount}
        assert voucher == theirs(stage, x402.VOUCHER_TYPES, message)
        assert voucher == stage.functions.getVoucherDigest(channel, amount).call()

        refund = twin.refund_digest(stage.domain, channel, nonce, amount)
        message = {"channelId": channel, "nonce": nonce, "amount": amount}
        assert refund == theirs(stage, x402.REFUND_TYPES, message)
        assert refund == stage.functions.getRefundDigest(channel, nonce, amount).call()


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_batches_are_the_packages(stage, count):
    source = random.Random(SEED + count)
    configs = [random_config(source) for _ in range(count)]
    rows = [
        ClaimRow(stage.channel_id(config), source.randrange(2**128), source.randrange(2**128))
        for config in configs
    ]
    claims = [
        {
            "channelId": row.channel_id,
            "maxClaimableAmount": row.max_claimable_amount,
            "totalClaimed": row.total_claimed,
        }
        for row in rows
    ]
    digest = twin.claim_batch_digest(stage.domain, rows)
    assert digest == theirs(stage, x402.CLAIM_BATCH_TYPES, {"claims": claims})
    on_chain = [
        ((tuple(config), row.max_claimable_amount), b"", row.total_claimed)
        for config, row in zip(configs, rows, strict=True)
    ]
    assert stage.functions.getClaimBatchDigest(on_chain).call() == digest


def test_the_domain_is_the_standards(stage):
    assert stage.domain == twin.settlement_domain(stage.w3.eth.chain_id, x402.BATCH_SETTLEMENT_ADDRESS)
    struct = bytes(Web3.keccak(text="anything"))
    assert typed_digest(stage.domain, struct) == bytes(Web3.keccak(b"\x19\x01" + stage.domain + struct))

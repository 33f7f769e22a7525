"""Reading payments by batch-settlement: what the package writes is read, and rubbish is named."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import Any

import pytest
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as X402ChannelConfig
from x402.mechanisms.evm.batch_settlement.types import RefundPayload, VoucherFields, VoucherPayload

from wellhead.gateway.channels.payment import (
    MAX_HEADER_BYTES,
    Kind,
    UnreadablePaymentError,
    decode,
    read,
    scheme_of,
)
from wellhead.reference.channel import ChannelConfig

ADDRESS = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
NOBODY = "0x" + "00" * 20
CONFIG = {
    "payer": ADDRESS,
    "payerAuthorizer": NOBODY,
    "receiver": ADDRESS.lower(),
    "receiverAuthorizer": ADDRESS,
    "token": ADDRESS,
    "withdrawDelay": 900,
    "salt": "0x" + "00" * 32,
}
VOUCHER = {"channelId": "0x" + "ab" * 32, "maxClaimableAmount": "1500", "signature": "0x" + "cd" * 65}


def document(**payload: Any) -> dict[str, Any]:
    return {
        "x402Version": 2,
        "accepted": {"scheme": "batch-settlement", "network": "eip155:31337", "amount": "1500"},
        "payload": {"type": "voucher", "channelConfig": CONFIG, "voucher": VOUCHER, **payload},
    }


def header(content: Any) -> str:
    return b64encode(json.dumps(content).encode()).decode()


def test_a_voucher_is_read() -> None:
    payment = read(decode(header(document())))
    assert payment.kind is Kind.VOUCHER
    assert payment.network == "eip155:31337"
    assert payment.config == ChannelConfig(ADDRESS, NOBODY, ADDRESS, ADDRESS, ADDRESS, 900, bytes(32))
    assert payment.claimed_channel_id == b"\xab" * 32
    assert payment.max_claimable_amount == 1_500
    assert payment.signature == b"\xcd" * 65


def test_a_deposit_is_read() -> None:
    payment = read(document(type="deposit", deposit={"amount": "9000", "authorization": {}}))
    assert (payment.kind, payment.deposit_amount) == (Kind.DEPOSIT, 9_000)


@pytest.mark.parametrize(("amount", "expected"), [({}, None), ({"amount": "30"}, 30)])
def test_a_refund_is_read(amount: dict[str, str], expected: int | None) -> None:
    payment = read(document(type="refund", **amount))
    assert (payment.kind, payment.refund_amount) == (Kind.REFUND, expected)


def test_the_packages_own_payloads_are_read() -> None:
    config = X402ChannelConfig.from_dict(CONFIG)
    for empty, kind in ((VoucherPayload(), Kind.VOUCHER), (RefundPayload(), Kind.REFUND)):
        empty.channel_config = config
        empty.voucher = VoucherFields(
            channel_id=VOUCHER["channelId"], max_claimable_amount="1500", signature=VOUCHER["signature"]
        )
        assert read({**document(), "payload": empty.to_dict()}).kind is kind


def test_the_scheme_is_found_before_the_rest() -> None:
    assert scheme_of({"accepted": {"scheme": "exact"}}) == "exact"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "not base64!",
        b64encode(b"no json").decode(),
        header([1]),
        header("text"),
        "ä",
        "A" * (MAX_HEADER_BYTES + 4),
    ],
)
def test_a_header_without_an_object_is_refused(text: str) -> None:
    with pytest.raises(UnreadablePaymentError):
        decode(text)


def test_deep_json_is_refused() -> None:
    deep = b64encode(b"[" * 10_000 + b"]" * 10_000).decode()
    with pytest.raises(UnreadablePaymentError):
        decode(deep)


def without(*path: str) -> dict[str, Any]:
    content = json.loads(json.dumps(document()))
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    del inner[path[-1]]
    return dict(content)


def changed(value: Any, *path: str) -> dict[str, Any]:
    content = json.loads(json.dumps(document()))
    inner = content
    for name in path[:-1]:
        inner = inner[name]
    inner[path[-1]] = value
    return dict(content)


@pytest.mark.parametrize(
    "content",
    [
        changed(1, "x402Version"),
        without("accepted"),
        changed("exact", "accepted", "scheme"),
        without("accepted", "network"),
        without("payload"),
        changed("claim", "payload", "type"),
        changed(7, "payload", "type"),
        without("payload", "voucher"),
        without("payload", "channelConfig"),
        changed("deposit", "payload", "type"),  # without a deposit
        *(without("payload", "channelConfig", name) for name in CONFIG),
        *(without("payload", "voucher", name) for name in VOUCHER),
        changed("0x12", "payload", "channelConfig", "payer"),
        changed(ADDRESS[2:], "payload", "channelConfig", "payer"),
        changed("0x" + "zz" * 20, "payload", "channelConfig", "payer"),
        changed("0x" + "00" * 31, "payload", "channelConfig", "salt"),
        changed("0x" + "0 " * 32, "payload", "channelConfig", "salt"),
        *(
            changed(value, "payload", "channelConfig", "withdrawDelay")
            for value in (-1, 2**40, 1.5, True, "x", None)
        ),
        *(
            changed(value, "payload", "voucher", "maxClaimableAmount")
            for value in (
                "",
                "-1",
                "+1",
                "1.0",
                "1e3",
                "0x10",
                " 1",
                "1_0",
                "\u0661",
                str(2**128),
                "9" * 5_000,
                1_500,
                None,
            )
        ),
        changed("0x123", "payload", "voucher", "signature"),
        changed("cd" * 65, "payload", "voucher", "signature"),
    ],
)
def test_a_part_that_is_wrong_is_refused(content: dict[str, Any]) -> None:
    with pytest.raises(UnreadablePaymentError):
        read(content)

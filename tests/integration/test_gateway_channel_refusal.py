"""Vouchers and deposits that are refused: why, and that nothing is charged or moved."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from eth_account import Account
from gateway_stage import CUSTOMER_USD6, PRICE_USD6, REQUEST, OpenStage, Stage, post, purse
from x402.http.utils import decode_payment_required_header, decode_payment_signature_header
from x402.mechanisms.evm.batch_settlement.constants import BATCH_SETTLEMENT_ADDRESS

from wellhead.customer.payment import Payment
from wellhead.customer.purse import Purse
from wellhead.customer.receipts import read_receipt
from wellhead.reference import channel

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
Change = Callable[[dict[str, Any]], None]


def pay_with(stage: Stage, own: Purse) -> Payment:
    """A payment of one call, not sent yet."""
    terms = decode_payment_required_header(post(stage).headers["PAYMENT-REQUIRED"])
    return own.pay(own.choose(terms))  # type: ignore[arg-type]


def funded(stage: Stage) -> Purse:
    """A purse whose channel holds a deposit and has paid for one call."""
    own = purse(stage)
    payment = pay_with(stage, own)
    answer = post(stage, headers={"PAYMENT-SIGNATURE": payment.header})
    assert answer.status_code == 200
    own.settled(payment, read_receipt(answer.headers["PAYMENT-RESPONSE"]) or {})
    return own


def changed(payment: Payment, change: Change) -> dict[str, str]:
    """The payment's header with something in it changed after it was signed."""
    document = decode_payment_signature_header(payment.header).model_dump(mode="json", by_alias=True)
    change(document)
    return {"PAYMENT-SIGNATURE": base64.b64encode(json.dumps(document).encode()).decode()}


def signed(stage: Stage, payment: Payment, ceiling: int, *, chain_id: int = 31337, key: Any = None) -> str:
    """A voucher's signature over another ceiling, for another chain, or by another key."""
    domain = channel.settlement_domain(chain_id, BATCH_SETTLEMENT_ADDRESS)
    digest = channel.voucher_digest(domain, payment.channel_id, ceiling)
    return "0x" + (key or stage.customer).unsafe_sign_hash(digest).signature.hex().removeprefix("0x")


def set_voucher(**fields: str) -> Change:
    return lambda document: document["payload"]["voucher"].update(fields)


def set_config(**fields: Any) -> Change:
    return lambda document: document["payload"]["channelConfig"].update(fields)


def high_s(signature: str) -> str:
    raw = bytes.fromhex(signature[2:])
    s, v = ORDER - int.from_bytes(raw[32:64], "big"), 55 - raw[64]
    return "0x" + (raw[:32] + s.to_bytes(32, "big") + bytes([v])).hex()


def charged(stage: Stage) -> int:
    return sum(one.account.charged for one in asyncio.run(stage.gateway.books.claimable()))


SOMEBODY = "0x000000000000000000000000000000000000dEaD"
FORGERIES: dict[str, tuple[Callable[[Stage, Payment], Change], str]] = {
    "another key": (
        lambda stage, paid: set_voucher(
            signature=signed(stage, paid, paid.ceiling_usd6, key=Account.create())
        ),
        "voucher_signature",
    ),
    "another chain": (
        lambda stage, paid: set_voucher(signature=signed(stage, paid, paid.ceiling_usd6, chain_id=1)),
        "voucher_signature",
    ),
    "a raised ceiling": (
        lambda _, paid: set_voucher(maxClaimableAmount=str(paid.ceiling_usd6 + 1)),
        "voucher_signature",
    ),
    "high s": (
        lambda stage, paid: set_voucher(signature=high_s(signed(stage, paid, paid.ceiling_usd6))),
        "voucher_signature",
    ),
    "a short signature": (lambda _, __: set_voucher(signature="0x1234"), "voucher_signature"),
    "no signature": (lambda _, __: set_voucher(signature="0x"), "voucher_signature"),
    "another channel": (lambda _, __: set_voucher(channelId="0x" + "11" * 32), "channel_id_mismatch"),
    "another salt": (lambda _, __: set_config(salt="0x" + "22" * 32), "channel_id_mismatch"),
    "another receiver": (lambda _, __: set_config(receiver=SOMEBODY), "receiver_mismatch"),
    "another authorizer": (
        lambda _, __: set_config(receiverAuthorizer=SOMEBODY),
        "receiver_authorizer_mismatch",
    ),
    "another token": (lambda _, __: set_config(token=SOMEBODY), "token_mismatch"),
    "another delay": (lambda _, __: set_config(withdrawDelay=900), "withdraw_delay_mismatch"),
    "another network": (lambda _, __: _set_network, "network_mismatch"),
}


def _set_network(document: dict[str, Any]) -> None:
    document["accepted"]["network"] = "eip155:1"


@pytest.mark.parametrize("name", FORGERIES)
def test_a_voucher_that_is_not_what_it_says_buys_nothing(stage: Stage, name: str) -> None:
    own = funded(stage)
    payment = pay_with(stage, own)
    forge, code = FORGERIES[name]
    answer = post(stage, headers=changed(payment, forge(stage, payment)))
    assert answer.status_code == 402
    assert code in answer.json()["error"]["code"]
    assert charged(stage) == PRICE_USD6
    assert len(stage.upstream.requests) == 1
    assert post(stage, headers={"PAYMENT-SIGNATURE": payment.header}).status_code == 200


def test_a_replayed_voucher_buys_nothing(stage: Stage) -> None:
    own = funded(stage)
    header = {"PAYMENT-SIGNATURE": pay_with(stage, own).header}
    assert post(stage, headers=header).status_code == 200
    again = post(stage, headers=header)
    assert (again.status_code, len(stage.upstream.requests)) == (402, 2)
    assert "cumulative_amount_mismatch" in again.json()["error"]["code"]
    offer = decode_payment_required_header(again.headers["PAYMENT-REQUIRED"]).accepts[0]
    assert offer.extra["channelState"]["chargedCumulativeAmount"] == str(2 * PRICE_USD6)
    assert charged(stage) == 2 * PRICE_USD6


def test_a_replayed_deposit_moves_nothing(stage: Stage) -> None:
    payment = pay_with(stage, purse(stage))
    header = {"PAYMENT-SIGNATURE": payment.header}
    assert post(stage, headers=header).status_code == 200
    assert post(stage, headers=header).status_code == 402
    assert stage.usd.payments() == 1
    assert charged(stage) == PRICE_USD6


@pytest.mark.parametrize("concurrent", [True, False])
def test_a_ceiling_below_the_price_buys_nothing(stage: Stage, concurrent: bool) -> None:
    own = funded(stage)
    payment = pay_with(stage, own)
    low = payment.ceiling_usd6 - 1

    def lower(document: dict[str, Any]) -> None:
        document["payload"]["concurrent"] = concurrent
        set_voucher(maxClaimableAmount=str(low), signature=signed(stage, payment, low))(document)

    answer = post(stage, headers=changed(payment, lower))
    assert answer.status_code == 402
    assert "cumulative_amount_mismatch" in answer.json()["error"]["code"]
    assert charged(stage) == PRICE_USD6


def test_a_ceiling_above_the_balance_buys_nothing(stage: Stage) -> None:
    own = funded(stage)
    payment = pay_with(stage, own)
    high = 100 * PRICE_USD6 + 1
    voucher = set_voucher(maxClaimableAmount=str(high), signature=signed(stage, payment, high))
    answer = post(stage, headers=changed(payment, voucher))
    assert answer.status_code == 402
    assert "exceeds_balance" in answer.json()["error"]["code"]


@pytest.mark.parametrize("deposit", [PRICE_USD6, 9_999])
def test_a_deposit_that_is_too_small_is_not_taken(open_stage: OpenStage, deposit: int) -> None:
    with open_stage() as stage:
        payment = pay_with(stage, purse(stage, usd6_per_deposit=deposit))
        answer = post(stage, headers={"PAYMENT-SIGNATURE": payment.header})
        assert answer.status_code == 402
        assert "min_deposit" in answer.json()["error"]["code"]
        assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6


def test_a_deposit_that_the_payer_does_not_have_is_told_so(stage: Stage) -> None:
    payment = pay_with(stage, purse(stage, usd6_per_deposit=CUSTOMER_USD6 + 1))
    answer = post(stage, headers={"PAYMENT-SIGNATURE": payment.header})
    assert answer.status_code == 402
    assert "insufficient_balance" in answer.json()["error"]["code"]
    assert stage.upstream.requests == []


def test_a_payer_blacklisted_after_depositing_is_still_served_and_claimed_from(open_stage: OpenStage) -> None:
    """Its money is the channel's; only what would go back to it is refused."""
    with open_stage(claim_age_seconds=1) as stage:
        own = funded(stage)
        stage.usd.do("blacklist", stage.customer.address)
        answer = post(stage, headers={"PAYMENT-SIGNATURE": pay_with(stage, own).header})
        assert answer.status_code == 200


def test_a_blacklisted_payers_deposit_is_named(stage: Stage) -> None:
    stage.usd.do("blacklist", stage.customer.address)
    answer = post(stage, headers={"PAYMENT-SIGNATURE": pay_with(stage, purse(stage)).header})
    assert answer.status_code == 402
    assert "blacklisted" in answer.json()["error"]["message"]
    assert stage.upstream.requests == []


@pytest.mark.parametrize(
    "header", ["%%%", "bm90IGpzb24=", "W10=", "e30=", base64.b64encode(b"[" * 4_000).decode()]
)
def test_a_header_that_is_no_payment_is_400(stage: Stage, header: str) -> None:
    answer = post(stage, headers={"PAYMENT-SIGNATURE": header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_payment")


def test_a_header_of_ten_megabytes_is_refused(stage: Stage) -> None:
    """By the HTTP server, before any of our code; the gateway goes on."""
    try:
        answer = post(stage, headers={"PAYMENT-SIGNATURE": "A" * 10_000_000})
        assert answer.status_code in (400, 431)
    except httpx.TransportError:
        pass  # it hung up
    assert post(stage).status_code == 402


def test_two_requests_on_one_voucher_are_one_call(stage: Stage) -> None:
    """By the standard, one call at a time: the second is told that the channel is busy."""
    own = funded(stage)
    payment = pay_with(stage, own)

    def alone(document: dict[str, Any]) -> None:
        document["payload"]["concurrent"] = False

    header = changed(payment, alone)
    release = stage.upstream.hold()
    stage.upstream.arrived.clear()

    async def both() -> list[httpx.Response]:
        async with httpx.AsyncClient(timeout=20) as http:
            url = f"{stage.url}/v1/embeddings"
            first = asyncio.create_task(http.post(url, json=REQUEST, headers=header))
            await asyncio.to_thread(stage.upstream.arrived.wait, 10)
            second = await http.post(url, json=REQUEST, headers=header)
            release.set()
            return [await first, second]

    first, second = asyncio.run(both())
    assert (first.status_code, second.status_code) == (200, 402)
    assert "channel_busy" in second.json()["error"]["code"]
    assert charged(stage) == 2 * PRICE_USD6

"""Who is refused, why, in which words, and that a refusal never costs anything."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import Response
from gateway_stage import (
    CUSTOMER_USD6,
    PRICE_USD6,
    REQUEST,
    Dollars,
    OpenStage,
    Stage,
    flat,
    pay,
    post,
    stock_client,
)
from loopback import serving
from web3 import Web3
from web3.types import RPCEndpoint
from x402 import x402ClientSync
from x402.http.utils import (
    decode_payment_required_header,
    decode_payment_response_header,
    decode_payment_signature_header,
    encode_payment_signature_header,
)
from x402.http.x402_http_client import x402HTTPClientSync
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.exact.client import ExactEvmScheme
from x402.schemas import PaymentPayload, SettleResponse, VerifyResponse

from wellhead.chain import keys, local
from wellhead.chain.transact import Sender
from wellhead.deploy.canonical import ensure_canonical
from wellhead.errors import Misused, Refused
from wellhead.gateway.assembly import Gateway
from wellhead.gateway.config import GatewayConfig
from wellhead.gateway.facilitator import Facilitator

ARRANGED_ERRORS = [400, 401, 404, 429, 500, 503]


def signed_header(stage: Stage, **changes: Any) -> dict[str, str]:
    """A payment for one call; `changes` to the offer are made before it is signed."""
    terms = decode_payment_required_header(post(stage).headers["PAYMENT-REQUIRED"])
    (offer,) = (offer for offer in terms.accepts if offer.scheme == "exact")
    terms.accepts = [offer.model_copy(update=changes)]
    wallet = x402ClientSync()
    wallet.register("eip155:*", ExactEvmScheme(EthAccountSigner(stage.customer)))
    wallet.set_spend_controls(False)
    payment = wallet.create_payment_payload(terms)
    return x402HTTPClientSync(wallet).encode_payment_signature_header(payment)


def tampered_header(stage: Stage, field: str, value: str) -> dict[str, str]:
    """A payment for one call, one field of whose authorization is changed after it was signed."""
    payment = decode_payment_signature_header(signed_header(stage)["PAYMENT-SIGNATURE"])
    payment.payload["authorization"][field] = value
    return {"PAYMENT-SIGNATURE": encode_payment_signature_header(payment)}


def assert_nothing_happened(stage: Stage) -> None:
    assert stage.earned_usd6 == 0
    assert stage.usd.of(stage.customer.address) == CUSTOMER_USD6


@pytest.mark.parametrize(
    "path", ["/v1/embeddings/", "/v1/embedding%73/", "//v1/embeddings", "/V1/EMBEDDINGS"]
)
def test_nobody_pays_for_a_path_that_is_not_served(stage: Stage, path: str) -> None:
    """A redirect is below 400, and would have been charged for."""

    async def pay_there() -> httpx.Response:
        async with stock_client(stage) as client:
            return await client.post(f"{stage.url}{path}", json=REQUEST)

    answer = asyncio.run(pay_there())
    assert answer.status_code == 404
    assert "PAYMENT-REQUIRED" not in answer.headers
    assert_nothing_happened(stage)


@pytest.mark.parametrize("status", ARRANGED_ERRORS)
def test_an_upstreams_error_is_passed_on_and_costs_nothing(stage: Stage, status: int) -> None:
    stage.upstream.status = status
    answer = asyncio.run(pay(stage))
    assert answer.status_code == status
    assert answer.json()["error"]["message"] == "arranged by the test"
    assert len(stage.upstream.requests) == 1
    assert_nothing_happened(stage)


@pytest.mark.parametrize(
    "instead",
    [
        Response("not JSON", media_type="application/json"),
        Response("[]", media_type="application/json"),
        Response('{"object": "list"}', media_type="application/json"),
        Response('{"data": []}', status_code=202, media_type="application/json"),
        Response(status_code=307, headers={"location": "/elsewhere"}),
    ],
    ids=["no JSON", "no object", "no data", "not yet", "redirect"],
)
def test_an_answer_without_embeddings_costs_nothing(stage: Stage, instead: Response) -> None:
    stage.upstream.instead = instead
    answer = asyncio.run(pay(stage))
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_invalid")
    assert_nothing_happened(stage)


def test_a_silent_upstream_costs_nothing(open_stage: OpenStage) -> None:
    with open_stage(upstream_timeout_seconds=0.2) as stage:
        release = stage.upstream.hold()
        answer = asyncio.run(pay(stage))
        release.set()
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "upstream_timeout")
        assert_nothing_happened(stage)


def test_an_absent_upstream_costs_nothing(open_stage: OpenStage) -> None:
    with open_stage(upstreams=[f"http://127.0.0.1:{local.free_port()}"]) as stage:
        answer = asyncio.run(pay(stage))
        assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_unreachable")
        assert httpx.get(f"{stage.url}/v1/models", timeout=20).status_code == 502
        assert_nothing_happened(stage)


def test_a_blacklisted_payer_is_told_so(stage: Stage) -> None:
    stage.usd.do("blacklist", stage.customer.address)
    answer = asyncio.run(pay(stage))
    assert answer.status_code == 402
    error = answer.json()["error"]
    assert error["code"] == "refused_by_token"
    assert "blacklisted" in error["message"]
    assert stage.customer.address.lower() in error["message"].lower()
    terms = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    assert "blacklisted" in (terms.error or "")
    assert stage.upstream.requests == []
    assert_nothing_happened(stage)


def test_a_payer_with_too_little_is_told_so(open_stage: OpenStage) -> None:
    with open_stage(models=flat(CUSTOMER_USD6 + 1)) as stage:
        answer = asyncio.run(pay(stage))
        assert answer.status_code == 402
        error = answer.json()["error"]
        assert error["code"] == "insufficient_funds"
        assert f"{stage.customer.address} holds $10.00, the call costs $10.000001" in error["message"]
        assert stage.upstream.requests == []
        assert_nothing_happened(stage)


def test_a_paused_dollar_is_named(stage: Stage) -> None:
    stage.usd.do("pause")
    answer = asyncio.run(pay(stage))
    assert answer.status_code == 402
    assert "paused" in answer.json()["error"]["message"]
    assert_nothing_happened(stage)


def test_a_replayed_payment_pays_once(stage: Stage) -> None:
    header = signed_header(stage)
    assert post(stage, headers=header).status_code == 200
    again = post(stage, headers=header)
    assert (again.status_code, again.json()["error"]["code"]) == (402, "authorization_used")
    assert len(stage.upstream.requests) == 1
    assert stage.earned_usd6 == PRICE_USD6


def test_a_payment_replayed_meanwhile_is_served_once(stage: Stage) -> None:
    header = signed_header(stage)
    release = stage.upstream.hold()
    first: list[httpx.Response] = []
    caller = threading.Thread(target=lambda: first.append(post(stage, headers=header)))
    caller.start()
    assert stage.upstream.arrived.wait(10)
    second = post(stage, headers=header)
    release.set()
    caller.join(20)
    assert (second.status_code, second.json()["error"]["code"]) == (402, "payment_in_use")
    assert first[0].status_code == 200
    assert len(stage.upstream.requests) == 1
    assert stage.earned_usd6 == PRICE_USD6


def test_a_payment_whose_call_failed_can_be_used_again(stage: Stage) -> None:
    header = signed_header(stage)
    stage.upstream.status = 500
    assert post(stage, headers=header).status_code == 500
    stage.upstream.status = 200
    assert post(stage, headers=header).status_code == 200
    assert stage.earned_usd6 == PRICE_USD6


@pytest.mark.parametrize(
    "changes",
    [
        {"amount": "1"},
        {"pay_to": "0x000000000000000000000000000000000000dEaD"},
        {"asset": "0x000000000000000000000000000000000000dEaD"},
        {"network": "eip155:1"},
        {"max_timeout_seconds": 10**9},
    ],
)
def test_a_payment_on_other_terms_is_refused(stage: Stage, changes: dict[str, Any]) -> None:
    answer = post(stage, headers=signed_header(stage, **changes))
    assert answer.status_code == 402
    assert stage.upstream.requests == []
    assert_nothing_happened(stage)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("value", "1"),
        ("to", "0x000000000000000000000000000000000000dEaD"),
        ("from", "0x000000000000000000000000000000000000dEaD"),
        ("nonce", "0x" + "11" * 32),
        ("validBefore", "99999999999"),
        ("validBefore", "1"),
        ("validAfter", "99999999999"),
        ("value", "not a number"),
        ("nonce", "0x11"),
    ],
)
def test_a_tampered_payment_is_refused(stage: Stage, field: str, value: str) -> None:
    answer = post(stage, headers=tampered_header(stage, field, value))
    assert answer.status_code == 402
    assert answer.json()["error"]["message"]
    assert stage.upstream.requests == []
    assert_nothing_happened(stage)


@pytest.mark.parametrize("header", ["", "%%%", "bm90IGpzb24=", "e30=", "WzFd"])
def test_a_header_without_a_payment_is_400(stage: Stage, header: str) -> None:
    answer = post(stage, headers={"PAYMENT-SIGNATURE": header})
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_payment")


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"not JSON", b"\xff\xfe", b"[" * 100_000, b"[]", b"{}"),
        *(b'{"model": "m"}', b'{"model": 1, "input": "x"}', b'{"model": "m", "input": 7}'),
        *(b'{"model": "m", "input": ""}', b'{"model": "m", "input": []}'),
    ],
)
def test_a_malformed_request_is_400_before_any_payment(stage: Stage, body: bytes) -> None:
    answer = httpx.post(f"{stage.url}/v1/embeddings", content=body, timeout=20)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "invalid_request_error")
    assert "PAYMENT-REQUIRED" not in answer.headers


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "in chunks"])
def test_a_large_body_is_413(open_stage: OpenStage, announced: bool) -> None:
    with open_stage(max_body_bytes=2_048) as stage:
        at_limit = json.dumps({**REQUEST, "user": ""}).encode()
        at_limit = at_limit.replace(b'""', b'"' + b"x" * (2_048 - len(at_limit)) + b'"')
        for body, status in ((at_limit, 402), (at_limit + b" ", 413)):
            content: Any = body if announced else iter([body[:1_000], body[1_000:]])
            answer = httpx.post(f"{stage.url}/v1/embeddings", content=content, timeout=20)
            assert answer.status_code == status
        assert answer.json()["error"]["code"] == "body_too_large"


def test_an_unknown_path_is_404_in_openais_shape(stage: Stage) -> None:
    answer = httpx.post(f"{stage.url}/v1/images/generations", json={}, timeout=20)
    assert answer.status_code == 404
    assert "/v1/embeddings" in answer.json()["error"]["message"]


def test_a_payment_that_stops_being_good_is_not_served(stage: Stage) -> None:
    """Verified, then the dollar is paused while the node works: no money, so no answer either."""
    stage.upstream.before_answer = lambda: stage.usd.do("pause")
    answer = asyncio.run(pay(stage))
    assert answer.status_code == 402
    settlement = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
    assert not settlement.success
    assert "did not settle" in answer.json()["error"]["message"]
    assert "data" not in answer.json()
    assert_nothing_happened(stage)

    stage.usd.do("unpause")
    stage.upstream.before_answer = lambda: None
    assert asyncio.run(pay(stage)).status_code == 200
    assert stage.earned_usd6 == PRICE_USD6


def test_a_payment_that_is_not_mined_in_time_is_not_called_free(open_stage: OpenStage) -> None:
    with open_stage(settle_timeout_seconds=0.2) as stage:
        stage.upstream.before_answer = lambda: stage.rpc("evm_setAutomine", False)
        try:
            answer = asyncio.run(pay(stage))
            assert stage.earned_usd6 == 0
        finally:
            stage.rpc("evm_setAutomine", True)
            stage.rpc("evm_mine")
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (402, "settlement_pending")
        settlement = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
        assert settlement.transaction in error["message"]
        assert "before paying again" in error["message"]
        assert stage.earned_usd6 == PRICE_USD6

        stage.upstream.before_answer = lambda: None
        assert asyncio.run(pay(stage)).status_code == 200
        assert stage.earned_usd6 == 2 * PRICE_USD6


def test_payments_go_on_after_the_chain_was_reverted(stage: Stage) -> None:
    """x402's signer would send with a nonce of the future and wait for it."""
    taken = stage.rpc("evm_snapshot")
    for _ in range(3):
        assert asyncio.run(pay(stage)).status_code == 200
    assert stage.rpc("evm_revert", taken)
    assert asyncio.run(pay(stage)).status_code == 200
    assert stage.earned_usd6 == PRICE_USD6


def test_payments_go_on_after_a_transaction_that_was_refused(stage: Stage) -> None:
    """The facilitator ran out of gas money: its reserved nonce was never used."""
    facilitator = keys.local_account("facilitator").address
    funds = hex(stage.w3.eth.get_balance(facilitator))
    stage.upstream.before_answer = lambda: stage.rpc("anvil_setBalance", facilitator, "0x0")
    answer = asyncio.run(pay(stage))
    assert answer.status_code == 402
    assert_nothing_happened(stage)

    stage.upstream.before_answer = lambda: None
    stage.rpc("anvil_setBalance", facilitator, funds)
    assert asyncio.run(pay(stage)).status_code == 200
    assert stage.earned_usd6 == PRICE_USD6


@pytest.fixture
def dying_chain(usd: Dollars, settle_router: str, tmp_path: Path) -> Iterator[local.LocalChain]:
    """A second chain with the same contracts on it, for a test to end."""
    with local.running("anvil", log=tmp_path / "anvil.log") as dying:
        w3 = dying.connect()
        for contract in (usd.address, settle_router):
            code = usd.contract.w3.eth.get_code(Web3.to_checksum_address(contract))
            w3.provider.make_request(RPCEndpoint("anvil_setCode"), [contract, code.to_0x_hex()])
        ensure_canonical(w3)
        yield dying


def test_without_its_chain_a_gateway_says_so(stage: Stage, dying_chain: local.LocalChain) -> None:
    """And tells nobody where the chain was: RPC URLs hold keys."""
    header = signed_header(stage)
    config = stage.config.model_copy(update={"rpc_url": dying_chain.url})
    gateway = Gateway(config, keys.local_account("facilitator"), keys.local_account("authorizer"))
    dying_chain.stop()
    with serving(gateway.app) as url:
        answer = httpx.post(f"{url}/v1/embeddings", json=REQUEST, headers=header, timeout=20)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "chain_unavailable")
    terms = decode_payment_required_header(answer.headers["PAYMENT-REQUIRED"])
    assert str(dying_chain.port) not in answer.text + terms.model_dump_json()
    assert stage.upstream.requests == []


def test_a_chain_that_dies_before_the_settlement_is_named(
    open_stage: OpenStage, dying_chain: local.LocalChain
) -> None:
    with open_stage(rpc_url=dying_chain.url) as stage:
        give_dollars(dying_chain, stage)
        stage.upstream.before_answer = dying_chain.stop
        answer = post(stage, headers=signed_header(stage))
        assert (answer.status_code, answer.json()["error"]["code"]) == (402, "chain_unavailable")
        assert "before paying again" in answer.json()["error"]["message"]
        settlement = decode_payment_response_header(answer.headers["PAYMENT-RESPONSE"])
        assert str(dying_chain.port) not in answer.text + settlement.model_dump_json()


def give_dollars(chain: local.LocalChain, stage: Stage) -> None:
    """The faucet needs no role, which the copied code has given to nobody."""
    token = chain.connect().eth.contract(address=stage.usd.address, abi=stage.usd.contract.abi)
    sender = Sender(chain.connect(), stage.customer)
    sender.send(token.functions.faucet(stage.customer.address))


class LeakyFacilitator:
    """Stands for x402's, which puts an RPC's error into what it answers or raises."""

    SECRET = "https://rpc.example/v3/secret"

    def __init__(self, raises: bool) -> None:
        self._raises = raises

    def verify(self, *_: Any) -> VerifyResponse:
        raise RuntimeError(self.SECRET)

    def settle(self, *_: Any) -> SettleResponse:
        if self._raises:
            raise RuntimeError(self.SECRET)
        return SettleResponse(
            success=False,
            error_reason="transaction_failed",
            error_message=self.SECRET,
            transaction="",
            network="eip155:31337",
        )


@pytest.mark.parametrize("raises", [True, False], ids=["raised", "answered"])
def test_an_rpcs_error_stays_in_the_log(stage: Stage, monkeypatch: pytest.MonkeyPatch, raises: bool) -> None:
    payment = decode_payment_signature_header(signed_header(stage)["PAYMENT-SIGNATURE"])
    assert isinstance(payment, PaymentPayload)
    facilitator = Facilitator(stage.config, keys.local_account("facilitator"))
    monkeypatch.setattr(facilitator, "_inner", LeakyFacilitator(raises))
    verdict = asyncio.run(facilitator.verify(payment, payment.accepted))
    outcome = asyncio.run(facilitator.settle(payment, payment.accepted))
    assert not verdict.is_valid
    assert not outcome.success
    assert "secret" not in verdict.model_dump_json() + outcome.model_dump_json()


def test_a_gateway_refuses_another_chain(stage: Stage) -> None:
    config = stage.config.model_copy(update={"chain_id": 1})
    with pytest.raises(Misused, match="chain 31337"):
        Facilitator(config, keys.local_account("facilitator"))


def test_a_gateway_refuses_an_asset_that_is_no_contract(stage: Stage) -> None:
    config = stage.config.model_copy(update={"asset": stage.pay_to})
    with pytest.raises(Misused, match="no contract"):
        Facilitator(config, keys.local_account("facilitator"))


def test_a_gateway_refuses_a_chain_that_is_not_there(stage: Stage) -> None:
    config = stage.config.model_copy(update={"rpc_url": f"http://127.0.0.1:{local.free_port()}"})
    with pytest.raises(Refused, match="no stablecoin answers"):
        Facilitator(config, keys.local_account("facilitator"))


@pytest.mark.parametrize(
    "change",
    [
        *({"models": []}, {"models": [{"id": "m"}]}, {"models": [{"id": "m", "usd6_per_call": 1.5}]}),
        *({"pay_to": "0x12"}, {"upstreams": ["node:8600"]}, {"upstreams": []}, {"prize": 1}),
        {"withdraw_delay_seconds": 899},
    ],
)
def test_a_configuration_that_cannot_be_right_is_refused(stage: Stage, change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        GatewayConfig(**{**stage.config.model_dump(), **change})

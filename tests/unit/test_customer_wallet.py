"""What a customer's wallet signs, on a chain where x402 knows other dollars too."""

from __future__ import annotations

import pytest
from eth_account import Account
from x402 import x402ClientSync
from x402.http.x402_http_client import x402HTTPClientSync
from x402.mechanisms.evm.default_assets import find_default_asset
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.terms import sign_terms
from wellhead.customer.wallet import bounded
from wellhead.errors import Misused, Refused

BASE = "eip155:8453"
BASE_USDC = "0x833589fCD6eDb6E08f4c7C32D4f71b54bdA02913"
OURS = "0x000000000000000000000000000000000000dEaD"


def offer(asset: str, amount: int, network: str = BASE) -> PaymentRequirements:
    return PaymentRequirements(
        scheme="exact",
        network=network,
        asset=asset,
        amount=str(amount),
        pay_to=OURS,
        max_timeout_seconds=60,
        extra={"name": "USD Coin", "version": "2"},
    )


def sign(asset: str, cap: int, *offers: PaymentRequirements) -> PaymentRequirements:
    """The offer that a wallet for `asset` signs."""
    wallet = bounded(x402ClientSync(), Account.create(), BASE, asset, cap)
    payment, header = sign_terms(x402HTTPClientSync(wallet), PaymentRequired(accepts=list(offers)))
    assert list(header) == ["PAYMENT-SIGNATURE"]
    return payment.accepted


def test_signs_its_own_token_up_to_the_cap() -> None:
    assert sign(OURS, 5, offer(OURS, 5)).amount == "5"
    with pytest.raises(Refused, match="nothing was signed"):
        sign(OURS, 5, offer(OURS, 6))


def test_signs_no_other_dollar_that_x402_knows() -> None:
    assert find_default_asset(BASE_USDC, BASE) is not None
    with pytest.raises(Refused, match="nothing was signed"):
        sign(OURS, 5, offer(BASE_USDC, 1))
    assert sign(OURS, 5, offer(BASE_USDC, 1), offer(OURS, 5)).asset == OURS


def test_caps_a_dollar_that_x402_knows_as_well() -> None:
    assert sign(BASE_USDC, 5, offer(BASE_USDC, 5)).amount == "5"
    with pytest.raises(Refused, match="nothing was signed"):
        sign(BASE_USDC, 5, offer(BASE_USDC, 6))


def test_signs_for_no_other_chain() -> None:
    with pytest.raises(Refused, match="nothing was signed"):
        sign(OURS, 5, offer(OURS, 1, "eip155:1"))


def test_refuses_an_asset_that_is_no_address() -> None:
    with pytest.raises(Misused, match="asset"):
        sign("USDC", 5)

"""MockUSD as a plain ERC-20: metadata, transfers, allowances."""

from __future__ import annotations

from typing import Any

import pytest
from web3.contract import Contract
from web3.logs import DISCARD

USD = 10**6
PERMIT2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
ZERO = "0x" + "00" * 20


@pytest.fixture(scope="module")
def usd(deploy: Any, send: Any, actors: dict[str, str]) -> Contract:
    token = deploy("MockUSD", actors["owner"])
    send(token.functions.configureMinter(actors["treasury"], 10**15), actors["owner"])
    send(token.functions.mint(actors["customer"], 1_000 * USD), actors["treasury"])
    return token


def balance(usd: Contract, account: str) -> int:
    return int(usd.functions.balanceOf(account).call())


def test_names_itself_as_the_x402_terms_will(usd: Contract) -> None:
    assert usd.functions.name().call() == "Mock USD"
    assert usd.functions.symbol().call() == "mUSD"
    assert usd.functions.version().call() == "2"
    assert usd.functions.decimals().call() == 6


def test_constructor_gives_the_owner_every_role(usd: Contract, actors: dict[str, str]) -> None:
    for role in ("owner", "masterMinter", "blacklister", "pauser"):
        assert usd.functions[role]().call() == actors["owner"], role


def test_constructor_refuses_nobody(deploy: Any, reverts: Any) -> None:
    with reverts("MockUSD_ZeroAddress"):
        deploy("MockUSD", ZERO)


def test_transfer_moves_the_amount(usd: Contract, actors: dict[str, str], send: Any) -> None:
    receipt = send(usd.functions.transfer(actors["operator"], 3 * USD), actors["customer"])
    assert balance(usd, actors["customer"]) == 997 * USD
    assert balance(usd, actors["operator"]) == 3 * USD
    (event,) = usd.events.Transfer().process_receipt(receipt, DISCARD)
    assert dict(event["args"]) == {"from": actors["customer"], "to": actors["operator"], "amount": 3 * USD}


def test_transfer_refuses_more_than_the_balance(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    with reverts("InsufficientBalance"):
        send(usd.functions.transfer(actors["operator"], 1_000 * USD + 1), actors["customer"])


def test_transfer_refuses_the_zero_address(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.transfer(ZERO, 1), actors["customer"])


def test_transfer_from_spends_the_allowance(usd: Contract, actors: dict[str, str], send: Any) -> None:
    customer, operator, holder = actors["customer"], actors["operator"], actors["holder"]
    send(usd.functions.approve(operator, 5 * USD), customer)
    send(usd.functions.transferFrom(customer, holder, 2 * USD), operator)
    assert usd.functions.allowance(customer, operator).call() == 3 * USD
    assert balance(usd, holder) == 2 * USD


def test_transfer_from_refuses_more_than_the_allowance(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.approve(actors["operator"], 5), actors["customer"])
    with reverts("InsufficientAllowance"):
        send(usd.functions.transferFrom(actors["customer"], actors["holder"], 6), actors["operator"])


def test_transfer_from_refuses_the_zero_address(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.approve(actors["operator"], 5), actors["customer"])
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.transferFrom(actors["customer"], ZERO, 1), actors["operator"])


def test_permit2_has_only_the_allowance_it_was_given(
    usd: Contract, actors: dict[str, str], send: Any
) -> None:
    assert usd.functions.allowance(actors["customer"], PERMIT2).call() == 0
    send(usd.functions.approve(PERMIT2, 7), actors["customer"])
    assert usd.functions.allowance(actors["customer"], PERMIT2).call() == 7


def test_nobody_pays_the_dollar_itself(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    assert usd.functions.isBlacklisted(usd.address).call()
    with reverts("MockUSD_Blacklisted", usd.address):
        send(usd.functions.transfer(usd.address, 0), actors["holder"])


def test_nobody_approves_the_zero_address(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.approve(ZERO, 1), actors["holder"])

"""How MockUSD comes into the world: minters with allowances, and the faucet."""

from __future__ import annotations

from typing import Any

import pytest
from web3 import Web3
from web3.contract import Contract
from web3.logs import DISCARD
from web3.types import RPCEndpoint

from wellhead.chain import local

USD = 10**6
DAY = 86_400
ZERO = "0x" + "00" * 20


@pytest.fixture(scope="module")
def usd(deploy: Any, send: Any, actors: dict[str, str]) -> Contract:
    token = deploy("MockUSD", actors["owner"])
    send(token.functions.configureMinter(actors["treasury"], 100 * USD), actors["owner"])
    return token


def test_mint_lowers_the_allowance(usd: Contract, actors: dict[str, str], send: Any) -> None:
    receipt = send(usd.functions.mint(actors["customer"], 40 * USD), actors["treasury"])
    assert usd.functions.balanceOf(actors["customer"]).call() == 40 * USD
    assert usd.functions.totalSupply().call() == 40 * USD
    assert usd.functions.minterAllowance(actors["treasury"]).call() == 60 * USD
    (event,) = usd.events.Mint().process_receipt(receipt, DISCARD)
    assert event["args"]["minter"] == actors["treasury"]


def test_mint_refuses_more_than_the_allowance(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    values = (actors["treasury"], 100 * USD, 100 * USD + 1)
    with reverts("MockUSD_MinterAllowanceExceeded", *values):
        send(usd.functions.mint(actors["customer"], 100 * USD + 1), actors["treasury"])


def test_mint_refuses_who_is_no_minter(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    with reverts("MockUSD_NotMinter", actors["owner"]):
        send(usd.functions.mint(actors["customer"], 1), actors["owner"])


def test_mint_refuses_the_zero_address(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.mint(ZERO, 1), actors["treasury"])


def test_mint_refuses_to_overflow_the_supply(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.configureMinter(actors["treasury"], 2**256 - 1), actors["owner"])
    send(usd.functions.mint(actors["customer"], 2**256 - 2), actors["treasury"])
    send(usd.functions.configureMinter(actors["treasury"], 2), actors["owner"])
    with reverts("TotalSupplyOverflow"):
        send(usd.functions.mint(actors["customer"], 2), actors["treasury"])


def test_burn_takes_from_the_minter_itself(usd: Contract, actors: dict[str, str], send: Any) -> None:
    send(usd.functions.mint(actors["treasury"], 10 * USD), actors["treasury"])
    receipt = send(usd.functions.burn(4 * USD), actors["treasury"])
    assert usd.functions.totalSupply().call() == 6 * USD
    (event,) = usd.events.Burn().process_receipt(receipt, DISCARD)
    assert dict(event["args"]) == {"burner": actors["treasury"], "amount": 4 * USD}


def test_burn_refuses_who_is_no_minter(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.mint(actors["customer"], 1), actors["treasury"])
    with reverts("MockUSD_NotMinter", actors["customer"]):
        send(usd.functions.burn(1), actors["customer"])


def test_a_removed_minter_mints_no_more(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.removeMinter(actors["treasury"]), actors["owner"])
    assert usd.functions.minterAllowance(actors["treasury"]).call() == 0
    with reverts("MockUSD_NotMinter", actors["treasury"]):
        send(usd.functions.mint(actors["customer"], 1), actors["treasury"])


@pytest.mark.parametrize(("function", "rest"), [("configureMinter", (1,)), ("removeMinter", ())])
def test_only_the_master_minter_makes_minters(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any, function: str, rest: tuple[int, ...]
) -> None:
    with reverts("MockUSD_NotMasterMinter", actors["stranger"]):
        send(usd.functions[function](actors["stranger"], *rest), actors["stranger"])


def test_faucet_gives_once_per_interval(
    usd: Contract, actors: dict[str, str], w3: Web3, send: Any, reverts: Any
) -> None:
    amount = usd.functions.FAUCET_USD6().call()
    interval = usd.functions.FAUCET_INTERVAL_SECONDS().call()
    receipt = send(usd.functions.faucet(actors["customer"]), actors["stranger"])
    drawn_at = w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    (event,) = usd.events.FaucetDrawn().process_receipt(receipt, DISCARD)
    assert dict(event["args"]) == {"caller": actors["stranger"], "to": actors["customer"], "amount": amount}

    with reverts("MockUSD_FaucetTooSoon", actors["customer"], drawn_at + interval):
        send(usd.functions.faucet(actors["customer"]), actors["customer"])
    send(usd.functions.faucet(actors["holder"]))  # another's interval is another's

    local.advance(w3, drawn_at + interval - local.chain_time(w3))
    send(usd.functions.faucet(actors["customer"]))
    assert usd.functions.balanceOf(actors["customer"]).call() == 2 * amount


def test_faucet_refuses_the_zero_address(usd: Contract, send: Any, reverts: Any) -> None:
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.faucet(ZERO))


def draw_many(usd: Contract, sender: str, count: int) -> None:
    """`count` accounts draw once, in a few blocks instead of as many; past web3, which is slow at a thousand."""
    ask = usd.w3.provider.make_request
    ask(RPCEndpoint("evm_setAutomine"), [False])
    try:
        start = usd.encode_abi("faucet", [ZERO])[:-40]
        for number in range(count):
            draw = {
                "from": sender,
                "to": usd.address,
                "data": f"{start}{number + 1:040x}",
                "gas": hex(150_000),
            }
            ask(RPCEndpoint("eth_sendTransaction"), [draw])
        for _ in range(count // 100):  # a block holds twice as many
            ask(RPCEndpoint("evm_mine"), [])
    finally:
        ask(RPCEndpoint("evm_setAutomine"), [True])


def test_faucet_is_empty_after_the_days_amount_and_refills(
    usd: Contract, actors: dict[str, str], w3: Web3, send: Any, reverts: Any
) -> None:
    daily, amount = usd.functions.FAUCET_DAILY_USD6().call(), usd.functions.FAUCET_USD6().call()
    tomorrow = (local.chain_time(w3) // DAY + 1) * DAY
    local.advance(w3, tomorrow - local.chain_time(w3))
    draw_many(usd, actors["stranger"], daily // amount)
    assert usd.functions.totalSupply().call() == daily

    assert local.chain_time(w3) < tomorrow + DAY
    with reverts("MockUSD_FaucetEmpty", tomorrow + DAY):
        send(usd.functions.faucet(actors["customer"]))
    local.advance(w3, tomorrow + DAY - local.chain_time(w3))
    send(usd.functions.faucet(actors["customer"]))

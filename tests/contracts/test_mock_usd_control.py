"""MockUSD under its issuer's hand: blacklist, pause, roles."""

from __future__ import annotations

from typing import Any

import pytest
from usd_signing import Authorization, sign, vrs
from web3.contract import Contract
from web3.logs import DISCARD

USD = 10**6
ZERO = "0x" + "00" * 20


@pytest.fixture(scope="module")
def usd(deploy: Any, send: Any, actors: dict[str, str]) -> Contract:
    token = deploy("MockUSD", actors["owner"])
    send(token.functions.configureMinter(actors["treasury"], 10**15), actors["owner"])
    for role in ("customer", "holder", "treasury"):
        send(token.functions.mint(actors[role], 100 * USD), actors["treasury"])
    send(token.functions.approve(actors["operator"], 100 * USD), actors["customer"])
    return token


@pytest.mark.parametrize("blacklisted", ["customer", "holder", "operator"])
def test_a_blacklisted_account_takes_part_in_no_transfer(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any, blacklisted: str
) -> None:
    """As payer, as receiver, as spender of an allowance."""
    send(usd.functions.blacklist(actors[blacklisted]), actors["owner"])
    with reverts("MockUSD_Blacklisted", actors[blacklisted]):
        send(usd.functions.transferFrom(actors["customer"], actors["holder"], 1), actors["operator"])


def test_a_blacklisted_account_neither_sends_nor_receives(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.blacklist(actors["customer"]), actors["owner"])
    with reverts("MockUSD_Blacklisted", actors["customer"]):
        send(usd.functions.transfer(actors["stranger"], 1), actors["customer"])
    with reverts("MockUSD_Blacklisted", actors["customer"]):
        send(usd.functions.transfer(actors["customer"], 1), actors["holder"])
    with reverts("MockUSD_Blacklisted", actors["customer"]):
        send(usd.functions.faucet(actors["customer"]), actors["stranger"])
    send(usd.functions.transfer(actors["stranger"], 1), actors["holder"])


def test_a_blacklisted_account_neither_approves_nor_is_approved(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    send(usd.functions.blacklist(actors["customer"]), actors["owner"])
    with reverts("MockUSD_Blacklisted", actors["customer"]):
        send(usd.functions.approve(actors["holder"], 1), actors["customer"])
    with reverts("MockUSD_Blacklisted", actors["customer"]):
        send(usd.functions.approve(actors["customer"], 1), actors["holder"])


@pytest.mark.parametrize("blacklisted", ["customer", "holder"])
def test_a_signature_does_not_help_the_blacklisted(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, blacklisted: str
) -> None:
    terms = Authorization(actors["customer"], actors["holder"], 1)
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    send(usd.functions.blacklist(actors[blacklisted]), actors["owner"])
    with reverts("MockUSD_Blacklisted", actors[blacklisted]):
        send(usd.functions.transferWithAuthorization(*terms, *vrs(signed)), actors["stranger"])


@pytest.mark.parametrize(("function", "arguments"), [("mint", True), ("burn", False)])
def test_a_blacklisted_minter_neither_mints_nor_burns(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any, function: str, arguments: bool
) -> None:
    send(usd.functions.blacklist(actors["treasury"]), actors["owner"])
    with reverts("MockUSD_Blacklisted", actors["treasury"]):
        call = usd.functions[function](*([actors["holder"]] if arguments else []), 1)
        send(call, actors["treasury"])


def test_blacklisting_can_be_lifted(usd: Contract, actors: dict[str, str], send: Any) -> None:
    customer = actors["customer"]
    receipt = send(usd.functions.blacklist(customer), actors["owner"])
    assert usd.events.Blacklisted().process_receipt(receipt, DISCARD)[0]["args"]["account"] == customer
    assert usd.functions.isBlacklisted(customer).call()
    receipt = send(usd.functions.unBlacklist(customer), actors["owner"])
    assert usd.events.UnBlacklisted().process_receipt(receipt, DISCARD)[0]["args"]["account"] == customer
    send(usd.functions.transfer(actors["stranger"], 1), customer)


def test_the_zero_address_cannot_be_blacklisted(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.blacklist(ZERO), actors["owner"])


@pytest.mark.parametrize("function", ["blacklist", "unBlacklist"])
def test_only_the_blacklister_blacklists(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any, function: str
) -> None:
    with reverts("MockUSD_NotBlacklister", actors["stranger"]):
        send(usd.functions[function](actors["customer"]), actors["stranger"])


def test_a_paused_token_moves_and_approves_nothing(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any
) -> None:
    customer, holder = actors["customer"], actors["holder"]
    terms = Authorization(customer, holder, 1)
    transfer = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    cancel = sign(
        usd, keys["customer"], "CancelAuthorization", {"authorizer": customer, "nonce": terms.nonce}
    )
    send(usd.functions.pause(), actors["owner"])
    calls = [
        (usd.functions.transfer(holder, 1), customer),
        (usd.functions.transferFrom(customer, holder, 1), actors["operator"]),
        (usd.functions.approve(holder, 1), customer),
        (usd.functions.mint(holder, 1), actors["treasury"]),
        (usd.functions.burn(1), actors["treasury"]),
        (usd.functions.faucet(holder), holder),
        (usd.functions.transferWithAuthorization(*terms, *vrs(transfer)), holder),
        (usd.functions.cancelAuthorization(customer, terms.nonce, *vrs(cancel)), holder),
    ]
    for call, sender in calls:
        with reverts("MockUSD_Paused"):
            send(call, sender)
    send(usd.functions.unpause(), actors["owner"])
    for call, sender in calls:
        call.call({"from": sender})


@pytest.mark.parametrize("function", ["pause", "unpause"])
def test_only_the_pauser_pauses(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any, function: str
) -> None:
    with reverts("MockUSD_NotPauser", actors["stranger"]):
        send(usd.functions[function](), actors["stranger"])


@pytest.mark.parametrize(
    ("setter", "getter", "event"),
    [
        ("updateMasterMinter", "masterMinter", "MasterMinterChanged"),
        ("updateBlacklister", "blacklister", "BlacklisterChanged"),
        ("updatePauser", "pauser", "PauserChanged"),
    ],
)
def test_the_owner_hands_out_roles(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any, setter: str, getter: str, event: str
) -> None:
    receipt = send(usd.functions[setter](actors["guardian"]), actors["owner"])
    assert usd.functions[getter]().call() == actors["guardian"]
    (change,) = usd.events[event]().process_receipt(receipt, DISCARD)
    assert list(change["args"].values()) == [actors["guardian"]]
    with reverts("Unauthorized"):
        send(usd.functions[setter](actors["stranger"]), actors["guardian"])
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions[setter](ZERO), actors["owner"])


def test_each_role_acts_alone(usd: Contract, actors: dict[str, str], send: Any, reverts: Any) -> None:
    """Once handed over, a role is gone from the owner."""
    owner = actors["owner"]
    for setter in ("updateMasterMinter", "updateBlacklister", "updatePauser"):
        send(usd.functions[setter](actors["guardian"]), owner)
    with reverts("MockUSD_NotMasterMinter", owner):
        send(usd.functions.configureMinter(owner, 1), owner)
    with reverts("MockUSD_NotBlacklister", owner):
        send(usd.functions.blacklist(actors["customer"]), owner)
    with reverts("MockUSD_NotPauser", owner):
        send(usd.functions.pause(), owner)
    send(usd.functions.configureMinter(owner, 1), actors["guardian"])
    send(usd.functions.blacklist(actors["customer"]), actors["guardian"])
    send(usd.functions.pause(), actors["guardian"])

"""MockUSD by signature: EIP-3009 and EIP-2612, in both forms, for keys and for smart wallets."""

from __future__ import annotations

from typing import Any

import pytest
from usd_signing import (
    Authorization,
    domain_separator,
    mirrored,
    sign,
    smart_wallet_signature,
    vrs,
)
from web3 import Web3
from web3.contract import Contract
from web3.logs import DISCARD

from wellhead.chain import local

USD = 10**6
NONCE = b"\x01" * 32
ZERO = "0x" + "00" * 20
FORMS = ("vrs", "bytes")
# (function, primary type, who must bring it)
TRANSFERS = [
    ("transferWithAuthorization", "TransferWithAuthorization", "stranger"),
    ("receiveWithAuthorization", "ReceiveWithAuthorization", "operator"),
]


@pytest.fixture(scope="module")
def usd(deploy: Any, send: Any, actors: dict[str, str]) -> Contract:
    token = deploy("MockUSD", actors["owner"])
    send(token.functions.configureMinter(actors["treasury"], 10**15), actors["owner"])
    send(token.functions.mint(actors["customer"], 100 * USD), actors["treasury"])
    return token


@pytest.fixture(scope="module")
def wallet(deploy: Any, usd: Contract, send: Any, actors: dict[str, str]) -> Contract:
    """A smart wallet with money, whose key is the holder's."""
    deployed = deploy("SmartWallet", actors["holder"])
    send(usd.functions.mint(deployed.address, 100 * USD), actors["treasury"])
    return deployed


@pytest.fixture
def terms(actors: dict[str, str]) -> Authorization:
    return Authorization(actors["customer"], actors["operator"], 5 * USD)


def in_form(form: str, signed: Any) -> tuple[Any, ...]:
    return vrs(signed) if form == "vrs" else (bytes(signed.signature),)


def test_type_hashes_are_the_eips(usd: Contract) -> None:
    expected = {
        "TRANSFER_WITH_AUTHORIZATION": "7c7c6cdb67a18743f49ec6fa9b35f50d52ed05cbed4cc592e13b44501c1a2267",
        "RECEIVE_WITH_AUTHORIZATION": "d099cc98ef71107a616c4f0f941f04c322d8e254fe26b3c6668db87aae413de8",
        "CANCEL_AUTHORIZATION": "158b0a9edf7a828aad02f63cd515c68ef2f50ba807396f6d12842833a1597429",
        "PERMIT": "6e71edae12b1b97f4d1f60370fef10105fa2faae0126114a169c64845d6126c9",
    }
    for name, value in expected.items():
        assert usd.functions[f"{name}_TYPEHASH"]().call().hex() == value, name


def test_domain_is_the_one_it_states(usd: Contract) -> None:
    assert usd.functions.DOMAIN_SEPARATOR().call() == domain_separator(usd)


@pytest.mark.parametrize(("function", "primary_type", "sender"), TRANSFERS)
@pytest.mark.parametrize("form", FORMS)
def test_a_signed_transfer_is_carried_out_once(
    usd: Contract,
    actors: dict[str, str],
    keys: Any,
    send: Any,
    reverts: Any,
    terms: Authorization,
    function: str,
    primary_type: str,
    sender: str,
    form: str,
) -> None:
    signed = sign(usd, keys["customer"], primary_type, terms.message())
    call = usd.functions[function](*terms, *in_form(form, signed))
    assert not usd.functions.authorizationState(terms.payer, NONCE).call()

    receipt = send(call, actors[sender])
    assert usd.functions.balanceOf(actors["operator"]).call() == 5 * USD
    assert usd.functions.balanceOf(actors["customer"]).call() == 95 * USD
    assert usd.functions.authorizationState(terms.payer, NONCE).call()
    (event,) = usd.events.AuthorizationUsed().process_receipt(receipt, DISCARD)
    assert dict(event["args"]) == {"authorizer": terms.payer, "nonce": NONCE}

    with reverts("MockUSD_AuthorizationUsedOrCanceled", terms.payer, NONCE):
        send(call, actors[sender])


@pytest.mark.parametrize(("function", "primary_type", "sender"), TRANSFERS)
def test_a_nonce_is_spent_for_every_function(
    usd: Contract,
    actors: dict[str, str],
    keys: Any,
    send: Any,
    reverts: Any,
    terms: Authorization,
    function: str,
    primary_type: str,
    sender: str,
) -> None:
    used = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    send(usd.functions.transferWithAuthorization(*terms, *vrs(used)))
    signed = sign(usd, keys["customer"], primary_type, terms._replace(value=1).message())
    with reverts("MockUSD_AuthorizationUsedOrCanceled", terms.payer, NONCE):
        send(usd.functions[function](*terms._replace(value=1), *vrs(signed)), actors[sender])


@pytest.mark.parametrize("form", FORMS)
def test_receive_is_for_the_receiver_alone(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, terms: Authorization, form: str
) -> None:
    signed = sign(usd, keys["customer"], "ReceiveWithAuthorization", terms.message())
    with reverts("MockUSD_NotReceiver", actors["stranger"], actors["operator"]):
        send(usd.functions.receiveWithAuthorization(*terms, *in_form(form, signed)), actors["stranger"])


def test_receive_signature_is_no_transfer_signature(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, terms: Authorization
) -> None:
    """Otherwise anyone could carry out a deposit past the contract that accounts for it."""
    signed = sign(usd, keys["customer"], "ReceiveWithAuthorization", terms.message())
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions.transferWithAuthorization(*terms, *vrs(signed)), actors["stranger"])


@pytest.mark.parametrize(("function", "primary_type", "sender"), TRANSFERS)
@pytest.mark.parametrize("form", FORMS)
def test_time_bounds_are_strict(
    usd: Contract,
    actors: dict[str, str],
    keys: Any,
    w3: Web3,
    reverts: Any,
    terms: Authorization,
    function: str,
    primary_type: str,
    sender: str,
    form: str,
) -> None:
    now = local.chain_time(w3)

    def at(bounds: dict[str, int]) -> Any:
        bounded = terms._replace(**bounds)
        signed = sign(usd, keys["customer"], primary_type, bounded.message())
        call = usd.functions[function](*bounded, *in_form(form, signed))
        # eth_call at `latest` runs at the time of the last block: exactly `now`
        return call.call({"from": actors[sender]}, block_identifier="latest")

    assert local.chain_time(w3) == now
    with reverts("MockUSD_AuthorizationNotYetValid", now):
        at({"valid_after": now})
    at({"valid_after": now - 1})
    with reverts("MockUSD_AuthorizationExpired", now):
        at({"valid_before": now})
    at({"valid_before": now + 1})


@pytest.mark.parametrize(("function", "primary_type", "sender"), TRANSFERS)
@pytest.mark.parametrize("form", FORMS)
def test_another_key_does_not_sign(
    usd: Contract,
    actors: dict[str, str],
    keys: Any,
    send: Any,
    reverts: Any,
    terms: Authorization,
    function: str,
    primary_type: str,
    sender: str,
    form: str,
) -> None:
    signed = sign(usd, keys["stranger"], primary_type, terms.message())
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions[function](*terms, *in_form(form, signed)), actors[sender])


@pytest.mark.parametrize(
    "change", [{"value": 6 * USD}, {"nonce": b"\x02" * 32}, {"valid_before": 2**255}, {"valid_after": 1}]
)
def test_changed_terms_are_not_the_signed_ones(
    usd: Contract, keys: Any, send: Any, reverts: Any, terms: Authorization, change: dict[str, Any]
) -> None:
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions.transferWithAuthorization(*terms._replace(**change), *vrs(signed)))


def test_a_changed_receiver_is_not_the_signed_one(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, terms: Authorization
) -> None:
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    led_away = terms._replace(to=actors["stranger"])
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions.transferWithAuthorization(*led_away, *vrs(signed)))


@pytest.mark.parametrize("form", FORMS)
def test_the_mirror_image_of_a_signature_is_refused(
    usd: Contract, keys: Any, send: Any, reverts: Any, terms: Authorization, form: str
) -> None:
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    v, r, s = mirrored(signed)
    signature = (v, r, s) if form == "vrs" else (r + s + bytes([v]),)
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions.transferWithAuthorization(*terms, *signature))


@pytest.mark.parametrize("length", [0, 64, 66])
def test_a_key_signs_with_65_bytes(
    usd: Contract, keys: Any, send: Any, reverts: Any, terms: Authorization, length: int
) -> None:
    def signature_over(value: int) -> Any:
        return sign(usd, keys["customer"], "TransferWithAuthorization", terms._replace(value=value).message())

    # With v = 27 the compact form of EIP-2098 is r and s as they are, and ecrecover would accept it.
    value = next(value for value in range(1, 100) if signature_over(value).v == 27)
    signature = (bytes(signature_over(value).signature) + b"\x00")[:length]
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions.transferWithAuthorization(*terms._replace(value=value), signature))


def test_nobody_signs_for_the_zero_address(
    usd: Contract, actors: dict[str, str], send: Any, reverts: Any
) -> None:
    """What ecrecover answers for nonsense must not count as the zero address's signature."""
    terms = Authorization(ZERO, actors["stranger"], 0)
    with reverts("MockUSD_InvalidSignature", ZERO):
        send(usd.functions.transferWithAuthorization(*terms, 29, b"\x01" * 32, b"\x01" * 32))


def test_a_signed_transfer_to_nobody_is_refused(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any
) -> None:
    terms = Authorization(actors["customer"], ZERO, 1)
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    with reverts("MockUSD_ZeroAddress"):
        send(usd.functions.transferWithAuthorization(*terms, *vrs(signed)))


def test_a_signed_transfer_beyond_the_balance_spends_no_nonce(
    usd: Contract, keys: Any, send: Any, reverts: Any, terms: Authorization
) -> None:
    beyond = terms._replace(value=100 * USD + 1)
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", beyond.message())
    with reverts("InsufficientBalance"):
        send(usd.functions.transferWithAuthorization(*beyond, *vrs(signed)))
    assert not usd.functions.authorizationState(terms.payer, NONCE).call()


@pytest.mark.parametrize("form", FORMS)
def test_a_canceled_authorization_is_dead(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, terms: Authorization, form: str
) -> None:
    payment = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    message = {"authorizer": terms.payer, "nonce": NONCE}
    signed = sign(usd, keys["customer"], "CancelAuthorization", message)
    cancel = usd.functions.cancelAuthorization(terms.payer, NONCE, *in_form(form, signed))
    receipt = send(cancel, actors["stranger"])
    (event,) = usd.events.AuthorizationCanceled().process_receipt(receipt, DISCARD)
    assert dict(event["args"]) == message
    with reverts("MockUSD_AuthorizationUsedOrCanceled", terms.payer, NONCE):
        send(usd.functions.transferWithAuthorization(*terms, *vrs(payment)))
    with reverts("MockUSD_AuthorizationUsedOrCanceled", terms.payer, NONCE):
        send(cancel)


@pytest.mark.parametrize("form", FORMS)
def test_only_the_authorizer_cancels(
    usd: Contract, keys: Any, send: Any, reverts: Any, terms: Authorization, form: str
) -> None:
    message = {"authorizer": terms.payer, "nonce": NONCE}
    signed = sign(usd, keys["stranger"], "CancelAuthorization", message)
    with reverts("MockUSD_InvalidSignature", terms.payer):
        send(usd.functions.cancelAuthorization(terms.payer, NONCE, *in_form(form, signed)))


@pytest.mark.parametrize(("function", "primary_type", "sender"), TRANSFERS)
def test_a_smart_wallet_pays_in_the_bytes_form(
    usd: Contract,
    wallet: Contract,
    actors: dict[str, str],
    keys: Any,
    send: Any,
    reverts: Any,
    function: str,
    primary_type: str,
    sender: str,
) -> None:
    terms = Authorization(wallet.address, actors["operator"], 5 * USD)
    signed = sign(usd, keys["holder"], primary_type, terms.message())
    with reverts("MockUSD_InvalidSignature", wallet.address):
        send(usd.functions[function](*terms, bytes(signed.signature)), actors[sender])
    call = usd.functions[function](*terms, smart_wallet_signature(signed))
    send(call, actors[sender])
    assert usd.functions.balanceOf(actors["operator"]).call() == 5 * USD
    with reverts("MockUSD_AuthorizationUsedOrCanceled", wallet.address, NONCE):
        send(call, actors[sender])


def test_a_smart_wallet_refuses_another_key(
    usd: Contract, wallet: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any
) -> None:
    terms = Authorization(wallet.address, actors["operator"], 5 * USD)
    signed = sign(usd, keys["stranger"], "TransferWithAuthorization", terms.message())
    with reverts("MockUSD_InvalidSignature", wallet.address):
        send(usd.functions.transferWithAuthorization(*terms, smart_wallet_signature(signed)))


def test_a_contract_that_is_no_wallet_signs_nothing(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any
) -> None:
    """The token itself has code but no isValidSignature."""
    terms = Authorization(usd.address, actors["operator"], 0)
    signed = sign(usd, keys["customer"], "TransferWithAuthorization", terms.message())
    with reverts("MockUSD_InvalidSignature", usd.address):
        send(usd.functions.transferWithAuthorization(*terms, *vrs(signed)))


def test_a_smart_wallet_cancels(usd: Contract, wallet: Contract, keys: Any, send: Any) -> None:
    message = {"authorizer": wallet.address, "nonce": NONCE}
    signed = sign(usd, keys["holder"], "CancelAuthorization", message)
    send(usd.functions.cancelAuthorization(wallet.address, NONCE, smart_wallet_signature(signed)))
    assert usd.functions.authorizationState(wallet.address, NONCE).call()


def permit_message(owner: str, spender: str, nonce: int, deadline: int) -> dict[str, Any]:
    return {"owner": owner, "spender": spender, "value": 7, "nonce": nonce, "deadline": deadline}


@pytest.mark.parametrize("form", FORMS)
def test_permit_approves_once(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, form: str
) -> None:
    owner, spender = actors["customer"], actors["operator"]
    signed = sign(usd, keys["customer"], "Permit", permit_message(owner, spender, 0, 2**255))
    call = usd.functions.permit(owner, spender, 7, 2**255, *in_form(form, signed))
    receipt = send(call, actors["stranger"])
    assert usd.functions.allowance(owner, spender).call() == 7
    assert usd.functions.nonces(owner).call() == 1
    assert usd.events.Approval().process_receipt(receipt, DISCARD)[0]["args"]["amount"] == 7
    with reverts("MockUSD_InvalidSignature", owner):
        send(call, actors["stranger"])


@pytest.mark.parametrize("form", FORMS)
def test_permit_refuses_after_its_deadline_and_other_keys(
    usd: Contract, actors: dict[str, str], keys: Any, w3: Web3, reverts: Any, form: str
) -> None:
    owner, spender, now = actors["customer"], actors["operator"], local.chain_time(w3)

    def by(role: str, deadline: int) -> Any:
        signed = sign(usd, keys[role], "Permit", permit_message(owner, spender, 0, deadline))
        return usd.functions.permit(owner, spender, 7, deadline, *in_form(form, signed))

    by("customer", now).call(block_identifier="latest")
    with reverts("MockUSD_PermitExpired", now - 1):
        by("customer", now - 1).call(block_identifier="latest")
    with reverts("MockUSD_InvalidSignature", owner):
        by("stranger", now).call(block_identifier="latest")


def test_permit_by_a_smart_wallet(
    usd: Contract, wallet: Contract, actors: dict[str, str], keys: Any, send: Any
) -> None:
    message = permit_message(wallet.address, actors["operator"], 0, 2**255)
    signed = sign(usd, keys["holder"], "Permit", message)
    signature = smart_wallet_signature(signed)
    send(usd.functions.permit(wallet.address, actors["operator"], 7, 2**255, signature))
    assert usd.functions.allowance(wallet.address, actors["operator"]).call() == 7


@pytest.mark.parametrize("blacklisted", ["customer", "operator"])
def test_permit_refuses_the_blacklisted(
    usd: Contract, actors: dict[str, str], keys: Any, send: Any, reverts: Any, blacklisted: str
) -> None:
    owner, spender = actors["customer"], actors["operator"]
    signed = sign(usd, keys["customer"], "Permit", permit_message(owner, spender, 0, 2**255))
    send(usd.functions.blacklist(actors[blacklisted]), actors["owner"])
    with reverts("MockUSD_Blacklisted", actors[blacklisted]):
        send(usd.functions.permit(owner, spender, 7, 2**255, *vrs(signed)))

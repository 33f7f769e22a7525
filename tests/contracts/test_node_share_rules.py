"""ERC-7943: who may hold shares, what is frozen, and what the enforcer may force."""

from __future__ import annotations

import pytest
from share_stage import NOBODY, SHARE_UNITS, ShareStage, raise_stage, the_event
from web3 import Web3

SUPPLY = 1_000 * SHARE_UNITS
YES, NO, REVERTS, BURNS_GAS, ANSWERS_THREE, ANSWERS_SHORT, ANSWERS_LONG = range(7)


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


@pytest.fixture
def share(stage):
    return stage.live_share()


def test_interface_id__is_the_final_erc_7943(share):
    signatures = (
        "forcedTransfer(address,address,uint256)",
        "setFrozenTokens(address,uint256)",
        "canSend(address)",
        "canReceive(address)",
        "getFrozenTokens(address)",
        "canTransfer(address,address,uint256)",
    )
    interface_id = 0
    for signature in signatures:
        interface_id ^= int.from_bytes(Web3.keccak(text=signature)[:4], "big")
    assert interface_id == 0x3EDBB4C4
    for known in (0x3EDBB4C4, 0x01FFC9A7, 0x36372B07):
        assert share.functions.supportsInterface(known.to_bytes(4, "big")).call()
    for unknown in (0xFFFFFFFF, 0x41C4FBAD):
        assert not share.functions.supportsInterface(unknown.to_bytes(4, "big")).call()


# Freezing -----------------------------------------------------------------------------------------------


def test_freeze__holds_its_part(share, send, actors, reverts):
    operator, holder = actors["operator"], actors["holder"]
    receipt = send(share.functions.setFrozenTokens(operator, SUPPLY - 10), sender=actors["enforcer"])
    assert the_event(share.events.Frozen(), receipt) == {"account": operator, "amount": SUPPLY - 10}
    assert share.functions.getFrozenTokens(operator).call() == SUPPLY - 10
    assert share.functions.canTransfer(operator, holder, 10).call()
    assert not share.functions.canTransfer(operator, holder, 11).call()
    with reverts("ERC7943InsufficientUnfrozenBalance", operator, 11, 10):
        send(share.functions.transfer(holder, 11), sender=operator)
    send(share.functions.transfer(holder, 10), sender=operator)


def test_freeze__overwrites_and_may_exceed_the_balance(share, send, actors, reverts):
    operator, holder = actors["operator"], actors["holder"]
    send(share.functions.setFrozenTokens(operator, 2**256 - 1), sender=actors["enforcer"])
    assert not share.functions.canTransfer(operator, holder, 1).call()
    with reverts("ERC7943InsufficientUnfrozenBalance", operator, 1, 0):
        send(share.functions.transfer(holder, 1), sender=operator)
    send(share.functions.setFrozenTokens(operator, 0), sender=actors["enforcer"])
    assert share.functions.accountOf(operator).call()[3] == 0
    send(share.functions.transfer(holder, SUPPLY), sender=operator)


def test_freeze__leaves_income_alone(stage, share, send, actors):
    send(share.functions.setFrozenTokens(actors["operator"], SUPPLY), sender=actors["enforcer"])
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    stage.pass_time(64 * 86_400)
    assert send(share.functions.claim(), sender=actors["operator"])["status"] == 1
    assert stage.usd.functions.balanceOf(actors["operator"]).call() == 6_999_999  # dust


def test_freeze_and_lock__cover_the_same_shares(stage, send, actors, reverts):
    """What may move is the balance less the larger of the two, not less both."""
    share = stage.sale_share()
    holder, stranger = actors["holder"], actors["stranger"]
    send(share.functions.mint(holder, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.mintLocked(holder, 600), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    for frozen, movable in ((500, SHARE_UNITS), (700, SHARE_UNITS - 100)):
        send(share.functions.setFrozenTokens(holder, frozen), sender=actors["enforcer"])
        assert share.functions.canTransfer(holder, stranger, movable).call()
        assert not share.functions.canTransfer(holder, stranger, movable + 1).call()
        with reverts("ERC7943InsufficientUnfrozenBalance", holder, movable + 1, movable):
            send(share.functions.transfer(stranger, movable + 1), sender=holder)


def test_can_transfer__asks_not_for_the_balance(share, actors):
    assert share.functions.canTransfer(actors["stranger"], actors["holder"], 2**256 - 1).call()


# The enforcer -------------------------------------------------------------------------------------------


def test_forced_transfer__moves_free_shares(share, send, actors):
    operator, holder = actors["operator"], actors["holder"]
    send(share.functions.setFrozenTokens(operator, 100), sender=actors["enforcer"])
    receipt = send(share.functions.forcedTransfer(operator, holder, SUPPLY - 100), sender=actors["enforcer"])
    event = the_event(share.events.ForcedTransfer(), receipt)
    assert event == {"from": operator, "to": holder, "amount": SUPPLY - 100}
    assert the_event(share.events.Transfer(), receipt)["amount"] == SUPPLY - 100
    assert len(receipt["logs"]) == 2
    assert share.functions.getFrozenTokens(operator).call() == 100


def test_forced_transfer__past_a_freeze__says_so_before_it_moves(share, send, actors):
    operator, holder = actors["operator"], actors["holder"]
    send(share.functions.setFrozenTokens(operator, SUPPLY - 10), sender=actors["enforcer"])
    receipt = send(share.functions.forcedTransfer(operator, holder, 15), sender=actors["enforcer"])
    topics = [log["topics"][0] for log in receipt["logs"]]
    expected = (
        "Frozen(address,uint256)",
        "Transfer(address,address,uint256)",
        "ForcedTransfer(address,address,uint256)",
    )
    assert topics == [Web3.keccak(text=signature) for signature in expected]
    assert share.functions.getFrozenTokens(operator).call() == SUPPLY - 15
    assert share.functions.balanceOf(operator).call() == SUPPLY - 15
    assert not share.functions.canTransfer(operator, holder, 1).call()


def test_forced_transfer__of_all__ends_the_freeze(share, send, actors):
    operator, holder = actors["operator"], actors["holder"]
    send(share.functions.setFrozenTokens(operator, SUPPLY), sender=actors["enforcer"])
    send(share.functions.forcedTransfer(operator, holder, SUPPLY), sender=actors["enforcer"])
    balance, _, _, flags = share.functions.accountOf(operator).call()
    assert (balance, flags, share.functions.getFrozenTokens(operator).call()) == (0, 0, 0)


def test_forced_transfer__leaves_income_with_its_owner(stage, share, send, actors):
    operator, holder = actors["operator"], actors["holder"]
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    send(share.functions.setFrozenTokens(operator, SUPPLY), sender=actors["enforcer"])
    stage.at(86_400 - 1)
    send(share.functions.forcedTransfer(operator, holder, SUPPLY), sender=actors["enforcer"])
    earned = share.functions.claimableUsd6(operator).call()
    assert earned > 4_400_000
    assert share.functions.claimableUsd6(holder).call() == 0
    send(share.functions.claimFor(operator))
    assert stage.usd.functions.balanceOf(operator).call() == earned


def test_forced_transfer__refusals(share, send, actors, reverts):
    operator, holder, enforcer = actors["operator"], actors["holder"], actors["enforcer"]
    with reverts("NodeShare_InsufficientBalance", operator, SUPPLY, SUPPLY + 1):
        send(share.functions.forcedTransfer(operator, holder, SUPPLY + 1), sender=enforcer)
    for to in (NOBODY, share.address):
        with reverts("ERC7943CannotReceive", to):
            send(share.functions.forcedTransfer(operator, to, 1), sender=enforcer)


def test_enforcer_functions__refuse_everyone_else(share, send, actors, reverts):
    operator, holder = actors["operator"], actors["holder"]
    calls = (share.functions.forcedTransfer(operator, holder, 1), share.functions.setFrozenTokens(holder, 1))
    for call in calls:
        for who in ("owner", "guardian", "operator", "treasury", "stranger"):
            with reverts("NodeShare_NotEnforcer", actors[who]):
                send(call, sender=actors[who])


def test_enforcer__is_whom_the_factory_names_now(stage, share, send, actors, reverts):
    send(stage.factory.functions.setEnforcer(actors["guardian"]), sender=actors["owner"])
    send(share.functions.setFrozenTokens(actors["holder"], 1), sender=actors["guardian"])
    with reverts("NodeShare_NotEnforcer", actors["enforcer"]):
        send(share.functions.setFrozenTokens(actors["holder"], 1), sender=actors["enforcer"])


# Eligibility --------------------------------------------------------------------------------------------


@pytest.fixture
def listing(stage, send, actors):
    """The list module, with the operator and the holder on it."""
    module = stage.deploy("EligibilityList", actors["owner"])
    accounts = [actors["operator"], actors["holder"]]
    send(module.functions.setEligible(accounts, True), sender=actors["owner"])
    return module


def test_eligibility__both_sides_are_asked(stage, listing, send, actors, reverts):
    share = stage.live_share(eligibility=listing.address)
    operator, holder, stranger = actors["operator"], actors["holder"], actors["stranger"]
    assert share.functions.eligibility().call() == listing.address
    send(share.functions.transfer(holder, 5), sender=operator)
    assert not share.functions.canTransfer(operator, stranger, 1).call()
    assert not share.functions.canTransfer(stranger, operator, 1).call()
    assert (share.functions.canSend(stranger).call(), share.functions.canReceive(stranger).call()) == (
        False,
        False,
    )
    with reverts("ERC7943CannotReceive", stranger):
        send(share.functions.transfer(stranger, 1), sender=operator)
    send(listing.functions.setEligible([holder], False), sender=actors["owner"])
    with reverts("ERC7943CannotSend", holder):
        send(share.functions.transfer(operator, 1), sender=holder)


def test_eligibility__forced_transfer_asks_the_receiver_only(stage, listing, send, actors, reverts):
    share = stage.live_share(eligibility=listing.address)
    operator, holder, stranger = actors["operator"], actors["holder"], actors["stranger"]
    with reverts("ERC7943CannotReceive", stranger):
        send(share.functions.forcedTransfer(operator, stranger, 1), sender=actors["enforcer"])
    send(listing.functions.setEligible([operator], False), sender=actors["owner"])
    send(share.functions.forcedTransfer(operator, holder, 1), sender=actors["enforcer"])


def test_eligibility__mint_asks_and_burn_and_income_do_not(stage, listing, send, actors, reverts):
    share = stage.sale_share(eligibility=listing.address)
    holder, stranger = actors["holder"], actors["stranger"]
    for function in (share.functions.mint, share.functions.mintLocked):
        with reverts("ERC7943CannotReceive", stranger):
            send(function(stranger, 1), sender=stage.issuer)
    send(share.functions.mint(holder, 2 * SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    stage.pass_time(86_400)
    send(listing.functions.setEligible([holder], False), sender=actors["owner"])
    send(share.functions.burn(holder, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.claim(), sender=holder)


def test_eligibility__creation_asks_for_the_operator(stage, listing, send, actors, reverts):
    send(listing.functions.setEligible([actors["operator"]], False), sender=actors["owner"])
    with reverts("ERC7943CannotReceive", actors["operator"]):
        stage.live_share(eligibility=listing.address)


def test_eligibility__of_an_address_without_code__refused_at_creation(stage, actors, reverts):
    with reverts("NodeShare_EligibilityWithoutCode", actors["stranger"]):
        stage.live_share(eligibility=actors["stranger"])


@pytest.mark.parametrize("mood", [NO, REVERTS, BURNS_GAS, ANSWERS_THREE, ANSWERS_SHORT])
def test_eligibility__a_module_that_fails_means_no(stage, send, actors, reverts, mood):
    module = stage.deploy("HostileEligibility")
    share = stage.live_share(eligibility=module.address)
    operator, holder = actors["operator"], actors["holder"]
    assert share.functions.canTransfer(operator, holder, 1).call()
    send(module.functions.setMood(mood))
    assert not share.functions.canSend(operator).call()
    assert not share.functions.canReceive(holder).call()
    assert not share.functions.canTransfer(operator, holder, 1).call()
    with reverts("ERC7943CannotSend", operator):
        send(share.functions.transfer(holder, 1), sender=operator)


def test_eligibility__a_long_answer_costs_the_share_nothing(stage, send, actors):
    module = stage.deploy("HostileEligibility")
    share = stage.live_share(eligibility=module.address)
    send(module.functions.setMood(ANSWERS_LONG))
    receipt = send(share.functions.transfer(actors["holder"], 1), sender=actors["operator"])
    assert receipt["gasUsed"] < 80_000


def test_eligibility__a_broken_module_holds_back_nobodys_income(stage, send, actors):
    module = stage.deploy("HostileEligibility")
    share = stage.live_share(eligibility=module.address)
    stage.pay(share, 8_000_000)
    send(module.functions.setMood(BURNS_GAS))
    send(share.functions.sync())
    stage.pass_time(86_400)
    send(share.functions.claim(), sender=actors["operator"])
    send(share.functions.claimOperatorCredit())
    send(share.functions.claimProtocolCredit())

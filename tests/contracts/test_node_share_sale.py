"""The share's phases: what an issuer may do before it is live, and what is locked until then."""

from __future__ import annotations

import pytest
from share_stage import DAY, FAILED, LIVE, NOBODY, SALE, SHARE_UNITS, ShareStage, raise_stage, the_event
from web3 import Web3

MAX_SUPPLY = 1 << 48


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


@pytest.fixture
def share(stage):
    return stage.sale_share()


def test_sale_to_income(stage, share, send, actors):
    """Shares are sold, the sale closes, income arrives, is synced, streams, and is claimed."""
    holder, stranger = actors["holder"], actors["stranger"]
    send(share.functions.mint(holder, 600 * SHARE_UNITS), sender=stage.issuer)
    send(share.functions.mintLocked(actors["operator"], 400 * SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    assert share.functions.phase().call() == LIVE
    stage.pay(share, 10_000_000)
    send(share.functions.sync(), sender=stranger)
    stage.at(60)
    send(share.functions.transfer(actors["second_holder"], 100 * SHARE_UNITS), sender=holder)
    stage.pass_time(100 * DAY)
    # 10 % to the operator and 2.5 % to the protocol leave 8.75; a minute of the shares sold on earned 607.
    claimable = [share.functions.claimableUsd6(actors[who]).call() for who in ("operator", "holder")]
    assert claimable[0] == 3_499_999
    assert claimable[1] == 4_375_607
    send(share.functions.claim(), sender=holder)
    assert stage.usd.functions.balanceOf(holder).call() == claimable[1]
    assert share.functions.credits().call() == [1_000_000, 250_000]


def test_mint__issues_from_zero(stage, share, send, actors):
    receipt = send(share.functions.mint(actors["holder"], 5), sender=stage.issuer)
    event = the_event(share.events.Transfer(), receipt)
    assert event == {"from": NOBODY, "to": actors["holder"], "amount": 5}
    assert share.functions.totalSupply().call() == share.functions.balanceOf(actors["holder"]).call() == 5


def test_mint__to_nobody__refused(stage, share, send, reverts):
    with reverts("ERC7943CannotReceive", NOBODY):
        send(share.functions.mint(NOBODY, 5), sender=stage.issuer)


def test_mint__above_the_largest_supply__refused(stage, share, send, actors, reverts):
    send(share.functions.mint(actors["holder"], MAX_SUPPLY), sender=stage.issuer)
    with reverts("NodeShare_SupplyOutOfBounds", MAX_SUPPLY + 1, 0, MAX_SUPPLY):
        send(share.functions.mint(actors["holder"], 1), sender=stage.issuer)


def test_mint__once_live__refused(stage, share, send, actors, reverts):
    send(share.functions.mint(actors["holder"], SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    for function in (share.functions.mint, share.functions.mintLocked):
        with reverts("NodeShare_WrongPhase", LIVE):
            send(function(actors["holder"], 1), sender=stage.issuer)


def test_sale_lock__nothing_moves_before_the_share_is_live(stage, share, send, actors, reverts):
    holder, stranger = actors["holder"], actors["stranger"]
    send(share.functions.mint(holder, SHARE_UNITS), sender=stage.issuer)
    assert share.functions.phase().call() == SALE
    assert not share.functions.canTransfer(holder, stranger, 1).call()
    with reverts("ERC7943CannotTransfer", holder, stranger, 1):
        send(share.functions.transfer(stranger, 1), sender=holder)
    with reverts("ERC7943CannotTransfer", holder, stranger, 1):
        send(share.functions.forcedTransfer(holder, stranger, 1), sender=actors["enforcer"])
    send(share.functions.goLive(), sender=stage.issuer)
    assert share.functions.canTransfer(holder, stranger, 1).call()
    send(share.functions.transfer(stranger, 1), sender=holder)


def test_go_live__with_less_than_one_share__refused(stage, share, send, actors, reverts):
    send(share.functions.mint(actors["holder"], SHARE_UNITS - 1), sender=stage.issuer)
    with reverts("NodeShare_SupplyOutOfBounds", SHARE_UNITS - 1, SHARE_UNITS, MAX_SUPPLY):
        send(share.functions.goLive(), sender=stage.issuer)
    send(share.functions.mint(actors["holder"], 1), sender=stage.issuer)
    receipt = send(share.functions.goLive(), sender=stage.issuer)
    event = the_event(share.events.WentLive(), receipt)
    assert event["supplyUnits"] == SHARE_UNITS


def test_phases__go_one_way(stage, share, send, actors, reverts):
    send(share.functions.mint(actors["holder"], SHARE_UNITS), sender=stage.issuer)
    receipt = send(share.functions.fail(), sender=stage.issuer)
    the_event(share.events.SaleFailed(), receipt)
    for call in (share.functions.fail(), share.functions.goLive(), share.functions.mint(actors["holder"], 1)):
        with reverts("NodeShare_WrongPhase", FAILED):
            send(call, sender=stage.issuer)


def test_failed_sale__shares_stay_locked_and_burn(stage, share, send, actors, reverts):
    holder = actors["holder"]
    send(share.functions.mint(holder, 10), sender=stage.issuer)
    send(share.functions.mintLocked(actors["operator"], 4), sender=stage.issuer)
    send(share.functions.fail(), sender=stage.issuer)
    with reverts("ERC7943CannotTransfer"):
        send(share.functions.transfer(actors["stranger"], 1), sender=holder)
    send(share.functions.burnLocked(actors["operator"]), sender=stage.issuer)
    send(share.functions.burn(holder, 10), sender=stage.issuer)
    assert share.functions.totalSupply().call() == 0


def test_issuer_functions__refuse_everyone_else(share, send, actors, reverts):
    holder = actors["holder"]
    calls = [
        share.functions.mint(holder, 1),
        share.functions.mintLocked(holder, 1),
        share.functions.goLive(),
        share.functions.fail(),
        share.functions.burn(holder, 1),
        share.functions.unlock(holder),
        share.functions.burnLocked(holder),
    ]
    for call in calls:
        for who in ("owner", "enforcer", "operator", "stranger"):
            with reverts("NodeShare_NotIssuer", actors[who]):
                send(call, sender=actors[who])


# Locked shares ------------------------------------------------------------------------------------------


def test_lock__holds_its_part_until_unlocked(stage, share, send, actors, reverts):
    operator, stranger = actors["operator"], actors["stranger"]
    send(share.functions.mint(operator, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.mintLocked(operator, 30), sender=stage.issuer)
    receipt = send(share.functions.mintLocked(operator, 12), sender=stage.issuer)
    event = the_event(share.events.Locked(), receipt)
    assert event == {"account": operator, "lockedUnits": 12}
    send(share.functions.goLive(), sender=stage.issuer)
    assert share.functions.lockedOf(operator).call() == 42
    assert share.functions.canTransfer(operator, stranger, SHARE_UNITS).call()
    assert not share.functions.canTransfer(operator, stranger, SHARE_UNITS + 1).call()
    with reverts("ERC7943InsufficientUnfrozenBalance", operator, SHARE_UNITS + 1, SHARE_UNITS):
        send(share.functions.transfer(stranger, SHARE_UNITS + 1), sender=operator)
    with reverts("ERC7943CannotTransfer", operator, stranger, SHARE_UNITS + 1):
        send(share.functions.forcedTransfer(operator, stranger, SHARE_UNITS + 1), sender=actors["enforcer"])
    with reverts("ERC7943InsufficientUnfrozenBalance", operator, SHARE_UNITS + 1, SHARE_UNITS):
        send(share.functions.burn(operator, SHARE_UNITS + 1), sender=stage.issuer)
    receipt = send(share.functions.unlock(operator), sender=stage.issuer)
    event = the_event(share.events.Unlocked(), receipt)
    assert event == {"account": operator, "unlockedUnits": 42}
    send(share.functions.transfer(stranger, SHARE_UNITS + 42), sender=operator)


def test_unlock_and_burn_locked__where_nothing_is_locked__do_nothing(stage, share, send, actors):
    send(share.functions.mint(actors["holder"], SHARE_UNITS), sender=stage.issuer)
    for call in (share.functions.unlock(actors["holder"]), share.functions.burnLocked(actors["holder"])):
        assert send(call, sender=stage.issuer)["logs"] == []
    assert share.functions.balanceOf(actors["holder"]).call() == SHARE_UNITS


def test_burn_locked__goes_past_a_freeze(stage, share, send, actors):
    """Else the enforcer, by freezing the operator, could hold up every buyer's refund."""
    operator = actors["operator"]
    send(share.functions.mint(operator, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.mintLocked(operator, 42), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    send(share.functions.setFrozenTokens(operator, 2 * SHARE_UNITS), sender=actors["enforcer"])
    assert share.functions.burnLocked(operator).call({"from": stage.issuer}) == 42
    send(share.functions.burnLocked(operator), sender=stage.issuer)
    assert share.functions.balanceOf(operator).call() == SHARE_UNITS
    assert share.functions.lockedOf(operator).call() == 0


def test_burn_locked__lowers_the_freeze_by_what_it_covered(stage, share, send, actors):
    """ERC-7943 says so; else a freeze on nothing would withhold what the operator receives later."""
    operator = actors["operator"]
    send(share.functions.mint(operator, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.mintLocked(operator, 42), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    send(share.functions.setFrozenTokens(operator, SHARE_UNITS + 42), sender=actors["enforcer"])
    receipt = send(share.functions.burnLocked(operator), sender=stage.issuer)
    frozen = the_event(share.events.Frozen(), receipt)
    assert frozen == {"account": operator, "amount": SHARE_UNITS}
    transfer = Web3.keccak(text="Transfer(address,address,uint256)")
    topics = [log["topics"][0] for log in receipt["logs"]]
    assert topics.index(Web3.keccak(text="Frozen(address,uint256)")) < topics.index(transfer)
    assert share.functions.getFrozenTokens(operator).call() == SHARE_UNITS


def test_after_a_failed_sale__the_enforcer_can_still_move_shares(stage, share, send, actors, reverts):
    """A refund is for whoever holds the shares: lost or seized ones must reach it too."""
    holder, heir = actors["holder"], actors["second_holder"]
    send(share.functions.mint(holder, SHARE_UNITS), sender=stage.issuer)
    with reverts("ERC7943CannotTransfer", holder, heir, 1):
        send(share.functions.forcedTransfer(holder, heir, 1), sender=actors["enforcer"])
    send(share.functions.fail(), sender=stage.issuer)
    send(share.functions.forcedTransfer(holder, heir, SHARE_UNITS), sender=actors["enforcer"])
    send(share.functions.burn(heir, SHARE_UNITS), sender=stage.issuer)
    assert share.functions.totalSupply().call() == 0


def test_locked_shares_earn(stage, share, send, actors):
    send(share.functions.mintLocked(actors["operator"], SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    stage.pay(share, 1_000_000)
    send(share.functions.sync())
    stage.pass_time(64 * DAY)
    assert share.functions.claimableUsd6(actors["operator"]).call() == 875_000


# Burning ------------------------------------------------------------------------------------------------


def test_burn__more_than_held__refused(stage, share, send, actors, reverts):
    send(share.functions.mint(actors["holder"], 7), sender=stage.issuer)
    with reverts("NodeShare_InsufficientBalance", actors["holder"], 7, 8):
        send(share.functions.burn(actors["holder"], 8), sender=stage.issuer)


def test_burn__frozen_units__refused(stage, share, send, actors, reverts):
    send(share.functions.mint(actors["holder"], 7), sender=stage.issuer)
    send(share.functions.setFrozenTokens(actors["holder"], 5), sender=actors["enforcer"])
    with reverts("ERC7943InsufficientUnfrozenBalance", actors["holder"], 3, 2):
        send(share.functions.burn(actors["holder"], 3), sender=stage.issuer)
    send(share.functions.burn(actors["holder"], 2), sender=stage.issuer)


def test_burn__leaves_what_was_earned_and_passes_on_the_rest(stage, share, send, actors):
    holder, second = actors["holder"], actors["second_holder"]
    send(share.functions.mint(holder, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.mint(second, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    stage.at(DAY)
    send(share.functions.burn(holder, SHARE_UNITS), sender=stage.issuer)
    earned = share.functions.claimableUsd6(holder).call()
    assert earned == 2_212_421  # 3.5 * (1 - 1/e), rounded down
    stage.pass_time(64 * DAY)
    assert share.functions.claimableUsd6(holder).call() == earned
    assert share.functions.claimableUsd6(second).call() == 7_000_000 - earned - 1  # dust


def test_burn__of_the_last_share__returns_what_was_not_released(stage, share, send, actors):
    """No share is left to earn it: it waits, and the next sync credits it to the operator."""
    holder = actors["holder"]
    send(share.functions.mint(holder, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    stage.at(DAY)
    receipt = send(share.functions.burn(holder, SHARE_UNITS), sender=stage.issuer)
    event = the_event(share.events.Unsynced(), receipt)
    returned = event["returnedUsd6"]
    earned = share.functions.claimableUsd6(holder).call()
    assert earned == 4_424_843
    assert returned == 7_000_000 - earned - 1
    assert share.functions.unsyncedUsd6().call() == returned
    before, _ = share.functions.credits().call()
    send(share.functions.sync())
    assert share.functions.credits().call()[0] == before + returned
    send(share.functions.claimFor(holder))
    assert stage.usd.functions.balanceOf(holder).call() == earned

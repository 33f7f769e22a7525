"""Offering: money out. Refunds to whoever holds, proceeds to the operator, nothing trapped."""

from __future__ import annotations

import pytest
from sale_stage import DAY, FAILED, NOBODY, OPEN, SHARE, raise_sale_stage
from web3 import Web3
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

# SafeTransferLib reverts from assembly, so no ABI names its errors.
TRANSFER_FAILED = Web3.keccak(text="TransferFailed()")[:4].to_0x_hex()


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors, keys, compiled):
    return raise_sale_stage(
        w3, deploy, send, actors, keys, compiled["NodeShare"].abi, deploy("MisbehavingDollar")
    )


@pytest.fixture
def stage(raised):
    return raised.again()


@pytest.fixture
def sale(stage):
    """An open sale with two buyers and odd amounts."""
    terms = stage.open()
    stage.fund("holder")
    stage.fund("second_holder")
    stage.buy(123 * SHARE + 457)
    stage.buy(177 * SHARE + 1, "second_holder")
    return terms


@pytest.fixture
def undelivered(stage, sale):
    """The sale closed with success, and nothing was ever delivered."""
    stage.pass_until(sale.closes_at)
    stage.close()
    stage.pass_time(60 * DAY)
    stage.send(stage.offering.functions.expire(stage.node))
    return sale


@pytest.fixture
def missed(stage):
    """The sale closed below its soft cap; holder holds all."""
    terms = stage.open()
    stage.fund("holder")
    stage.buy(100 * SHARE + 3)
    stage.pass_until(terms.closes_at)
    stage.close()
    return terms


def test_a_missed_soft_cap_pays_back_all(stage, missed, actors):
    view = stage.view()
    before = stage.balance("holder")
    receipt = stage.refund(100 * SHARE + 3)
    (event,) = stage.offering.events.Refund().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["holder"] == event["args"]["to"] == actors["holder"]
    assert event["args"]["paidUsd6"] == view.raised_usd6 == stage.balance("holder") - before
    assert stage.share.functions.totalSupply().call() == 0
    after = stage.view()
    assert (after.refundable_usd6, after.refunded_usd6) == (0, view.raised_usd6)
    assert after.released_usd6 == 0 < missed.upfront_bps


@pytest.mark.usefixtures("undelivered")
def test_burning_every_share_empties_the_refundable_money(stage):
    view = stage.view()
    assert 0 < view.refundable_usd6 < view.raised_usd6
    supply = stage.share.functions.totalSupply().call()
    assert stage.offering.functions.refundDown(stage.node, 7).call() == view.refundable_usd6 * 7 // supply
    for units, role in ((7, "holder"), (177 * SHARE + 1, "second_holder"), (123 * SHARE + 450, "holder")):
        stage.refund(units, role)
    after = stage.view()
    assert after.refundable_usd6 == 0
    assert after.refunded_usd6 == view.refundable_usd6
    assert stage.offering.functions.refundDown(stage.node, 7).call() == 0


@pytest.mark.usefixtures("undelivered")
def test_the_right_travels_with_the_share(stage, actors, reverts):
    stage.send(stage.share.functions.transfer(actors["stranger"], 123 * SHARE + 457), actors["holder"])
    with reverts("NodeShare_InsufficientBalance", actors["holder"], 0, 1):
        stage.refund(1)
    quote = stage.offering.functions.refundDown(stage.node, 123 * SHARE + 457).call()
    stage.refund(123 * SHARE + 457, "stranger")
    assert stage.balance("stranger") == quote > 0


@pytest.mark.usefixtures("undelivered")
def test_a_refund_goes_where_the_holder_says(stage, actors, reverts):
    refund = stage.offering.functions.refund
    with reverts("Offering_ZeroReceiver"):
        stage.send(refund(stage.node, 1, NOBODY), actors["holder"])
    with reverts("Offering_NoUnits", stage.node):
        stage.send(refund(stage.node, 0, actors["customer"]), actors["holder"])
    stage.send(refund(stage.node, 10 * SHARE, actors["customer"]), actors["holder"])
    assert stage.balance("customer") > 0


@pytest.mark.usefixtures("undelivered")
def test_a_refused_receiver_stops_nobody_else(stage, actors):
    stage.send(stage.dollar.functions.refuse(actors["holder"], True))
    with pytest.raises(ContractCustomError, match=TRANSFER_FAILED):
        stage.refund(SHARE)
    stage.refund(177 * SHARE + 1, "second_holder")
    to = stage.offering.functions.refund(stage.node, 123 * SHARE + 457, actors["customer"])
    stage.send(to, actors["holder"])
    assert stage.view().refundable_usd6 == 0


@pytest.mark.usefixtures("undelivered")
def test_frozen_shares_wait(stage, actors, reverts):
    all_of_it = 123 * SHARE + 457
    stage.send(stage.share.functions.setFrozenTokens(actors["holder"], all_of_it - 5), actors["enforcer"])
    with reverts("ERC7943InsufficientUnfrozenBalance", actors["holder"], 6, 5):
        stage.refund(6)
    stage.refund(5)
    stage.send(stage.share.functions.setFrozenTokens(actors["holder"], 0), actors["enforcer"])
    stage.refund(all_of_it - 5)


def test_holders_that_are_no_longer_eligible_are_refunded(stage, deploy, actors):
    module = deploy("EligibilityList", actors["owner"])
    eligible = [actors["holder"], actors["second_operator"]]
    stage.send(module.functions.setEligible(eligible, True), actors["owner"])
    stage.create_share("second_operator", module.address)
    terms = stage.open("second_operator")
    stage.fund("holder")
    stage.buy(300 * SHARE)
    stage.pass_until(terms.closes_at)
    stage.close()
    stage.send(module.functions.setEligible(eligible, False), actors["owner"])
    stage.pass_time(60 * DAY)
    stage.send(stage.offering.functions.expire(stage.node))
    stage.refund(300 * SHARE)
    assert stage.view().refundable_usd6 == 0


@pytest.mark.usefixtures("undelivered")
def test_a_receiver_that_calls_back_is_refunded_once(stage, actors):
    again = stage.offering.encode_abi("refund", args=[stage.node, SHARE, actors["holder"]])
    owed = stage.view().refundable_usd6
    stage.send(stage.share.functions.transfer(stage.dollar.address, SHARE), actors["holder"])
    stage.send(stage.dollar.functions.callOut(stage.offering.address, again))
    before = stage.balance("holder")
    stage.refund(10 * SHARE)
    assert stage.dollar.functions.didCall().call()
    paid = stage.balance("holder") - before
    view = stage.view()
    assert view.refunded_usd6 == paid == owed - view.refundable_usd6
    assert stage.share.functions.balanceOf(stage.dollar.address).call() == 0


def test_nothing_is_refunded_before_a_failure(stage, sale, reverts):
    with reverts("Offering_WrongState", stage.node, OPEN):
        stage.refund(1)
    assert stage.offering.functions.refundDown(stage.node, 1).call() == 0
    stage.pass_until(sale.closes_at)
    stage.close()
    with reverts("Offering_WrongState", stage.node, 2):
        stage.refund(1)


def test_the_operator_takes_what_was_released_once(stage, sale, actors, reverts):
    withdraw = stage.offering.functions.withdraw
    with reverts("Offering_NothingToWithdraw", stage.node):
        stage.send(withdraw(stage.node, actors["operator"]), actors["operator"])
    stage.pass_until(sale.closes_at)
    stage.close()
    released = stage.view().released_usd6
    with reverts("Offering_NotOperator", stage.node, actors["stranger"]):
        stage.send(withdraw(stage.node, actors["stranger"]), actors["stranger"])
    with reverts("Offering_ZeroReceiver"):
        stage.send(withdraw(stage.node, NOBODY), actors["operator"])
    receipt = stage.send(withdraw(stage.node, actors["treasury"]), actors["operator"])
    (event,) = stage.offering.events.Withdraw().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["to"] == actors["treasury"]
    assert event["args"]["paidUsd6"] == stage.balance("treasury") == stage.view().withdrawn_usd6 == released
    with reverts("Offering_NothingToWithdraw", stage.node):
        stage.send(withdraw(stage.node, actors["operator"]), actors["operator"])


def test_what_was_released_upfront_stays_the_operators_after_a_failure(stage, undelivered, actors):
    released = stage.view().released_usd6
    assert released == stage.view().raised_usd6 * undelivered.upfront_bps // 10_000
    stage.refund(177 * SHARE + 1, "second_holder")
    stage.send(stage.offering.functions.withdraw(stage.node, actors["operator"]), actors["operator"])
    assert stage.balance("operator") == released
    stage.refund(123 * SHARE + 457)
    assert stage.dollar.functions.balanceOf(stage.offering.address).call() == 0


@pytest.mark.usefixtures("undelivered")
def test_one_sale_does_not_pay_for_another(stage, actors):
    first, refundable = stage.node, stage.view().refundable_usd6
    released = stage.view().released_usd6
    stage.create_share("second_operator")
    terms = stage.open("second_operator")
    stage.buy(500 * SHARE, "holder")
    stage.pass_until(terms.closes_at)
    stage.close()
    stage.send(stage.offering.functions.withdraw(stage.node, actors["customer"]), actors["second_operator"])
    held = stage.dollar.functions.balanceOf(stage.offering.address).call()
    assert held == refundable + released + stage.view().refundable_usd6
    stage.node = first
    stage.refund(177 * SHARE + 1, "second_holder")
    stage.refund(123 * SHARE + 457)
    assert stage.view().state == FAILED
    assert stage.view().refundable_usd6 == 0

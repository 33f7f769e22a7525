"""The payer's money back: cooperative refunds, and withdrawals that need nobody."""

from __future__ import annotations

import pytest
from settlement_stage import DELAY, FUNDS, SettlementStage, raise_settlement_stage
from web3.logs import DISCARD

from wellhead.chain import local
from wellhead.deploy.canonical import SETTLEMENT

BALANCE = 1_000_000


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> SettlementStage:
    return raise_settlement_stage(w3, deploy, send, actors, keys, compiled)


@pytest.fixture
def config(stage):
    """A channel with money."""
    opened = stage.config()
    stage.deposit(opened, BALANCE)
    return opened


def nonce(stage, config) -> int:
    return stage.functions.refundNonce(stage.channel_id(config)).call()


def pending(stage, config) -> list[int]:
    return stage.functions.pendingWithdrawals(stage.channel_id(config)).call()


# Refund -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("sender", ["operator", "treasury"])
def test_the_receiver_side_refunds(stage, config, actors, sender):
    receipt = stage.send(stage.functions.refund(tuple(config), 300), actors[sender])
    (event,) = stage.settlement.events.Refunded().process_receipt(receipt, errors=DISCARD)
    assert dict(event["args"]) == {
        "channelId": stage.channel_id(config),
        "sender": actors[sender],
        "amount": 300,
    }
    assert stage.state(config) == (BALANCE - 300, 0)
    assert stage.balance(actors["customer"]) == FUNDS - BALANCE + 300
    assert nonce(stage, config) == 1


@pytest.mark.parametrize("sender", ["customer", "stranger"])
def test_nobody_else_refunds(stage, config, actors, reverts, sender):
    with reverts("BatchSettlement_NotReceiverSide", stage.channel_id(config), actors[sender]):
        stage.send(stage.functions.refund(tuple(config), 1), actors[sender])


def test_a_refund_is_capped_to_what_is_unclaimed(stage, config, actors):
    stage.claim(stage.row(config, 400))
    receipt = stage.send(stage.functions.refund(tuple(config), 2**128 - 1), actors["operator"])
    assert not stage.settlement.events.ChannelClosed().process_receipt(receipt, errors=DISCARD)
    assert stage.state(config) == (400, 400)
    stage.send(stage.functions.settle(actors["operator"], stage.usd.address))
    assert stage.balance(actors["operator"]) == 400
    assert stage.balance(SETTLEMENT.address) == 0


def test_a_full_refund_closes_an_unclaimed_channel(stage, config, actors):
    receipt = stage.send(stage.functions.refund(tuple(config), BALANCE), actors["operator"])
    (event,) = stage.settlement.events.ChannelClosed().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["channelId"] == stage.channel_id(config)
    receipt = stage.deposit(config, 1, salt=2)
    assert stage.settlement.events.ChannelCreated().process_receipt(receipt, errors=DISCARD)


def test_a_refund_of_nothing_left_spends_the_nonce(stage, config, actors):
    stage.claim(stage.row(config, BALANCE))
    receipt = stage.send(stage.functions.refund(tuple(config), 1), actors["operator"])
    assert receipt["logs"] == []
    assert nonce(stage, config) == 1


def test_a_refund_of_zero_is_a_mistake(stage, config, actors, reverts):
    with reverts("BatchSettlement_ZeroAmount"):
        stage.send(stage.functions.refund(tuple(config), 0), actors["operator"])


def test_anyone_brings_a_signed_refund(stage, config, actors):
    signature = stage.refund_signature(config, 300, 0)
    call = stage.functions.refundWithSignature(tuple(config), 300, 0, signature)
    stage.send(call, actors["stranger"])
    assert stage.state(config) == (BALANCE - 300, 0)


def test_a_signed_refund_is_good_once(stage, config, actors, reverts):
    signature = stage.refund_signature(config, 300, 0)
    call = stage.functions.refundWithSignature(tuple(config), 300, 0, signature)
    stage.send(call, actors["stranger"])
    with reverts("BatchSettlement_WrongRefundNonce", stage.channel_id(config), 0, 1):
        stage.send(call, actors["stranger"])


def test_a_direct_refund_spends_the_signed_one(stage, config, actors, reverts):
    signature = stage.refund_signature(config, 300, 0)
    stage.send(stage.functions.refund(tuple(config), 1), actors["operator"])
    with reverts("BatchSettlement_WrongRefundNonce"):
        stage.send(stage.functions.refundWithSignature(tuple(config), 300, 0, signature))


def test_a_signed_refund_is_for_its_amount_channel_and_signer(stage, config, actors, reverts):
    other = stage.config(salt=b"\x05" * 32)
    stage.deposit(other, BALANCE, salt=5)
    signature = stage.refund_signature(config, 300, 0)
    for wrong in (
        stage.functions.refundWithSignature(tuple(config), 301, 0, signature),
        stage.functions.refundWithSignature(tuple(other), 300, 0, signature),
        stage.functions.refundWithSignature(
            tuple(config), 300, 0, stage.refund_signature(config, 300, 0, signer="operator")
        ),
    ):
        with reverts("BatchSettlement_InvalidSignature"):
            stage.send(wrong)
    assert nonce(stage, config) == 0
    assert stage.balance(actors["customer"]) == FUNDS - 2 * BALANCE


def test_refunds_lower_a_pending_withdrawal(stage, config, actors):
    stage.send(stage.functions.initiateWithdraw(tuple(config), 500), actors["customer"])
    stage.send(stage.functions.refund(tuple(config), 200), actors["operator"])
    assert pending(stage, config)[0] == 300
    stage.send(stage.functions.refund(tuple(config), 300), actors["operator"])
    assert pending(stage, config) == [0, 0]


def test_a_refund_to_a_blacklisted_payer_waits(stage, config, actors, reverts):
    stage.send(stage.usd.functions.blacklist(actors["customer"]), actors["owner"])
    with reverts("TransferFailed"):
        stage.send(stage.functions.refund(tuple(config), 1), actors["operator"])
    stage.send(stage.usd.functions.unBlacklist(actors["customer"]), actors["owner"])
    stage.send(stage.functions.refund(tuple(config), 1), actors["operator"])


# Withdraw ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["customer", "holder"])
def test_the_payer_side_withdraws_after_the_delay(stage, actors, reverts, who):
    config = stage.config(payer_authorizer=actors["holder"])
    stage.deposit(config, BALANCE)
    receipt = stage.send(stage.functions.initiateWithdraw(tuple(config), BALANCE), actors[who])
    began = stage.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    (event,) = stage.settlement.events.WithdrawInitiated().process_receipt(receipt, errors=DISCARD)
    assert dict(event["args"]) == {
        "channelId": stage.channel_id(config),
        "amount": BALANCE,
        "finalizeAfter": began + DELAY,
    }
    assert pending(stage, config) == [BALANCE, began]

    local.advance(stage.w3, began + DELAY - 1 - local.chain_time(stage.w3))
    early = (stage.channel_id(config), began + DELAY - 1, began + DELAY)
    with reverts("BatchSettlement_WithdrawalTooEarly", *early):
        stage.functions.finalizeWithdraw(tuple(config)).call({"from": actors[who]})
    stage.pass_time(1)
    receipt = stage.send(stage.functions.finalizeWithdraw(tuple(config)), actors[who])
    (event,) = stage.settlement.events.WithdrawFinalized().process_receipt(receipt, errors=DISCARD)
    assert (event["args"]["sender"], event["args"]["amount"]) == (actors[who], BALANCE)
    assert stage.settlement.events.ChannelClosed().process_receipt(receipt, errors=DISCARD)
    assert stage.balance(actors["customer"]) == FUNDS
    assert pending(stage, config) == [0, 0]


@pytest.mark.parametrize("who", ["operator", "treasury", "stranger"])
def test_nobody_else_withdraws(stage, config, actors, reverts, who):
    refused = (stage.channel_id(config), actors[who])
    with reverts("BatchSettlement_NotPayerSide", *refused):
        stage.send(stage.functions.initiateWithdraw(tuple(config), 1), actors[who])
    stage.send(stage.functions.initiateWithdraw(tuple(config), 1), actors["customer"])
    stage.pass_time(DELAY)
    with reverts("BatchSettlement_NotPayerSide", *refused):
        stage.send(stage.functions.finalizeWithdraw(tuple(config)), actors[who])


def test_claims_during_the_delay_come_first(stage, config, actors):
    stage.send(stage.functions.initiateWithdraw(tuple(config), BALANCE), actors["customer"])
    stage.claim(stage.row(config, 400))
    stage.pass_time(DELAY)
    stage.claim(stage.row(config, 450))
    stage.send(stage.functions.finalizeWithdraw(tuple(config)), actors["customer"])
    assert stage.state(config) == (450, 450)
    assert stage.balance(actors["customer"]) == FUNDS - 450


def test_claims_after_the_withdrawal_come_too_late(stage, config, actors, reverts):
    stage.send(stage.functions.initiateWithdraw(tuple(config), BALANCE), actors["customer"])
    stage.pass_time(DELAY)
    stage.send(stage.functions.finalizeWithdraw(tuple(config)), actors["customer"])
    with reverts("BatchSettlement_ClaimAboveBalance", stage.channel_id(config), 1, 0):
        stage.claim(stage.row(config, 1))


def test_a_withdrawal_of_a_fully_claimed_channel_pays_nothing(stage, config, actors):
    stage.send(stage.functions.initiateWithdraw(tuple(config), 5), actors["customer"])
    stage.claim(stage.row(config, BALANCE))
    stage.pass_time(DELAY)
    stage.send(stage.functions.finalizeWithdraw(tuple(config)), actors["customer"])
    assert stage.balance(actors["customer"]) == FUNDS - BALANCE
    assert pending(stage, config) == [0, 0]


def test_one_withdrawal_at_a_time(stage, config, actors, reverts):
    stage.send(stage.functions.initiateWithdraw(tuple(config), 1), actors["customer"])
    (_, began) = pending(stage, config)
    with reverts("BatchSettlement_WithdrawalPending", stage.channel_id(config), began):
        stage.send(stage.functions.initiateWithdraw(tuple(config), 1), actors["customer"])


def test_withdrawing_needs_to_be_asked_for(stage, config, actors, reverts):
    with reverts("BatchSettlement_NoWithdrawalPending", stage.channel_id(config)):
        stage.send(stage.functions.finalizeWithdraw(tuple(config)), actors["customer"])
    with reverts("BatchSettlement_ZeroAmount"):
        stage.send(stage.functions.initiateWithdraw(tuple(config), 0), actors["customer"])
    stage.claim(stage.row(config, 400))
    left = BALANCE - 400
    with reverts("BatchSettlement_WithdrawalAboveAvailable", stage.channel_id(config), left + 1, left):
        stage.send(stage.functions.initiateWithdraw(tuple(config), left + 1), actors["customer"])

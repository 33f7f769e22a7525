"""The life of a share that its operator kept: created, moved, earning, claimed."""

import brownie
from conftest import DAY, HOLDERS_BPS, OPERATOR_CUT_BPS, PROTOCOL_CUT_BPS, SHARE, SUPPLY, USD

INCOME = 10_000 * USD
HOLDERS_INCOME = INCOME * HOLDERS_BPS // 10_000


def test_a_share_is_born_live_and_whole(cast, factory, node, share):
    assert factory.shareOf(node) == share
    assert share.node() == node
    assert share.phase() == 1
    assert share.balanceOf(cast["operator"]) == share.totalSupply() == SUPPLY


def test_there_is_one_share_per_node(cast, factory, node, share):
    terms = ("Again", "AGAIN", DAY, 0, brownie.ZERO_ADDRESS, brownie.ZERO_ADDRESS, SUPPLY)
    with brownie.reverts(f"NodeShareFactory_AlreadyCreated: {node}, {share.address.lower()}"):
        factory.create(node, terms, {"from": cast["operator"]})


def test_a_transfer_moves_shares(cast, share):
    moved = share.transfer(cast["holder"], 400 * SHARE, {"from": cast["operator"]})
    assert moved.events["Transfer"]["amount"] == 400 * SHARE
    assert share.balanceOf(cast["holder"]) == 400 * SHARE
    assert share.balanceOf(cast["operator"]) == SUPPLY - 400 * SHARE
    assert share.totalSupply() == SUPPLY


def test_nobody_moves_what_they_do_not_hold(cast, share):
    holder = cast["holder"]
    with brownie.reverts(f"NodeShare_InsufficientBalance: {holder.address.lower()}, 0, 1"):
        share.transfer(cast["operator"], 1, {"from": holder})


def test_income_by_plain_transfer_waits_for_a_sync(cast, usd, share):
    usd.transfer(share, INCOME, {"from": cast["customer"]})
    assert share.unsyncedUsd6() == INCOME
    synced = share.sync({"from": cast["holder"]})
    assert synced.return_value == INCOME
    assert synced.events["Synced"]["operatorUsd6"] == INCOME * OPERATOR_CUT_BPS // 10_000
    assert synced.events["Synced"]["protocolUsd6"] == INCOME * PROTOCOL_CUT_BPS // 10_000
    assert share.unsyncedUsd6() == 0


def test_income_streams_to_whoever_holds_the_shares(cast, pass_time, share, earn):
    share.transfer(cast["holder"], SUPPLY // 4, {"from": cast["operator"]})
    earn(INCOME)
    pass_time(DAY)
    after_one_tau = share.claimableUsd6(cast["holder"])
    # 1 - 1/e of a quarter, within the seconds that the blocks took.
    assert abs(after_one_tau - HOLDERS_INCOME // 4 * 6_321 // 10_000) < USD
    pass_time(100 * DAY)
    assert HOLDERS_INCOME // 4 - 1 <= share.claimableUsd6(cast["holder"]) <= HOLDERS_INCOME // 4


def test_what_was_earned_stays_with_who_earned_it(cast, pass_time, share, earn):
    earn(INCOME)
    pass_time(100 * DAY)
    earned = share.claimableUsd6(cast["operator"])
    share.transfer(cast["holder"], SUPPLY, {"from": cast["operator"]})
    assert share.claimableUsd6(cast["operator"]) == earned
    assert share.claimableUsd6(cast["holder"]) == 0


def test_a_claim_pays_the_holder_once(cast, pass_time, usd, share, earn):
    operator = cast["operator"]
    earn(INCOME)
    pass_time(100 * DAY)
    before = usd.balanceOf(operator)
    paid = share.claim({"from": operator}).return_value
    assert HOLDERS_INCOME - 1 <= paid <= HOLDERS_INCOME
    assert usd.balanceOf(operator) == before + paid
    with brownie.reverts(f"NodeShare_NothingToClaim: {operator.address.lower()}"):
        share.claim({"from": operator})


def test_a_claim_for_another_pays_where_that_account_wants_it(cast, pass_time, usd, share, earn):
    share.setPayout(cast["second-holder"], {"from": cast["operator"]})
    earn(INCOME)
    pass_time(DAY)
    before = usd.balanceOf(cast["second-holder"])
    paid = share.claimFor(cast["operator"], {"from": cast["customer"]}).return_value
    assert paid > 0
    assert usd.balanceOf(cast["second-holder"]) == before + paid


def test_both_cuts_are_paid_out_whole(cast, usd, share, earn):
    earn(INCOME)
    share.claimOperatorCredit({"from": cast["customer"]})
    share.claimProtocolCredit({"from": cast["customer"]})
    assert usd.balanceOf(cast["operator"]) == INCOME * OPERATOR_CUT_BPS // 10_000
    assert usd.balanceOf(cast["treasury"]) == INCOME * PROTOCOL_CUT_BPS // 10_000

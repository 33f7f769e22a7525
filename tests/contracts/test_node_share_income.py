"""Income: what sync accounts for, how it streams, and who is paid what and where."""

from __future__ import annotations

import pytest
from share_stage import DAY, FAILED, NOBODY, SHARE_UNITS, ShareStage, raise_stage, the_event

from wellhead.reference.exp_decay import released_x64_down
from wellhead.reference.reservoir import MAX_ACCOUNTED_USD6, MAX_PER_UNIT_X48

SUPPLY = 1_000 * SHARE_UNITS
MAX_SUPPLY = 1 << 48
CENT = 10_000


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


@pytest.fixture
def share(stage):
    return stage.live_share()


# Syncing ------------------------------------------------------------------------------------------------


def test_sync__splits_exactly(stage, share, send, actors):
    stage.pay(share, 8_000_000)
    receipt = send(share.functions.sync(), sender=actors["stranger"])
    assert the_event(share.events.Synced(), receipt) == {
        "caller": actors["stranger"],
        "syncedUsd6": 8_000_000,
        "operatorUsd6": 800_000,
        "protocolUsd6": 200_000,
    }
    accounted, updated_at, pending, index = share.functions.reservoir().call()
    assert accounted == 8_000_000
    assert updated_at == stage.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    assert pending == (7_000_000 << 48) // SUPPLY
    assert index == 0
    assert share.functions.credits().call() == [800_000, 200_000]


def test_sync__takes_whole_cents_and_keeps_the_rest_for_next_time(stage, share, send):
    stage.pay(share, CENT - 1)
    assert send(share.functions.sync())["logs"] == []
    assert share.functions.unsyncedUsd6().call() == CENT - 1
    stage.pay(share, CENT + 2)
    assert share.functions.sync().call() == 2 * CENT
    send(share.functions.sync())
    assert share.functions.unsyncedUsd6().call() == 1
    assert share.functions.credits().call() == [2 * 1_000, 2 * 250]


def test_sync__twice__accounts_once(stage, share, send):
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    before = share.functions.reservoir().call()
    stage.pass_time(DAY)
    assert send(share.functions.sync())["logs"] == []
    assert share.functions.reservoir().call() == before


def test_sync__during_the_sale__waits(stage, send, actors):
    share = stage.sale_share()
    send(share.functions.mint(actors["holder"], SHARE_UNITS), sender=stage.issuer)
    stage.pay(share, 8_000_000)
    assert send(share.functions.sync())["logs"] == []
    send(share.functions.goLive(), sender=stage.issuer)
    assert share.functions.sync().call() == 8_000_000
    send(share.functions.sync())
    stage.pass_time(64 * DAY)
    assert share.functions.claimableUsd6(actors["holder"]).call() == 7_000_000


def test_sync__after_a_failed_sale__credits_the_operator_alone(stage, send, actors, reverts):
    share = stage.sale_share()
    send(share.functions.mint(actors["holder"], SHARE_UNITS), sender=stage.issuer)
    stage.pay(share, 8_000_001)
    send(share.functions.fail(), sender=stage.issuer)
    assert share.functions.phase().call() == FAILED
    receipt = send(share.functions.sync())
    assert the_event(share.events.Synced(), receipt)["operatorUsd6"] == 8_000_001
    assert send(share.functions.sync())["logs"] == []
    assert share.functions.credits().call() == [8_000_001, 0]
    stage.pass_time(DAY)
    with reverts("NodeShare_NothingToClaim", actors["holder"]):
        send(share.functions.claimFor(actors["holder"]))
    send(share.functions.claimOperatorCredit())
    assert stage.usd.functions.balanceOf(actors["operator"]).call() == 8_000_001


def test_sync__of_a_fortune__takes_what_can_be_accounted_for(stage, send, actors):
    """$72 billion fit at a time; the rest waits, and nothing reverts."""
    share = stage.live_share(supply_units=MAX_SUPPLY)
    stage.pay(share, 2**128)
    most = MAX_ACCOUNTED_USD6 // CENT * CENT
    assert share.functions.sync().call() == most
    send(share.functions.sync())
    assert send(share.functions.sync())["logs"] == []
    stage.pass_time(64 * DAY)
    paid = share.functions.claim().call({"from": actors["operator"]})
    assert most * 8_750 // 10_000 - 1 <= paid <= most * 8_750 // 10_000
    send(share.functions.claim(), sender=actors["operator"])
    assert share.functions.sync().call() == (2**56 - 1 - (most - paid)) // CENT * CENT


def test_sync__beyond_what_a_share_unit_can_earn__is_the_operators(stage, send, actors):
    """The index holds $4.29 billion per share for life; what passes that could never be the holders'."""
    share = stage.live_share(supply_units=SHARE_UNITS)
    limit = (MAX_PER_UNIT_X48 * SHARE_UNITS) >> 48
    stage.pay(share, 2 * 2**53)
    synced = share.functions.sync().call()
    assert synced == limit // 8_750 * CENT
    send(share.functions.sync())
    stage.pass_time(64 * DAY)
    send(share.functions.claim(), sender=actors["operator"])
    credit = share.functions.credits().call()[0]
    send(share.functions.sync())
    assert share.functions.indexX48().call() <= MAX_PER_UNIT_X48
    rest = 2 * 2**53 - synced
    assert share.functions.unsyncedUsd6().call() == rest % CENT
    assert share.functions.credits().call()[0] == credit + rest // CENT * CENT


def test_sync__with_all_of_it_cut__credits_operator_and_protocol(w3, deploy, send, actors, compiled):
    stage = raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi, protocol_cut_bps=1_000)
    share = stage.live_share(operator_cut_bps=9_000)
    stage.pay(share, CENT)
    send(share.functions.sync())
    assert share.functions.credits().call() == [9_000, 1_000]
    assert share.functions.reservoir().call()[2] == 0


def test_sync__without_cuts__leaves_all_to_the_holders(w3, deploy, send, actors, compiled):
    stage = raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi, protocol_cut_bps=0)
    share = stage.live_share(operator_cut_bps=0)
    stage.pay(share, CENT)
    send(share.functions.sync())
    assert share.functions.credits().call() == [0, 0]
    assert share.functions.reservoir().call()[2] == (CENT << 48) // SUPPLY


# Streaming ----------------------------------------------------------------------------------------------


def test_stream__follows_the_exponential(stage, share, send, actors):
    stage.pay(share, 8_000_000)
    started = stage.at(1)
    send(share.functions.sync())
    pending = (7_000_000 << 48) // SUPPLY
    for elapsed in (1, 60, DAY // 2, DAY, 7 * DAY, 64 * DAY):
        now = stage.pass_time(started + elapsed - stage.w3.eth.get_block("latest")["timestamp"])
        assert now == started + elapsed
        index = pending * released_x64_down(elapsed, DAY) >> 64
        assert share.functions.indexX48().call() == index
        assert share.functions.claimableUsd6(actors["operator"]).call() == (SUPPLY * index) >> 48


def test_stream__buying_in_just_before_a_settlement_gains_only_the_seconds_held(stage, share, send, actors):
    """Half of all shares for one minute out of a day's tau: a minute's release, not half the settlement."""
    operator, sniper = actors["operator"], actors["stranger"]
    send(share.functions.transfer(sniper, SUPPLY // 2), sender=operator)
    stage.pay(share, 8_000_000)
    stage.at(5)
    send(share.functions.sync())
    stage.at(60)
    send(share.functions.transfer(operator, SUPPLY // 2), sender=sniper)
    assert share.functions.claimableUsd6(sniper).call() == 2_429  # 3.5 * (1 - e^(-60/86400))


def test_sync__what_the_last_unit_cannot_take__is_the_operators(stage, send, actors):
    """One unit left over after refunds earns at most what an index can say, and locks up nothing beyond it."""
    share = stage.sale_share(operator_cut_bps=0)
    send(share.functions.mint(actors["holder"], SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    send(share.functions.burn(actors["holder"], SHARE_UNITS - 1), sender=stage.issuer)
    stage.pay(share, 10_000_000_000)
    send(share.functions.sync())
    taken = share.functions.reservoir().call()[0]
    assert (
        taken * 9_750 // 10_000 <= 2**32 < taken < 10_000_000_000
    )  # the holder's part fits, and one cent more does not
    send(share.functions.sync())
    assert share.functions.unsyncedUsd6().call() == 0
    assert share.functions.credits().call()[0] == 10_000_000_000 - taken
    stage.pay(share, 1_000_000)
    send(share.functions.sync())
    assert share.functions.credits().call()[0] == 10_001_000_000 - taken


def test_stream__dust_postpones_nothing(stage, share, send, actors):
    """A cent synced every minute for an hour moves the release of a settlement by rounding only."""
    stage.pay(share, 8_000_000)
    started = stage.at(1)
    send(share.functions.sync())
    gifts = 0
    for minute in range(1, 60):
        stage.pay(share, CENT)
        stage.at(started + 60 * minute - stage.w3.eth.get_block("latest")["timestamp"])
        send(share.functions.sync())
        gifts += 1
    stage.pass_time(started + 3_600 - stage.w3.eth.get_block("latest")["timestamp"])
    alone = SUPPLY * ((7_000_000 << 48) // SUPPLY * released_x64_down(3_600, DAY) >> 64) >> 48
    earned = share.functions.claimableUsd6(actors["operator"]).call()
    assert alone <= earned <= alone + gifts * 8_750


# Claims -------------------------------------------------------------------------------------------------


def earn(stage, share, income=8_000_000):
    stage.pay(share, income)
    stage.send(share.functions.sync())
    stage.pass_time(DAY)


def test_claim__pays_whole_units_and_keeps_the_fraction(stage, share, send, actors):
    operator = actors["operator"]
    earn(stage, share)
    now = stage.at(1)
    receipt = send(share.functions.claim(), sender=operator)
    event = the_event(share.events.Claimed(), receipt)
    assert (event["caller"], event["account"], event["payout"]) == (operator, operator, operator)
    balance, accrued, index, _ = share.functions.accountOf(operator).call()
    assert stage.w3.eth.get_block("latest")["timestamp"] == now
    assert index == share.functions.indexX48().call()
    assert accrued == (balance * index >> 32) % 2**16 > 0
    assert stage.usd.functions.balanceOf(operator).call() == event["paidUsd6"] == (balance * index) >> 48
    assert share.functions.reservoir().call()[0] == 8_000_000 - event["paidUsd6"]


def test_claim__of_nothing__refused(share, send, actors, reverts):
    with reverts("NodeShare_NothingToClaim", actors["operator"]):
        send(share.functions.claim(), sender=actors["operator"])
    with reverts("NodeShare_NothingToClaim", actors["stranger"]):
        send(share.functions.claimFor(actors["stranger"]), sender=actors["operator"])
    with reverts("NodeShare_NothingToClaim", actors["operator"]):
        send(share.functions.claimOperatorCredit())
    with reverts("NodeShare_NothingToClaim", actors["treasury"]):
        send(share.functions.claimProtocolCredit())


def test_claim_for__pays_the_account_never_the_caller(stage, share, send, actors):
    earn(stage, share)
    receipt = send(share.functions.claimFor(actors["operator"]), sender=actors["stranger"])
    event = the_event(share.events.Claimed(), receipt)
    assert (event["caller"], event["payout"]) == (actors["stranger"], actors["operator"])
    assert stage.usd.functions.balanceOf(actors["stranger"]).call() == 0
    assert stage.usd.functions.balanceOf(actors["operator"]).call() == event["paidUsd6"] > 0


def test_payout__goes_where_the_account_says(stage, share, send, actors):
    operator, elsewhere = actors["operator"], actors["customer"]
    receipt = send(share.functions.setPayout(elsewhere), sender=operator)
    assert the_event(share.events.PayoutSet(), receipt) == {"account": operator, "payout": elsewhere}
    assert share.functions.payoutOf(operator).call() == elsewhere
    earn(stage, share)
    send(share.functions.claimFor(operator), sender=actors["stranger"])
    send(share.functions.claimOperatorCredit(), sender=actors["stranger"])
    assert stage.usd.functions.balanceOf(operator).call() == 0
    assert stage.usd.functions.balanceOf(elsewhere).call() > 800_000


@pytest.mark.parametrize("own", [True, False])
def test_payout__to_nobody_or_oneself__is_the_account_again(share, send, actors, own):
    holder = actors["holder"]
    assert share.functions.payoutOf(holder).call() == holder
    send(share.functions.setPayout(actors["customer"]), sender=holder)
    receipt = send(share.functions.setPayout(holder if own else NOBODY), sender=holder)
    assert the_event(share.events.PayoutSet(), receipt) == {"account": holder, "payout": holder}
    assert share.functions.payoutOf(holder).call() == holder
    assert share.functions.accountOf(holder).call() == (0, 0, 0, 0)


def test_payout__to_the_share_itself__streams_again(stage, share, send, actors):
    """Its holder's choice, and nobody's loss: what is paid there is new income."""
    operator = actors["operator"]
    send(share.functions.setPayout(share.address), sender=operator)
    earn(stage, share)
    paid = share.functions.claimableUsd6(operator).call()
    send(share.functions.claimFor(operator))
    assert paid <= share.functions.unsyncedUsd6().call() <= paid + 100
    assert share.functions.sync().call() > 0


def test_credits__are_paid_to_operator_and_treasury(stage, share, send, actors):
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    receipt = send(share.functions.claimOperatorCredit(), sender=actors["stranger"])
    event = the_event(share.events.OperatorCreditClaimed(), receipt)
    assert event == {"caller": actors["stranger"], "payout": actors["operator"], "paidUsd6": 800_000}
    receipt = send(share.functions.claimProtocolCredit(), sender=actors["stranger"])
    event = the_event(share.events.ProtocolCreditClaimed(), receipt)
    assert event == {"caller": actors["stranger"], "treasury": actors["treasury"], "paidUsd6": 200_000}
    assert stage.usd.functions.balanceOf(actors["operator"]).call() == 800_000
    assert stage.usd.functions.balanceOf(actors["treasury"]).call() == 200_000
    assert share.functions.credits().call() == [0, 0]
    assert share.functions.reservoir().call()[0] == 7_000_000


def test_burn__down_to_one_unit__hands_back_what_the_index_cannot_hold(stage, send, actors):
    share = stage.sale_share()
    holder = actors["holder"]
    send(share.functions.mint(holder, SHARE_UNITS), sender=stage.issuer)
    send(share.functions.goLive(), sender=stage.issuer)
    stage.pay(share, 10**13)
    stage.at(1)
    send(share.functions.sync())
    stage.at(1)
    receipt = send(share.functions.burn(holder, SHARE_UNITS - 1), sender=stage.issuer)
    returned = the_event(share.events.Unsynced(), receipt)["returnedUsd6"]
    accounted, _, pending, index = share.functions.reservoir().call()
    assert pending + index == MAX_PER_UNIT_X48
    assert accounted == 10**13 - returned
    assert share.functions.unsyncedUsd6().call() == returned
    credit = share.functions.credits().call()[0]
    send(share.functions.sync())
    whole = returned // CENT * CENT
    assert share.functions.credits().call()[0] == credit + whole
    accounted += whole
    stage.pass_time(64 * DAY)
    # All that is accounted for is claimable, but for the credits and less than three units of dust.
    owed = share.functions.claimableUsd6(holder).call() + sum(share.functions.credits().call())
    assert accounted - 3 < owed <= accounted

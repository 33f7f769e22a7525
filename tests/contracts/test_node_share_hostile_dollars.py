"""Stablecoins that blacklist, fail, take fees, shrink or call back: they cost only what they spoil themselves."""

from __future__ import annotations

import pytest
from share_stage import DAY, SHARE_UNITS, ShareStage, raise_stage

from wellhead.chain import local

SUPPLY = 1_000 * SHARE_UNITS
DOLLARS = ("BlacklistingDollar", "FalseDollar", "FeeDollar", "ShrinkingDollar", "ReentrantDollar")


@pytest.fixture(scope="module")
def staged(w3, deploy, send, actors, compiled):
    """staged("Dollar") -> a stage over it and a share of which operator and holder have half each."""

    def build(dollar: str) -> tuple[ShareStage, object]:
        stage = raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi, usd=deploy(dollar))
        share = stage.live_share()
        send(share.functions.transfer(actors["holder"], SUPPLY // 2), sender=actors["operator"])
        stage.pay(share, 8_000_000)
        send(share.functions.sync())
        return stage, share

    built = {dollar: build(dollar) for dollar in DOLLARS}
    local.advance(w3, DAY)
    return built.__getitem__


def owed(share, actors) -> int:
    """All that could be claimed now, credits included."""
    accounts = [share.functions.claimableUsd6(actors[who]).call() for who in ("operator", "holder")]
    return sum(accounts) + sum(share.functions.credits().call())


def test_blacklisting__of_one_holder__stops_nobody_else(staged, send, actors, reverts):
    stage, share = staged("BlacklistingDollar")
    send(stage.usd.functions.setBlacklisted(actors["holder"], True))
    with reverts("TransferFailed"):
        send(share.functions.claimFor(actors["holder"]))
    for call in (
        share.functions.claimFor(actors["operator"]),
        share.functions.claimOperatorCredit(),
        share.functions.claimProtocolCredit(),
    ):
        send(call, sender=actors["stranger"])


def test_blacklisting__is_escaped_by_another_payout(staged, send, actors):
    stage, share = staged("BlacklistingDollar")
    send(stage.usd.functions.setBlacklisted(actors["holder"], True))
    send(share.functions.setPayout(actors["customer"]), sender=actors["holder"])
    send(share.functions.claim(), sender=actors["holder"])
    assert stage.usd.functions.balanceOf(actors["customer"]).call() > 0


def test_blacklisting__of_the_treasury__stops_nobody_else(staged, send, actors, reverts):
    stage, share = staged("BlacklistingDollar")
    send(stage.usd.functions.setBlacklisted(actors["treasury"], True))
    with reverts("TransferFailed"):
        send(share.functions.claimProtocolCredit())
    send(share.functions.claim(), sender=actors["holder"])
    send(share.functions.claimOperatorCredit())


def test_false__instead_of_a_revert__pays_nothing_and_takes_nothing(staged, send, actors, reverts):
    stage, share = staged("FalseDollar")
    send(stage.usd.functions.setFailing(True))
    before = share.functions.claimableUsd6(actors["holder"]).call()
    with reverts("TransferFailed"):
        send(share.functions.claim(), sender=actors["holder"])
    send(stage.usd.functions.setFailing(False))
    send(share.functions.claim(), sender=actors["holder"])
    assert stage.usd.functions.balanceOf(actors["holder"]).call() >= before


@pytest.mark.parametrize("greedy", [False, True])
def test_fees__are_the_receivers_or_stop_the_syncing(staged, send, actors, greedy):
    """A fee out of the amount is the receiver's loss. One on top leaves a gap that new income fills first."""
    stage, share = staged("FeeDollar")
    send(stage.usd.functions.setGreedy(greedy))
    send(share.functions.claim(), sender=actors["holder"])
    accounted = share.functions.reservoir().call()[0]
    gap = accounted - stage.usd.functions.balanceOf(share.address).call()
    assert (gap > 0) == greedy
    assert send(share.functions.sync())["logs"] == []
    stage.pay(share, gap + 10_000)
    assert share.functions.sync().call() == 10_000
    assert owed(share, actors) <= accounted


def test_shrinking__below_what_is_accounted_for__syncs_nothing(staged, send, actors):
    stage, share = staged("ShrinkingDollar")
    send(stage.usd.functions.seize(share.address, 3_000_000))
    assert share.functions.unsyncedUsd6().call() == 0
    assert send(share.functions.sync())["logs"] == []
    send(share.functions.claim(), sender=actors["holder"])
    stage.pay(share, 2_000_000)
    assert send(share.functions.sync())["logs"] == []
    stage.pay(share, 1_010_000)
    assert share.functions.sync().call() == 10_000


def test_dead__dollar__does_not_make_sync_revert(staged, send):
    stage, share = staged("ShrinkingDollar")
    send(stage.usd.functions.setDead(True))
    assert send(share.functions.sync())["logs"] == []
    assert share.functions.unsyncedUsd6().call() == 0


CALLS = ("sync", "claimFor", "claimOperatorCredit", "claimProtocolCredit", "claim")


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("inner", CALLS)
@pytest.mark.parametrize("outer", ["claimFor", "claimOperatorCredit", "claimProtocolCredit"])
def test_reentrant__calls__mint_no_money(staged, send, actors, outer, inner, moment):
    """The dollar calls back while money is on its way out, with new income waiting: what is owed stays covered.

    Were `accountedUsd6` lowered before the money has left, a sync in between would take it for new income.
    """
    stage, share = staged("ReentrantDollar")
    stage.pay(share, 20_000)
    arguments = {"claimFor": [actors["holder"]]}
    call = share.encode_abi(inner, arguments.get(inner, []))
    script = (call, b"") if moment == "before" else (b"", call)
    send(stage.usd.functions.setCalls(share.address, *script))
    send(getattr(share.functions, outer)(*arguments.get(outer, [])))
    expected = 0 if inner in ("claim", outer) else 1
    assert stage.usd.functions.calls().call() == expected
    balance = stage.usd.functions.balanceOf(share.address).call()
    received = 8_020_000
    paid = sum(
        stage.usd.functions.balanceOf(actors[who]).call() for who in ("operator", "holder", "treasury")
    )
    accounted = share.functions.reservoir().call()[0]
    assert received == paid + accounted + share.functions.unsyncedUsd6().call()
    send(stage.usd.functions.setCalls(share.address, b"", b""))
    send(share.functions.sync())
    stage.pass_time(64 * DAY)
    accounted = share.functions.reservoir().call()[0]
    assert accounted <= balance
    assert accounted - 4 <= owed(share, actors) <= accounted

"""What the share's four everyday transactions cost, against the project's targets, in steady state."""

from __future__ import annotations

import pytest
from share_stage import DAY, SHARE_UNITS, ShareStage, raise_stage

TARGETS = {
    "share_transfer": 39_000,
    "share_transfer_listed": 47_000,
    "share_claim": 51_000,
    "share_sync": 43_500,
}


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


def warmed(stage: ShareStage, eligibility: str | None = None):
    """A share on which everything has happened once: no slot is touched for the first time."""
    operator, holder = stage.actors["operator"], stage.actors["holder"]
    share = stage.live_share(**({"eligibility": eligibility} if eligibility else {}))
    stage.send(share.functions.transfer(holder, 400 * SHARE_UNITS), sender=operator)
    stage.pay(share, 90_000_000)
    stage.send(share.functions.sync())
    stage.pass_time(DAY // 3)
    stage.send(share.functions.claimFor(holder))
    stage.pay(share, 12_345_678)
    stage.pass_time(DAY // 5)
    return share


def test_share_transfer(stage):
    share = warmed(stage)
    receipt = stage.send(
        share.functions.transfer(stage.actors["operator"], 3 * SHARE_UNITS + 7), sender=stage.actors["holder"]
    )
    print(f"share_transfer: {receipt['gasUsed']}")
    assert receipt["gasUsed"] <= TARGETS["share_transfer"]


def test_share_transfer_listed(stage):
    holders = [stage.actors["operator"], stage.actors["holder"]]
    module = stage.deploy("EligibilityList", stage.actors["owner"])
    stage.send(module.functions.setEligible(holders, True), sender=stage.actors["owner"])
    share = warmed(stage, module.address)
    receipt = stage.send(
        share.functions.transfer(stage.actors["operator"], 3 * SHARE_UNITS + 7), sender=stage.actors["holder"]
    )
    print(f"share_transfer_listed: {receipt['gasUsed']}")
    assert receipt["gasUsed"] <= TARGETS["share_transfer_listed"]


def test_share_claim(stage):
    share = warmed(stage)
    receipt = stage.send(share.functions.claim(), sender=stage.actors["holder"])
    print(f"share_claim: {receipt['gasUsed']}")
    assert receipt["gasUsed"] <= TARGETS["share_claim"]


def test_share_sync(stage):
    share = warmed(stage)
    receipt = stage.send(share.functions.sync(), sender=stage.actors["stranger"])
    print(f"share_sync: {receipt['gasUsed']}")
    assert receipt["gasUsed"] <= TARGETS["share_sync"]

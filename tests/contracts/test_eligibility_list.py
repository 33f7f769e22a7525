"""EligibilityList: the owner's allow-list."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def listing(deploy, actors):
    return deploy("EligibilityList", actors["owner"])


def test_set_eligible__lists_and_strikes_off(listing, send, actors):
    accounts = [actors["holder"], actors["second_holder"]]
    receipt = send(listing.functions.setEligible(accounts, True), sender=actors["owner"])
    events = [dict(event["args"]) for event in listing.events.EligibilitySet().process_receipt(receipt)]
    assert events == [{"account": account, "eligible": True} for account in accounts]
    assert [listing.functions.isEligible(account).call() for account in accounts] == [True, True]
    send(listing.functions.setEligible(accounts[:1], False), sender=actors["owner"])
    assert [listing.functions.isEligible(account).call() for account in accounts] == [False, True]


def test_is_eligible__of_a_stranger__is_false(listing, actors):
    assert not listing.functions.isEligible(actors["stranger"]).call()


def test_set_eligible__by_another__refused(listing, send, actors, reverts):
    with reverts("Unauthorized"):
        send(listing.functions.setEligible([actors["stranger"]], True), sender=actors["stranger"])

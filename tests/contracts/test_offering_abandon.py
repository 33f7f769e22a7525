"""A share whose sale never opens: what reached it is not stuck, whatever became of the node."""

from __future__ import annotations

import pytest
from sale_stage import FAILED, FAILED_PHASE, raise_sale_stage
from web3.logs import DISCARD

INCOME = 10_000_000_000


@pytest.fixture(scope="module")
def raised(w3, deploy, send, actors, keys, compiled):
    stage = raise_sale_stage(w3, deploy, send, actors, keys, compiled["NodeShare"].abi)
    stage.send(stage.dollar.functions.mint(stage.share.address, INCOME))
    return stage


@pytest.fixture
def stage(raised):
    return raised.again()


def abandon(stage, role: str = "operator"):
    return stage.send(stage.offering.functions.abandon(stage.node), stage.actors[role])


def unname(stage) -> None:
    stage.send(stage.registry.functions.setMarket(stage.offering.address, False), stage.actors["owner"])


def suspend(stage) -> None:
    stage.send(stage.registry.functions.suspend(stage.node), stage.actors["guardian"])


def retire(stage) -> None:
    stage.send(stage.registry.functions.retire(stage.node), stage.actors["operator"])


def nothing(_) -> None:
    pass


@pytest.mark.parametrize("happened", [nothing, unname, suspend, retire])
def test_income_that_came_early_is_the_operators(stage, actors, happened):
    happened(stage)
    receipt = abandon(stage)
    (event,) = stage.offering.events.AbandonSale().process_receipt(receipt, errors=DISCARD)
    assert dict(event["args"]) == {
        "node": stage.node,
        "operator": actors["operator"],
        "share": stage.share.address,
    }
    assert stage.view().state == FAILED
    assert stage.share.functions.phase().call() == FAILED_PHASE
    stage.send(stage.share.functions.sync())
    stage.send(stage.share.functions.claimOperatorCredit())
    assert stage.balance("operator") == INCOME


@pytest.mark.parametrize("role", ["owner", "guardian", "stranger", "second_operator"])
def test_nobody_else_abandons(stage, actors, reverts, role):
    with reverts("Offering_NotOperator", stage.node, actors[role]):
        abandon(stage, role)


def test_what_was_opened_or_abandoned_stays_so(stage, reverts):
    abandon(stage)
    with reverts("Offering_AlreadyOpened", stage.node, FAILED):
        abandon(stage)
    with reverts("Offering_AlreadyOpened", stage.node, FAILED):
        stage.open()
    stage.create_share()
    stage.open()
    with reverts("Offering_AlreadyOpened", stage.node, 1):
        abandon(stage)


def test_a_share_of_another_issuer_is_not_ours_to_abandon(stage, actors, reverts):
    stage.send(stage.factory.functions.setIssuer(actors["guardian"], True), actors["owner"])
    stage.create_share(issuer=actors["guardian"])
    with reverts("Offering_NotIssuer", stage.node, actors["guardian"]):
        abandon(stage)

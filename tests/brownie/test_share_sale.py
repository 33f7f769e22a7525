"""The life of a share that is sold: bought, live or refunded, and burned."""

import brownie
import pytest
from conftest import DAY, NOBODY, OPERATOR_CUT_BPS, SHARE, USD

HOUR = 3_600
PRICE = 10 * USD
SOFT_CAP = 200 * SHARE
HARD_CAP = 1_000 * SHARE
RETAINED = 250 * SHARE
UPFRONT_BPS = 2_000
BOUGHT = {"holder": 300 * SHARE, "second-holder": 100 * SHARE}
SOLD = sum(BOUGHT.values())
RAISED = SOLD * PRICE // SHARE
OPEN, DELIVERING, DELIVERED, FAILED = 1, 2, 3, 4
LIVE, NEVER_LIVE = 1, 2


@pytest.fixture(scope="module")
def share(cast, chain, usd, factory, node, offering, NodeShare):
    """Shares of the node, on sale for a week."""
    terms = ("Node One", "NODE1", DAY, OPERATOR_CUT_BPS, NOBODY, offering, 0)
    factory.create(node, terms, {"from": cast["operator"]})
    now = chain.time()
    offering.open(
        node,
        (
            *(PRICE, SOFT_CAP, HARD_CAP, RETAINED, now, now + 7 * DAY, UPFRONT_BPS),
            *(100 * HOUR, now + 17 * DAY, now + 31 * DAY, 365 * DAY, 1_500_000),
        ),
        {"from": cast["operator"]},
    )
    for role in BOUGHT:
        usd.approve(offering, 2**256 - 1, {"from": cast[role]})
    return NodeShare.at(factory.shareOf(node))


@pytest.fixture
def buy(cast, node, offering, share):  # noqa: ARG001 - there is a sale
    """buy(role, units) at the price of the sale."""

    def buy_shares(role, units):
        return offering.buy(node, units, units * PRICE // SHARE, cast[role], {"from": cast[role]})

    return buy_shares


@pytest.fixture
def sold_out_of_time(cast, pass_time, node, offering, buy):
    """More than the soft cap was bought, less than the hard cap, and the week is over."""
    for role, units in BOUGHT.items():
        buy(role, units)
    pass_time(7 * DAY)
    offering.close(node, {"from": cast["customer"]})


def test_buyers_have_their_shares_at_once_but_locked_in_place(cast, usd, share, buy):
    before = usd.balanceOf(cast["holder"])
    buy("holder", 300 * SHARE)
    assert share.balanceOf(cast["holder"]) == 300 * SHARE
    assert usd.balanceOf(cast["holder"]) == before - 300 * PRICE
    with brownie.reverts(revert_pattern="ERC7943CannotTransfer: .*"):
        share.transfer(cast["second-holder"], SHARE, {"from": cast["holder"]})


@pytest.mark.usefixtures("sold_out_of_time")
def test_a_sale_that_reaches_its_soft_cap_goes_live(cast, usd, node, offering, share):
    assert offering.stateOf(node) == DELIVERING
    assert share.phase() == LIVE
    retained = RETAINED * SOLD // HARD_CAP
    assert share.balanceOf(cast["operator"]) == share.lockedOf(cast["operator"]) == retained
    assert share.totalSupply() == SOLD + retained
    before = usd.balanceOf(cast["operator"])
    offering.withdraw(node, cast["operator"], {"from": cast["operator"]})
    assert usd.balanceOf(cast["operator"]) == before + RAISED * UPFRONT_BPS // 10_000


@pytest.mark.usefixtures("sold_out_of_time")
def test_sold_shares_move_and_earn(cast, pass_time, share, earn):
    share.transfer(cast["second-holder"], 100 * SHARE, {"from": cast["holder"]})
    earn(1_000 * USD)
    pass_time(100 * DAY)
    claimed = [share.claim({"from": cast[role]}).return_value for role in BOUGHT]
    assert claimed[0] == claimed[1] > 0  # 200 shares each by now


def test_a_sale_that_misses_its_soft_cap_is_refunded_whole(cast, pass_time, usd, node, offering, share, buy):
    holder = cast["holder"]
    buy("holder", SOFT_CAP - 1)
    pass_time(7 * DAY)
    offering.close(node, {"from": cast["customer"]})
    assert offering.stateOf(node) == FAILED
    assert share.phase() == NEVER_LIVE
    before = usd.balanceOf(holder)
    paid = offering.refund(node, SOFT_CAP - 1, holder, {"from": holder}).return_value
    assert usd.balanceOf(holder) == before + paid
    assert paid == offering.saleOf(node)["raisedUsd6"]
    assert share.totalSupply() == 0
    assert usd.balanceOf(offering) == 0


@pytest.mark.usefixtures("sold_out_of_time")
def test_the_right_to_a_refund_travels_with_the_share(cast, pass_time, node, offering, share):
    newcomer = cast["treasury"]
    share.transfer(newcomer, 300 * SHARE, {"from": cast["holder"]})
    # Nothing was delivered, and nobody ever brought a reading.
    pass_time(31 * DAY + offering.graceSeconds())
    offering.expire(node, {"from": cast["customer"]})
    assert share.balanceOf(cast["operator"]) == 0
    unreleased = RAISED - RAISED * UPFRONT_BPS // 10_000
    paid = offering.refund(node, 300 * SHARE, newcomer, {"from": newcomer}).return_value
    assert paid == unreleased * 3 // 4
    with brownie.reverts(revert_pattern="NodeShare_InsufficientBalance: .*"):
        offering.refund(node, SHARE, cast["holder"], {"from": cast["holder"]})


@pytest.mark.usefixtures("sold_out_of_time")
def test_income_earned_before_a_burn_stays_with_its_holder(cast, pass_time, node, offering, share, earn):
    holder = cast["holder"]
    earn(1_000 * USD)
    pass_time(31 * DAY + offering.graceSeconds())
    offering.expire(node, {"from": cast["customer"]})
    earned = share.claimableUsd6(holder)
    offering.refund(node, BOUGHT["holder"], holder, {"from": holder})
    assert share.balanceOf(holder) == 0
    assert share.claim({"from": holder}).return_value >= earned > 0

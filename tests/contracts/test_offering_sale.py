"""Offering: opening a sale on bounded terms, buying within it, closing it."""

from __future__ import annotations

import pytest
from registering import register_attested
from sale_stage import (
    DAY,
    DELIVERING,
    FAILED,
    FAILED_PHASE,
    GRACE,
    HOUR,
    LIVE_PHASE,
    NOBODY,
    NONE,
    OPEN,
    RING,
    SHARE,
    WINDOW,
    raise_sale_stage,
    sample_terms,
)
from web3 import Web3
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

NO_LIMIT = 2**256 - 1
# SafeTransferLib reverts from assembly, so no ABI names its errors.
TRANSFER_FROM_FAILED = Web3.keccak(text="TransferFromFailed()")[:4].to_0x_hex()
MAX_SUPPLY = 2**48 - 1
PROVABLE = RING * WINDOW


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
    """An open sale; holder and customer have money."""
    terms = stage.open()
    stage.fund("holder")
    stage.fund("customer")
    return terms


# Opening ----------------------------------------------------------------------------------------


def test_opening_stores_the_terms_and_holds_the_node(stage):
    terms = sample_terms(stage.now())
    receipt = stage.send(stage.offering.functions.open(stage.node, terms), stage.actors["operator"])
    (event,) = stage.offering.events.OpenSale().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["operator"] == stage.actors["operator"]
    assert event["args"]["share"] == stage.share.address
    assert stage.offering.functions.termsOf(stage.node).call() == terms
    floor = stage.offering.functions.floorPriceUsd6PerGpuHour(stage.node).call()
    assert floor == terms.floor_price_usd6_per_gpu_hour
    assert stage.view() == (OPEN, stage.share.address, *[0] * 8)
    assert stage.registry.functions.holdsOf(stage.node, stage.offering.address).call() == 1


def test_constants_follow_the_oracle(stage):
    assert stage.offering.functions.graceSeconds().call() == GRACE
    assert stage.offering.functions.provableSeconds().call() == PROVABLE
    assert stage.offering.functions.asset().call() == stage.dollar.address


def test_only_the_operator_opens(stage, reverts):
    with reverts("Offering_NotOperator", stage.node, stage.actors["stranger"]):
        stage.open("stranger")


def test_a_node_is_sold_once(stage, sale, reverts):
    with reverts("Offering_AlreadyOpened", stage.node, OPEN):
        stage.open()
    stage.pass_until(sale.closes_at)
    stage.close()
    with reverts("Offering_AlreadyOpened", stage.node, FAILED):
        stage.open()


def test_a_sale_needs_a_share_of_its_own(stage, reverts, actors, keys):
    stage.node = register_attested(stage.registry, stage.send, actors["operator"], keys)
    with reverts("Offering_NoShare", stage.node):
        stage.open()
    stage.send(stage.factory.functions.setIssuer(actors["stranger"], True), actors["owner"])
    stage.create_share(issuer=actors["stranger"])
    with reverts("Offering_NotIssuer", stage.node, actors["stranger"]):
        stage.open()


def test_a_share_whose_sale_is_over_is_not_for_sale(stage, reverts, deploy, actors):
    live = deploy("ShareStandIn", LIVE_PHASE)
    offering = deploy(
        *("Offering", actors["owner"], actors["guardian"]),
        *(stage.registry.address, live.address, stage.oracle.address),
    )
    stage.offering = offering
    stage.send(live.functions.setIssuer(offering.address))
    with reverts("Offering_WrongPhase", stage.node, LIVE_PHASE):
        stage.open()


def test_suspended_and_retired_nodes_are_not_sold(stage, reverts, actors):
    suspended, retired = 4, 5
    stage.send(stage.registry.functions.suspend(stage.node), actors["guardian"])
    with reverts("NodeRegistry_WrongStatus", stage.node, suspended):
        stage.open()
    stage.send(stage.registry.functions.retire(stage.node), actors["operator"])
    with reverts("NodeRegistry_WrongStatus", stage.node, retired):
        stage.open()


def name(text: str) -> bytes:
    return text.encode().ljust(32, b"\0")


@pytest.mark.parametrize(
    ("field", "value", "least", "most"),
    [
        ("hardCapUnits", SHARE - 1, SHARE, MAX_SUPPLY),
        ("hardCapUnits", MAX_SUPPLY + 1, SHARE, MAX_SUPPLY),
        ("softCapUnits", SHARE - 1, SHARE, 1_000 * SHARE),
        ("softCapUnits", 1_000 * SHARE + 1, SHARE, 1_000 * SHARE),
        ("retainedUnits", MAX_SUPPLY - 1_000 * SHARE + 1, 0, MAX_SUPPLY - 1_000 * SHARE),
        ("priceUsd6PerShare", 0, 1, 10**13),
        ("priceUsd6PerShare", 10**13 + 1, 1, 10**13),
        ("upfrontBps", 5_001, 0, 5_000),
        ("serviceTermSeconds", DAY - 1, DAY, 3_650 * DAY),
        ("serviceTermSeconds", 3_650 * DAY + 1, DAY, 3_650 * DAY),
        ("floorPriceUsd6PerGpuHour", 10**12 + 1, 0, 10**12),
    ],
)
def test_terms_without_time_are_bounded(stage, reverts, field, value, least, most):
    with reverts("SaleTerms_OutOfBounds", name(field), value, least, most):
        stage.open(**{snake(field): value})


def snake(field: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in field)


LEAST_DELIVERY = 7 * DAY + 102 * HOUR  # the sale, 100 hours of delivery, a window at either end


@pytest.mark.parametrize(
    ("field", "value", "least", "most"),
    [
        ("opensAt", 90 * DAY + 1, None, 90 * DAY),
        ("closesAt", HOUR - 1, HOUR, 180 * DAY),
        ("closesAt", 180 * DAY + 1, HOUR, 180 * DAY),
        ("deliverHardLimit", LEAST_DELIVERY - 1, LEAST_DELIVERY, PROVABLE - GRACE),
        ("deliverHardLimit", PROVABLE - GRACE + 1, LEAST_DELIVERY, PROVABLE - GRACE),
        ("deliverBy", LEAST_DELIVERY - 1, LEAST_DELIVERY, 31 * DAY),
        ("deliverBy", 31 * DAY + 1, LEAST_DELIVERY, 31 * DAY),
    ],
)
def test_times_are_bounded(stage, reverts, field, value, least, most):
    """Simulated, so against the time of the last block."""
    now = stage.now()
    bounds = (0 if least is None else now + least, now + most)
    with reverts("SaleTerms_OutOfBounds", name(field), now + value, *bounds):
        stage.open(**{snake(field): now + value})


def test_the_length_of_a_sale_counts_from_its_opening(stage, reverts):
    now = stage.now()
    with reverts(
        "SaleTerms_OutOfBounds", name("closesAt"), now + 7 * DAY, now + 8 * DAY + HOUR, now + 188 * DAY
    ):
        stage.open(opens_at=now + 8 * DAY)


def test_a_sale_due_a_moment_ago_opens(stage):
    stage.open(opens_at=0)
    assert stage.view().state == OPEN


def test_the_time_to_deliver_is_bounded(stage, reverts):
    most = PROVABLE - GRACE - 7 * DAY - 2 * HOUR
    with reverts("SaleTerms_OutOfBounds", name("deliverySeconds"), HOUR - 1, HOUR, most):
        stage.open(delivery_seconds=HOUR - 1)
    with reverts("SaleTerms_OutOfBounds", name("deliverySeconds"), most + 1, HOUR, most):
        stage.open(delivery_seconds=most + 1)
    last = stage.now() + PROVABLE - GRACE + 1
    stage.send(
        stage.offering.functions.open(
            stage.node,
            sample_terms(
                stage.now(), delivery_seconds=most, deliver_by=last - 1, deliver_hard_limit=last - 1
            ),
        ),
        stage.actors["operator"],
    )


def test_a_sale_longer_than_the_oracle_remembers_is_refused(stage, reverts):
    now = stage.now()
    with reverts("SaleTerms_OutOfBounds", name("deliverySeconds"), 100 * HOUR, HOUR, 0):
        stage.open(closes_at=now + 179 * DAY)


# Buying -----------------------------------------------------------------------------------------


def test_buying_costs_the_price_rounded_up(stage, sale, actors):
    assert stage.offering.functions.costUp(stage.node, 1).call() == 13
    receipt = stage.buy(SHARE + 1, "holder", "second_holder")
    (event,) = stage.offering.events.BuyShares().process_receipt(receipt, errors=DISCARD)
    cost = sale.price_usd6_per_share + 13
    assert event["args"]["buyer"] == actors["holder"]
    assert event["args"]["to"] == actors["second_holder"]
    assert event["args"]["units"] == SHARE + 1
    assert event["args"]["costUsd6"] == cost
    assert stage.share.functions.balanceOf(actors["second_holder"]).call() == SHARE + 1
    assert stage.dollar.functions.balanceOf(stage.offering.address).call() == cost
    view = stage.view()
    assert (view.sold_units, view.raised_usd6, view.refundable_usd6) == (SHARE + 1, cost, cost)


def test_the_buyer_limits_the_cost(stage, sale, reverts, actors):
    cost = sale.price_usd6_per_share * 3
    buy = stage.offering.functions.buy
    with reverts("Offering_CostAboveLimit", stage.node, cost, cost - 1):
        stage.send(buy(stage.node, 3 * SHARE, cost - 1, actors["holder"]), actors["holder"])
    stage.send(buy(stage.node, 3 * SHARE, cost, actors["holder"]), actors["holder"])


def test_the_hard_cap_is_hard(stage, sale, reverts):
    stage.buy(sale.hard_cap_units - 5)
    with reverts("Offering_HardCapExceeded", stage.node, 6, 5):
        stage.buy(6)
    with reverts("Offering_HardCapExceeded", stage.node, 2**64 - 1, 5):
        stage.buy(2**64 - 1)
    stage.buy(5)
    assert stage.view().sold_units == sale.hard_cap_units


def test_nothing_is_sold_before_or_after(stage, reverts):
    opens, closes = stage.now() + DAY, stage.now() + 2 * DAY
    stage.open(opens_at=opens, closes_at=closes)
    stage.fund("holder")
    early = stage.now()
    with reverts("Offering_OutsideSale", stage.node, early, opens, closes):
        stage.buy(1)
    stage.pass_until(opens)
    stage.buy(1)
    stage.pass_until(closes)
    with reverts("Offering_OutsideSale", stage.node, stage.now(), opens, closes):
        stage.buy(1)


def test_there_is_nothing_to_buy_without_a_sale(stage, reverts):
    stage.fund("holder")
    with reverts("Offering_WrongState", stage.node, NONE):
        stage.buy(1)


@pytest.mark.usefixtures("sale")
def test_zero_units_are_refused(stage, reverts):
    with reverts("Offering_NoUnits", stage.node):
        stage.buy(0)


@pytest.mark.usefixtures("sale")
def test_a_token_that_takes_a_fee_or_answers_false_is_refused(stage, reverts):
    stage.send(stage.dollar.functions.takeFee(1))
    with reverts("Offering_WrongAmountReceived", 12, 13):
        stage.buy(1)
    stage.send(stage.dollar.functions.takeFee(0))
    stage.send(stage.dollar.functions.answerFalse(True))
    with pytest.raises(ContractCustomError, match=TRANSFER_FROM_FAILED):
        stage.buy(1)


@pytest.mark.usefixtures("sale")
def test_a_purchase_from_within_a_purchase_does_not_pay_twice(stage, reverts):
    inner = stage.offering.encode_abi("buy", args=[stage.node, 1, 13, stage.actors["customer"]])
    stage.send(stage.dollar.functions.mint(stage.dollar.address, 13))
    stage.send(stage.dollar.functions.callOut(stage.offering.address, inner))
    with reverts("Offering_WrongAmountReceived", 26, 13):
        stage.buy(1)


@pytest.mark.usefixtures("sale")
def test_only_the_eligible_receive_shares(stage, reverts, deploy, actors):
    module = deploy("EligibilityList", actors["owner"])
    stage.create_share("second_operator", module.address)
    stage.open("second_operator")
    with reverts("ERC7943CannotReceive", actors["holder"]):
        stage.buy(1)
    with reverts("ERC7943CannotReceive", NOBODY):
        stage.send(stage.offering.functions.buy(stage.node, 1, NO_LIMIT, NOBODY), actors["holder"])
    stage.send(module.functions.setEligible([actors["customer"]], True), actors["owner"])
    stage.buy(1, "holder", "customer")


@pytest.mark.usefixtures("sale")
def test_a_pause_stops_buying_alone(stage, reverts, actors):
    stage.buy(300 * SHARE)
    with reverts("Guarded_NotGuardian", actors["operator"]):
        stage.send(stage.offering.functions.setPaused(True), actors["operator"])
    stage.send(stage.offering.functions.setPaused(True), actors["guardian"])
    with reverts("Guarded_Paused"):
        stage.buy(1)
    stage.pass_time(8 * DAY)
    stage.close()
    stage.send(stage.offering.functions.withdraw(stage.node, actors["operator"]), actors["operator"])
    stage.pass_time(60 * DAY)
    stage.send(stage.offering.functions.expire(stage.node))
    stage.refund(300 * SHARE)


def test_only_the_owner_names_the_guardian(stage, reverts, actors):
    with reverts("Unauthorized"):
        stage.send(stage.offering.functions.setGuardian(actors["stranger"]), actors["guardian"])
    stage.send(stage.offering.functions.setGuardian(actors["stranger"]), actors["owner"])
    stage.send(stage.offering.functions.setPaused(True), actors["stranger"])


# Closing ----------------------------------------------------------------------------------------


def test_an_open_sale_cannot_be_closed(stage, sale, reverts):
    stage.buy(300 * SHARE)
    with reverts("Offering_StillOpen", stage.node, 700 * SHARE, sale.closes_at):
        stage.close()


def test_a_sold_out_sale_closes_at_once(stage, sale):
    stage.buy(sale.hard_cap_units)
    receipt = stage.close()
    view = stage.view()
    assert view.state == DELIVERING
    assert view.closed_at == stage.w3.eth.get_block(receipt["blockNumber"])["timestamp"] < sale.closes_at


def test_closing_late_counts_from_when_the_sale_was_over(stage, sale):
    stage.buy(300 * SHARE)
    stage.pass_until(sale.closes_at + 5 * DAY)
    stage.close()
    view = stage.view()
    genesis = stage.oracle.functions.genesis().call()
    assert view.closed_at == sale.closes_at
    assert view.deliver_from - WINDOW < sale.closes_at <= view.deliver_from
    assert (view.deliver_from - genesis) % WINDOW == 0


def test_a_successful_close_splits_money_and_shares(stage, sale, actors):
    sold = 333 * SHARE + 7
    stage.buy(sold)
    stage.pass_until(sale.closes_at)
    receipt = stage.close()
    view = stage.view()
    released = view.raised_usd6 * 2_000 // 10_000
    retained = 250 * SHARE * sold // (1_000 * SHARE)
    (event,) = stage.offering.events.CloseSale().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["state"] == DELIVERING
    assert event["args"]["upfrontUsd6"] == view.released_usd6 == released
    assert (
        event["args"]["retainedUnits"]
        == stage.share.functions.lockedOf(actors["operator"]).call()
        == retained
    )
    assert view.refundable_usd6 == view.raised_usd6 - released
    assert stage.share.functions.phase().call() == LIVE_PHASE
    assert stage.registry.functions.holdsOf(stage.node, stage.offering.address).call() == 1


def test_the_soft_cap_decides(stage, sale):
    stage.buy(sale.soft_cap_units)
    stage.pass_until(sale.closes_at)
    stage.close()
    assert stage.view().state == DELIVERING


def test_a_missed_soft_cap_fails_and_frees_the_node(stage, sale):
    stage.buy(sale.soft_cap_units - 1)
    stage.pass_until(sale.closes_at)
    receipt = stage.close()
    view = stage.view()
    (event,) = stage.offering.events.CloseSale().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["state"] == view.state == FAILED
    assert (view.released_usd6, view.refundable_usd6) == (0, view.raised_usd6)
    assert stage.share.functions.phase().call() == FAILED_PHASE
    assert stage.registry.functions.holdsOf(stage.node, stage.offering.address).call() == 0


def test_a_sale_closes_once(stage, sale, reverts):
    stage.pass_until(sale.closes_at)
    stage.close()
    with reverts("Offering_WrongState", stage.node, FAILED):
        stage.close()


@pytest.mark.usefixtures("sale")
def test_an_operator_that_its_module_refuses_retains_nothing(stage, deploy, actors):
    module = deploy("EligibilityList", actors["owner"])
    stage.create_share("second_operator", module.address)
    stage.open("second_operator")
    stage.send(module.functions.setEligible([actors["holder"]], True), actors["owner"])
    stage.buy(300 * SHARE)
    stage.pass_time(8 * DAY)
    stage.close()
    assert stage.view().state == DELIVERING
    assert stage.share.functions.totalSupply().call() == 300 * SHARE
    stage.pass_time(60 * DAY)
    stage.send(stage.offering.functions.expire(stage.node))
    stage.refund(300 * SHARE)
    assert stage.view().refundable_usd6 == 0


def test_a_sale_goes_on_when_the_market_is_no_longer_named(stage, sale, actors):
    stage.buy(300 * SHARE)
    stage.send(stage.registry.functions.setMarket(stage.offering.address, False), actors["owner"])
    stage.pass_until(sale.closes_at)
    stage.close()
    stage.pass_time(60 * DAY)
    stage.send(stage.offering.functions.expire(stage.node))
    stage.refund(300 * SHARE)


def test_the_node_stays_while_the_sale_is_undecided(stage, sale, reverts, actors):
    retire = stage.registry.functions.retire(stage.node)
    with reverts("NodeRegistry_Held", stage.node, 1):
        stage.send(retire, actors["operator"])
    stage.pass_until(sale.closes_at)
    stage.close()
    stage.send(retire, actors["operator"])

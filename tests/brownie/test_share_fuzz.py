"""Whatever the income and however the shares are split, holders get all of it but dust, in proportion."""

from brownie.test import given, strategy
from conftest import DAY, HOLDERS_BPS, SUPPLY, USD
from hypothesis import settings

CENT = 10_000
# Three hundred time constants: everything has drained.
FOREVER = 300 * DAY


@given(
    income=strategy("uint256", min_value=CENT, max_value=1_000_000 * USD),
    given_away=strategy("uint256", max_value=SUPPLY),
)
@settings(max_examples=10)
def test_income_is_divided_by_shares(cast, pass_time, share, earn, income, given_away):
    operator, holder = cast["operator"], cast["holder"]
    share.transfer(holder, given_away, {"from": operator})
    synced = earn(income).return_value
    assert income - CENT < synced <= income
    pass_time(FOREVER)
    for account, units in ((operator, SUPPLY - given_away), (holder, given_away)):
        due = synced * HOLDERS_BPS * units // (10_000 * SUPPLY)
        assert due - 1 <= share.claimableUsd6(account) <= due

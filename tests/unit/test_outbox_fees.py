"""What a transaction may pay, and how long it may wait."""

from __future__ import annotations

from typing import Any

import pytest

from wellhead.chain.outbox.fees import Fees, first_fees, raised_fees
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.errors import Misused


def test_a_first_fee_leaves_room_for_the_base_fee_to_double() -> None:
    assert first_fees(100, 7, 1_000) == Fees(207, 7)
    assert first_fees(100, 7, 150) == Fees(150, 7)
    assert first_fees(100, 700, 150) == Fees(150, 150)


@pytest.mark.parametrize("fees", [Fees(0, 0), Fees(1, 0), Fees(8, 8), Fees(207, 7), Fees(10**12, 10**9 + 1)])
def test_a_raised_fee_is_an_eighth_more_in_both_fields(fees: Fees) -> None:
    raised = raised_fees(fees, Fees(0, 0), 10**13)
    assert raised is not None
    for before, after in zip(fees, raised, strict=True):
        assert after > before
        assert 0 <= 8 * after - 9 * before < 16
    assert raised.priority_fee_wei <= raised.max_fee_wei


def test_a_raised_fee_follows_the_market_and_ends_at_the_highest_allowed() -> None:
    assert raised_fees(Fees(80, 8), Fees(200, 20), 1_000) == Fees(200, 20)
    assert raised_fees(Fees(80, 8), Fees(200, 20), 150) == Fees(150, 20)
    assert raised_fees(Fees(80, 8), Fees(200, 200), 90) == Fees(90, 90)
    assert raised_fees(Fees(80, 8), Fees(200, 20), 89) is None
    assert raised_fees(Fees(80, 8), Fees(0, 0), 89) is None


@pytest.mark.parametrize(
    "wrong",
    [
        {"confirmations": 0},
        {"watched_blocks": -1},
        {"patience_seconds": 0},
        {"poll_seconds": 0},
        {"max_fee_wei": 0},
    ],
)
def test_a_sending_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misused):
        SendingPolicy(**wrong)


def test_an_urgent_transaction_waits_a_quarter_as_long() -> None:
    policy = SendingPolicy(patience_seconds=60)
    assert [policy.is_stuck(waited, urgent=False) for waited in (59.9, 60)] == [False, True]
    assert [policy.is_stuck(waited, urgent=True) for waited in (14.9, 15)] == [False, True]

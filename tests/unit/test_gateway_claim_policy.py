"""When it is time to claim, and what a batch may hold."""

from __future__ import annotations

import random
from typing import Any

import pytest

from wellhead.errors import Misused
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.ledger import Claimable
from wellhead.gateway.claims.policy import ClaimPolicy, ClaimRow, claim_rows, plan_claims, unclaimable
from wellhead.reference.channel import ChannelConfig

AUTHORIZER, OTHER = "0x" + "aa" * 20, "0x" + "bb" * 20
POLICY = ClaimPolicy(
    min_value_usd6=1_000, max_age_seconds=100, min_channel_usd6=50, withdrawal_margin_seconds=600, max_rows=4
)
NOW = 10_000.0


def waiting(number: int, charged: int = 60, age: float = 0, receiver: int = 1, **changes: Any) -> Claimable:
    """A channel on which `charged` is to be claimed since `age` seconds."""
    config = ChannelConfig(
        *(f"0x{number:040x}", f"0x{number:040x}", f"0x{receiver:040x}", AUTHORIZER, "0x" + "cc" * 20),
        changes.pop("withdraw_delay", 900),
        bytes(32),
    )
    config = config._replace(receiver_authorizer=changes.pop("authorizer", AUTHORIZER))
    figures = {"charged": charged, "signed_ceiling": charged, "balance": 10**6, "signature": b"\x01" * 65}
    return Claimable(number.to_bytes(32, "big"), ChannelAccount(config, **{**figures, **changes}), NOW - age)


def rows(*channels: Claimable) -> list[ClaimRow]:
    return claim_rows(channels, AUTHORIZER)


def chosen(*channels: Claimable, **options: Any) -> list[int]:
    plan = plan_claims(rows(*channels), POLICY, NOW, **options)
    return [int.from_bytes(row.channel_id, "big") for row in plan.rows]


# What can be claimed ----------------------------------------------------------------------------------------


def test_never_above_what_was_charged_signed_or_is_there() -> None:
    source = random.Random(1)
    for _ in range(200):
        charged, ceiling, balance, claimed = (source.randrange(100) for _ in range(4))
        one = waiting(1, charged, signed_ceiling=ceiling, balance=balance, total_claimed=claimed)
        most = min(charged, ceiling, balance)
        assert [row.total_claimed for row in rows(one)] == ([most] if most > claimed else [])


def test_what_cannot_be_claimed_is_counted() -> None:
    channels = [
        waiting(1, 100),
        waiting(2, 100, balance=30),
        waiting(3, 100, signature=b""),
        waiting(4, 100, authorizer=OTHER),
    ]
    able = rows(*channels)
    assert [row.value for row in able] == [100, 30]
    assert unclaimable(channels, able) == 270


def test_what_is_set_aside_is_left() -> None:
    channels = [waiting(1), waiting(2)]
    assert [row.channel_id for row in claim_rows(channels, AUTHORIZER, {channels[0].channel_id})] == [
        channels[1].channel_id
    ]


# When -------------------------------------------------------------------------------------------------------


def test_by_value_of_channels_that_are_worth_their_gas() -> None:
    assert chosen(waiting(1, 500), waiting(2, 499)) == []
    assert chosen(waiting(1, 500), waiting(2, 500)) == [1, 2]
    assert chosen(waiting(1, 951), waiting(2, 49)) == []
    assert chosen(waiting(1, 1_000), waiting(2, 49)) == [1]


def test_by_age_whatever_its_worth_and_with_it_what_is_worth_its_gas() -> None:
    assert chosen(waiting(1, 1, age=99.9), waiting(2, 50)) == []
    assert chosen(waiting(1, 1, age=100), waiting(2, 50), waiting(3, 49)) == [1, 2]


def test_at_once_when_a_withdrawal_is_pending() -> None:
    plan = plan_claims(rows(waiting(1, 1, withdraw_requested_at=5_000)), POLICY, NOW)
    assert len(plan.rows) == 1
    assert plan.urgent_at == 5_000 + 900 - 600
    assert plan_claims(rows(waiting(1, 1, age=100)), POLICY, NOW).urgent_at is None


def test_everything_when_asked() -> None:
    assert chosen(waiting(1, 1), waiting(2, 1)) == []
    assert chosen(waiting(1, 1), waiting(2, 1), everything=True) == [1, 2]
    assert chosen(everything=True) == []


def test_age_says_when_at_the_latest() -> None:
    assert plan_claims(rows(waiting(1, age=10), waiting(2, age=70)), POLICY, NOW).due_at == NOW + 30
    assert plan_claims([], POLICY, NOW).due_at is None


# What fits --------------------------------------------------------------------------------------------------


def test_the_most_urgent_come_first() -> None:
    """First withdrawals by their maturity, then by age."""
    channels = [
        waiting(1, age=100),
        waiting(2, age=200),
        waiting(3, withdraw_requested_at=6_000),
        waiting(4, withdraw_requested_at=5_000),
        waiting(5, age=150),
    ]
    assert sorted(chosen(*channels)) == [2, 3, 4, 5]
    plan = plan_claims(rows(*channels), POLICY, NOW)
    assert plan.urgent_at == 5_300


def test_a_batch_is_sorted_by_receiver() -> None:
    assert chosen(
        *(
            waiting(number, age=100 + number, receiver=receiver)
            for number, receiver in ((1, 9), (2, 3), (3, 9))
        )
    ) == [2, 1, 3]


def test_rows_of_a_batch_agree_in_what_its_header_says() -> None:
    channels = [waiting(1, age=100), waiting(2, age=200, withdraw_delay=901), waiting(3, age=100)]
    assert chosen(*channels) == [2]


def test_a_batch_has_at_most_so_many_receivers() -> None:
    wide = ClaimPolicy(max_rows=1_000)
    channels = [waiting(number, receiver=number, age=5_000 + number) for number in range(1, 301)]
    plan = plan_claims(rows(*channels), wide, NOW)
    assert len(plan.rows) == 255


@pytest.mark.parametrize(
    "wrong",
    [
        {"min_value_usd6": -1},
        {"max_age_seconds": 0},
        {"max_rows": 0},
        {"look_seconds": 0},
        {"withdrawal_margin_seconds": 890, "look_seconds": 10},
    ],
)
def test_a_policy_that_cannot_be_meant_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(Misused):
        ClaimPolicy(**wrong)

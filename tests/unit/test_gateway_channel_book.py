"""Admitting, charging and releasing: bounds that hold whatever the order of things."""

from __future__ import annotations

import random

import pytest
from x402.mechanisms.evm.batch_settlement.errors import (
    ERR_CHANNEL_BUSY,
    ERR_CHARGE_EXCEEDS_SIGNED_CUMULATIVE,
    ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED,
    ERR_CUMULATIVE_AMOUNT_MISMATCH,
    ERR_CUMULATIVE_EXCEEDS_BALANCE,
)

from wellhead.gateway.channel_book import ERR_WITHDRAWAL_PENDING, AdmissionError, ChannelAccount
from wellhead.reference.channel import ChannelConfig

CONFIG = ChannelConfig(*["0x" + "11" * 20] * 5, 900, bytes(32))
SIGNATURE = b"\x01" * 65
PRICE = 100


def account(**figures: int) -> ChannelAccount:
    return ChannelAccount(CONFIG, **{"balance": 10_000, **figures})


def code(step) -> str:
    with pytest.raises(AdmissionError) as refused:
        step()
    return refused.value.code


def test_the_standards_ceiling_is_admitted() -> None:
    admitted = account(charged=700).admit(700 + PRICE, PRICE)
    assert (admitted.charged, admitted.reserved) == (700, PRICE)


@pytest.mark.parametrize("off", [-PRICE, -1, 1, PRICE])
def test_any_other_ceiling_is_a_mismatch(off: int) -> None:
    idle = account(charged=700)
    assert code(lambda: idle.admit(700 + PRICE + off, PRICE)) == ERR_CUMULATIVE_AMOUNT_MISMATCH


def test_the_cost_is_charged_and_the_rest_is_free_again() -> None:
    served = account().admit(PRICE, PRICE).charge(PRICE, 30, PRICE, SIGNATURE)
    assert (served.charged, served.reserved, served.signed_ceiling) == (30, 0, PRICE)
    assert served.signature == SIGNATURE
    assert served.unclaimed == 30
    assert served.admit(30 + PRICE, PRICE).reserved == PRICE


def test_a_failed_call_leaves_nothing() -> None:
    assert account().admit(PRICE, PRICE).release(PRICE) == account()


@pytest.mark.parametrize("cost", [-1, PRICE + 1])
def test_no_cost_beyond_the_price(cost: int) -> None:
    admitted = account().admit(PRICE, PRICE)
    charge = lambda: admitted.charge(PRICE, cost, PRICE, SIGNATURE)  # noqa: E731
    assert code(charge) == ERR_CHARGE_EXCEEDS_SIGNED_CUMULATIVE


def test_a_second_call_on_the_same_ceiling_waits() -> None:
    busy = account().admit(PRICE, PRICE)
    assert code(lambda: busy.admit(PRICE, PRICE)) == ERR_CHANNEL_BUSY


def test_calls_at_the_same_time_need_ceilings_that_cover_all() -> None:
    busy = account().admit(PRICE, PRICE)
    assert code(lambda: busy.admit(2 * PRICE - 1, PRICE)) == ERR_CUMULATIVE_AMOUNT_MISMATCH
    assert busy.admit(2 * PRICE, PRICE).reserved == 2 * PRICE


def test_the_highest_voucher_is_kept() -> None:
    both = account().admit(PRICE, PRICE).admit(2 * PRICE, PRICE)
    second = both.charge(PRICE, 40, 2 * PRICE, b"second")
    first = second.charge(PRICE, 50, PRICE, b"first")
    assert (first.charged, first.signed_ceiling, first.signature) == (90, 2 * PRICE, b"second")


def test_no_ceiling_above_the_balance() -> None:
    assert code(lambda: account(balance=99).admit(PRICE, PRICE)) == ERR_CUMULATIVE_EXCEEDS_BALANCE
    assert account(balance=PRICE).admit(PRICE, PRICE).reserved == PRICE


def test_no_ceiling_that_claims_have_passed() -> None:
    stale = account(total_claimed=500)  # the chain knows of claims that our books lack
    assert code(lambda: stale.admit(PRICE, PRICE)) == ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED


def test_a_channel_on_its_way_out_is_not_served() -> None:
    leaving = account(withdraw_requested_at=1)
    assert code(lambda: leaving.admit(PRICE, PRICE)) == ERR_WITHDRAWAL_PENDING


def test_the_chains_figures_are_taken_over() -> None:
    books = account(charged=300, signed_ceiling=400)
    seen = books.seen(balance=9_000, total_claimed=250, refund_nonce=2, withdraw_requested_at=7)
    assert (seen.balance, seen.total_claimed, seen.charged, seen.unclaimed) == (9_000, 250, 300, 50)
    assert (seen.refund_nonce, seen.withdraw_requested_at) == (2, 7)


def test_claims_on_a_lost_voucher_count_as_charged() -> None:
    seen = account().seen(balance=10_000, total_claimed=500, refund_nonce=0, withdraw_requested_at=0)
    assert (seen.charged, seen.unclaimed, seen.signature) == (500, 0, b"")
    assert seen.admit(500 + PRICE, PRICE).reserved == PRICE


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_bounds_hold(seed: int) -> None:
    source = random.Random(seed)
    books = account(balance=source.randrange(5_000, 50_000))
    under_way: list[tuple[int, int]] = []
    highest = 0
    for _ in range(300):
        move = source.random()
        if move < 0.5:
            price = source.randrange(1, 300)
            due = books.charged + books.reserved + price
            ceiling = due + source.choice((0, 0, 0, 1, -1, 50))
            before = books
            try:
                books = books.admit(ceiling, price)
                under_way.append((price, ceiling))
            except AdmissionError:
                assert books is before
        elif under_way:
            price, ceiling = under_way.pop(source.randrange(len(under_way)))
            if move < 0.85:
                books = books.charge(price, source.randrange(price + 1), ceiling, SIGNATURE)
                highest = max(highest, ceiling)
            else:
                books = books.release(price)
        assert books.reserved == sum(price for price, _ in under_way)
        assert books.charged + books.reserved <= books.balance
        assert books.signed_ceiling == highest
        assert books.charged <= books.signed_ceiling

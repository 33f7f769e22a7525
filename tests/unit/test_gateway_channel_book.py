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

from wellhead.gateway.channels.book import ERR_WITHDRAWAL_PENDING, AdmissionError, ChannelAccount
from wellhead.reference.channel import ChannelConfig, ChannelFigures

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
    admitted = account(charged=700).admit(700 + PRICE, SIGNATURE, PRICE)
    assert (admitted.charged, admitted.reserved) == (700, PRICE)
    assert (admitted.signed_ceiling, admitted.signature) == (700 + PRICE, SIGNATURE)


@pytest.mark.parametrize("off", [-PRICE, -1, 1, PRICE])
def test_any_other_ceiling_is_a_mismatch(off: int) -> None:
    idle = account(charged=700)
    assert code(lambda: idle.admit(700 + PRICE + off, SIGNATURE, PRICE)) == ERR_CUMULATIVE_AMOUNT_MISMATCH


def test_the_cost_is_charged_and_the_rest_is_free_again() -> None:
    served = account().admit(PRICE, SIGNATURE, PRICE).charge(PRICE, 30)
    assert (served.charged, served.reserved, served.signed_ceiling) == (30, 0, PRICE)
    assert served.signature == SIGNATURE
    assert served.unclaimed == 30
    assert served.admit(30 + PRICE, SIGNATURE, PRICE).reserved == PRICE


def test_a_failed_call_costs_nothing() -> None:
    failed = account().admit(PRICE, SIGNATURE, PRICE).release(PRICE)
    assert (failed.charged, failed.reserved, failed.unclaimed) == (0, 0, 0)
    assert failed.admit(PRICE, SIGNATURE, PRICE).reserved == PRICE


@pytest.mark.parametrize("cost", [-1, PRICE + 1])
def test_no_cost_beyond_the_price(cost: int) -> None:
    admitted = account().admit(PRICE, SIGNATURE, PRICE)
    assert code(lambda: admitted.charge(PRICE, cost)) == ERR_CHARGE_EXCEEDS_SIGNED_CUMULATIVE


def test_by_the_standard_a_second_call_waits() -> None:
    busy = account().admit(PRICE, SIGNATURE, PRICE)
    assert code(lambda: busy.admit(PRICE, SIGNATURE, PRICE)) == ERR_CHANNEL_BUSY
    assert code(lambda: busy.admit(2 * PRICE, SIGNATURE, PRICE)) == ERR_CUMULATIVE_AMOUNT_MISMATCH


def test_concurrent_calls_need_ceilings_that_cover_all() -> None:
    busy = account().admit(PRICE, b"first", PRICE, concurrent=True)
    short = lambda: busy.admit(2 * PRICE - 1, b"second", PRICE, concurrent=True)  # noqa: E731
    assert code(short) == ERR_CUMULATIVE_AMOUNT_MISMATCH
    both = busy.admit(2 * PRICE, b"second", PRICE, concurrent=True)
    assert (both.reserved, both.signed_ceiling, both.signature) == (2 * PRICE, 2 * PRICE, b"second")


def test_concurrent_calls_come_in_any_order() -> None:
    later = account().admit(2 * PRICE, b"second", PRICE, concurrent=True)
    both = later.admit(PRICE, b"first", PRICE, concurrent=True)
    assert (both.reserved, both.signed_ceiling, both.signature) == (2 * PRICE, 2 * PRICE, b"second")
    assert code(lambda: both.admit(PRICE, b"first", 1, concurrent=True)) == ERR_CUMULATIVE_AMOUNT_MISMATCH


def test_concurrent_calls_end_at_the_balance() -> None:
    full = account(balance=2 * PRICE).admit(2 * PRICE, b"all", PRICE, concurrent=True)
    over = lambda: full.admit(3 * PRICE, b"more", 2 * PRICE, concurrent=True)  # noqa: E731
    assert code(over) == ERR_CUMULATIVE_EXCEEDS_BALANCE


def test_no_ceiling_above_the_balance() -> None:
    assert code(lambda: account(balance=99).admit(PRICE, SIGNATURE, PRICE)) == ERR_CUMULATIVE_EXCEEDS_BALANCE
    assert account(balance=PRICE).admit(PRICE, SIGNATURE, PRICE).reserved == PRICE


def test_no_ceiling_that_claims_have_passed() -> None:
    stale = account(total_claimed=500)  # the chain knows of claims that our books lack
    assert code(lambda: stale.admit(PRICE, SIGNATURE, PRICE)) == ERR_CUMULATIVE_AMOUNT_BELOW_CLAIMED


def test_a_channel_on_its_way_out_is_not_served() -> None:
    leaving = account(withdraw_requested_at=1)
    assert code(lambda: leaving.admit(PRICE, SIGNATURE, PRICE)) == ERR_WITHDRAWAL_PENDING


def test_the_chains_figures_are_taken_over() -> None:
    books = account(charged=300, signed_ceiling=400)
    seen = books.seen(ChannelFigures(9_000, 250, 2, 7), books.figures)
    assert (seen.balance, seen.total_claimed, seen.charged, seen.unclaimed) == (9_000, 250, 300, 50)
    assert (seen.refund_nonce, seen.withdraw_requested_at) == (2, 7)


def test_claims_on_a_lost_voucher_count_as_charged() -> None:
    seen = account().seen(ChannelFigures(10_000, 500, 0, 0), account().figures)
    assert (seen.charged, seen.unclaimed, seen.signature) == (500, 0, b"")
    assert seen.admit(500 + PRICE, SIGNATURE, PRICE).reserved == PRICE


@pytest.mark.parametrize("seed", range(20))
def test_whatever_happens_the_bounds_hold(seed: int) -> None:
    source = random.Random(seed)
    books = account(balance=source.randrange(5_000, 50_000))
    under_way: list[int] = []
    signed: dict[bytes, int] = {b"": 0}
    for step in range(300):
        move = source.random()
        if move < 0.5:
            price = source.randrange(1, 300)
            due = books.charged + books.reserved + price
            ceiling, signature = max(0, due + source.choice((0, 0, 0, 1, -1, 50, -300))), b"%d" % step
            signed[signature] = ceiling
            before = books
            try:
                books = books.admit(ceiling, signature, price, concurrent=source.random() < 0.7)
                under_way.append(price)
            except AdmissionError:
                assert books is before
        elif under_way:
            price = under_way.pop(source.randrange(len(under_way)))
            charged = move < 0.85
            books = books.charge(price, source.randrange(price + 1)) if charged else books.release(price)
        assert books.reserved == sum(under_way)
        assert books.charged + books.reserved <= books.balance
        assert books.charged + books.reserved <= books.signed_ceiling == signed[books.signature]

"""The share's readable twin by itself: its exponential, its streaming, and its laws over long histories."""

from __future__ import annotations

import random
from decimal import Decimal, localcontext

import pytest

from wellhead.reference.exp_decay import DRAINED_X64, ONE_X64, released_x64_down
from wellhead.reference.reservoir import LAST_TIME, MAX_ACCOUNTED_USD6, MAX_PER_UNIT_X48, Reservoir
from wellhead.reference.share import Account, Phase, Share, ShareRefusedError

HOUR, DAY = 3_600, 86_400
MIN_TAU, MAX_TAU = HOUR, 90 * DAY
SHARE_UNITS = 10**6


@pytest.fixture
def rng() -> random.Random:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    return random.Random(seed)


# The exponential ----------------------------------------------------------------------------------------


def shortfall(elapsed: int, tau: int) -> Decimal:
    """How much less than 1 - e^-x is released, in units of 2^-64, x being cut to 2^-64 as the contract does."""
    with localcontext() as context:
        context.prec = 60
        x = Decimal((elapsed << 64) // tau) / ONE_X64
        return (1 - (-x).exp()) * ONE_X64 - released_x64_down(elapsed, tau)


def test_release__is_the_exponential_rounded_down(rng):
    """Never early; late by less than two units of 2^-64."""
    for _ in range(20_000):
        tau = rng.randint(MIN_TAU, MAX_TAU)
        elapsed = rng.choice((rng.randint(1, 100), rng.randint(1, tau), rng.randint(1, 64 * tau - 1)))
        assert 0 <= shortfall(elapsed, tau) < 2, (elapsed, tau)


def test_release__where_the_series_errs_most():
    for tau in (MIN_TAU, DAY, MAX_TAU):
        for elapsed in range(tau, 64 * tau, tau // 4):
            assert 0 <= shortfall(elapsed, tau) < 2


def test_release__at_its_ends():
    for tau in (MIN_TAU, DAY, MAX_TAU):
        assert released_x64_down(0, tau) == 0
        assert 0 < released_x64_down(1, tau) < ONE_X64
        assert released_x64_down(64 * tau - 1, tau) < released_x64_down(64 * tau, tau) == ONE_X64
        assert released_x64_down(2**40, tau) == ONE_X64
    assert (64 * DAY << 64) // DAY == DRAINED_X64


def test_release__never_falls_with_time(rng):
    for _ in range(20_000):
        tau = rng.randint(MIN_TAU, MAX_TAU)
        elapsed = rng.randint(0, rng.choice((tau, 65 * tau)))
        assert released_x64_down(elapsed, tau) <= released_x64_down(elapsed + 1, tau)


# Streaming ----------------------------------------------------------------------------------------------


def test_checkpoint__splits_a_period_up_to_rounding(rng):
    """Any steps release what one step does, less one unit per step and what late fractions hold back."""
    for _ in range(300):
        tau = rng.randint(MIN_TAU, MAX_TAU)
        start = Reservoir(updated_at=1_000, pending_x48=rng.randrange(2 ** rng.randint(1, 79)))
        now, steps, stepped = 1_000, rng.randint(1, 200), start
        for _ in range(steps):
            now += rng.choice((0, 1, 12, rng.randint(0, tau)))
            stepped = stepped.checkpoint(now, tau)
            assert stepped.pending_x48 + stepped.index_x48 == start.pending_x48
        whole = start.index_at(now, tau)
        slack = steps * (1 + (start.pending_x48 * 4 >> 64)) + 1
        assert whole - slack <= stepped.index_x48 <= whole + slack


def test_checkpoint__after_the_clock_stands_still__goes_on_forward():
    """From February 2106 on time counts from the last second that fits: never backwards, never a failure."""
    late = Reservoir(updated_at=1, pending_x48=1 << 60).checkpoint(LAST_TIME + 5, DAY)
    assert late.updated_at == LAST_TIME
    assert late.index_at(LAST_TIME + 100, DAY) >= late.index_x48
    assert late.checkpoint(LAST_TIME + 100 * DAY, DAY).pending_x48 == 0


def test_respread__moves_all_that_is_pending(rng):
    for _ in range(5_000):
        old = rng.randint(1, 2 ** rng.randint(1, 48))
        new = rng.choice((0, 1, old, rng.randint(0, old)))
        index = rng.randrange(2**80)
        pending = rng.randrange(2**80 - index)
        before = Reservoir((pending * old >> 48) + 7, 5, pending, index)
        after, excess = before.respread_down(old, new)
        assert after.pending_x48 + after.index_x48 <= MAX_PER_UNIT_X48
        lost_x48 = pending * old - after.pending_x48 * new - (excess << 48)
        assert 0 <= lost_x48 < 1 << 48
        assert before.accounted_usd6 - after.accounted_usd6 == excess
        if new == 0:
            assert (after.pending_x48, excess) == (0, pending * old >> 48)


def test_absorb__fills_the_room_and_no_more(rng):
    for _ in range(5_000):
        supply = rng.randint(1, 2 ** rng.randint(1, 48))
        index = rng.randrange(2**80)
        state = Reservoir(0, 5, rng.randrange(2**80 - index), index)
        room = state.room_usd6_down(supply)
        filled = state.absorb_down(room, supply)
        assert filled.pending_x48 + filled.index_x48 <= MAX_PER_UNIT_X48
        assert state.absorb_down(room + 1, supply).pending_x48 + index >= MAX_PER_UNIT_X48


def test_rate__is_what_a_day_brings_at_once():
    state = Reservoir(0, 1_000, (10_000_000 << 48) // SHARE_UNITS, 0)
    assert state.rate_usd6_per_day(SHARE_UNITS, 1_000, DAY) == 10_000_000
    assert state.rate_usd6_per_day(SHARE_UNITS, 1_000 + DAY, DAY) == 3_678_794


# Laws over histories ------------------------------------------------------------------------------------

HOLDERS = ("operator", "holder", "second_holder")


def random_step(share: Share, rng: random.Random, now: int, tally: dict[str, int]) -> Share:
    """One step that anyone might take; `tally` counts the money and what may leave dust."""
    who, to = rng.choice(HOLDERS), rng.choice(HOLDERS)
    balance = share.account(who).balance_units
    units = rng.choice((0, 1, balance // 3, balance))
    kind = rng.choice(("receive", "sync", "transfer", "claim", "credits", "burn"))
    if kind == "receive":
        amount = rng.choice((1, 9_999, 10_001, rng.randint(1, 10**12), 2**60))
        tally["received"] += amount
        return share.receive(amount)
    if kind == "sync":
        after, synced = share.sync(now)
        tally["syncs"] += synced > 0
        return after
    if kind == "transfer":
        tally["accruals"] += 2
        return share.transfer(who, to, units, now)
    if kind == "burn":
        tally["burns"] += 1
        tally["accruals"] += 1
        return share.burn(who, units if rng.random() < 0.3 else min(units, 1), now)
    if kind == "claim":
        after, paid = share.claim(who, now)
        tally["accruals"] += 1
    else:
        after, paid = share.claim_operator_credit()
    tally["paid"] += paid
    return after


def test_laws__hold_through_random_histories(rng):
    """Solvency, exact conservation, bounded dust, and nobody's income falls but by its own claim."""
    for _ in range(60):
        tau = rng.randint(MIN_TAU, MAX_TAU)
        share = Share(tau_seconds=tau, operator_cut_bps=rng.randint(0, 9_000), protocol_cut_bps=250)
        for name in HOLDERS:
            share = share.mint(name, rng.choice((SHARE_UNITS, 10**9, 2**46)))
        now = 1_700_000_000
        share = share.go_live(now)
        tally = dict.fromkeys(("received", "paid", "syncs", "burns", "accruals"), 0)
        for _ in range(150):
            now += rng.choice((0, 1, 12, HOUR, DAY, rng.randint(0, 3 * tau)))
            before = {name: share.claimable_usd6(name, now) for name in HOLDERS}
            paid = tally["paid"]
            try:
                share = random_step(share, rng, now, tally)
            except ShareRefusedError:
                continue
            accounted = share.reservoir.accounted_usd6
            assert accounted <= min(share.balance_usd6, MAX_ACCOUNTED_USD6)
            assert tally["received"] == tally["paid"] + accounted + share.unsynced_usd6()
            bound = ((tally["syncs"] + 2 * tally["burns"]) << 48) + (tally["accruals"] << 32)
            assert 0 <= share.dust_x48() <= bound
            fallen = sum(before.values()) - sum(share.claimable_usd6(name, now) for name in HOLDERS)
            assert fallen <= tally["paid"] - paid
            assert all(account.accrued_x16 < 1 << 72 for account in share.accounts.values())


def test_laws__everybody_gone__every_unit_is_found(rng):
    """After all is released and claimed, only dust is left, and it is the dust that was counted."""
    share = Share(tau_seconds=DAY, operator_cut_bps=777, protocol_cut_bps=250)
    for name in HOLDERS:
        share = share.mint(name, rng.randint(SHARE_UNITS, 10**12))
    share = share.go_live(1_000).receive(987_654_321)
    share, _ = share.sync(1_001)
    for name in HOLDERS:
        share, _ = share.claim(name, 1_001 + 64 * DAY)
    share, _ = share.claim_operator_credit()
    share, _ = share.claim_protocol_credit()
    fractions_x48 = sum(account.accrued_x16 << 32 for account in share.accounts.values())
    assert share.reservoir.accounted_usd6 << 48 == share.dust_x48() + fractions_x48
    assert share.reservoir.accounted_usd6 <= len(HOLDERS)


def test_refusals():
    share = Share(tau_seconds=DAY, operator_cut_bps=0, protocol_cut_bps=0)
    for refused in (
        lambda: share.mint("holder", 2**48 + 1),
        lambda: share.go_live(1),
        lambda: share.transfer("holder", "operator", 0, 1),
        lambda: share.burn("holder", 1, 1),
        lambda: share.claim("holder", 1),
        share.claim_operator_credit,
        share.claim_protocol_credit,
        lambda: share.fail().fail(),
        lambda: share.fail().mint("holder", 1),
    ):
        with pytest.raises(ShareRefusedError):
            refused()
    assert share.sync(1) == (share, 0)
    assert share.phase == Phase.SALE
    assert share.account("nobody") == Account()

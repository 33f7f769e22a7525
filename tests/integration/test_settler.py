"""When the settler claims, what, and for whom."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from settler_stage import (
    BALANCE_USD6,
    CLAIMING,
    DELAY_SECONDS,
    PRICE_USD6,
    SENDING,
    SettlerStage,
    settler_stage,
    some_account,
)

from wellhead.chain import local
from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.channels.sole_ledger import SoleLedger
from wellhead.gateway.claims.settler import Settler

RECEIVER = some_account(0xBEEF)
OTHER = some_account(0xCAFE)
# Counts its calls in slot 0: PUSH0 SLOAD PUSH1 1 ADD PUSH0 SSTORE.
COUNTING = "0x5f546001015f5500"
REVERTING = "0x5f5ffd"


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[SettlerStage]:
    with settler_stage(tmp_path) as raised:
        yield raised


@pytest.fixture
def settler(stage: SettlerStage) -> Settler:
    return stage.settler()


def test_it_claims_by_value(stage: SettlerStage, settler: Settler) -> None:
    first, second = stage.open([RECEIVER, RECEIVER])
    stage.serve(first, 6_000)
    stage.serve(second, 3_999)
    stage.settle(settler)
    assert stage.claims() == []
    assert settler.status().unclaimed_usd6 == 9_999
    stage.serve(second, 1)
    stage.settle(settler)
    assert (stage.claimed(first), stage.claimed(second), stage.batches()) == (6_000, 4_000, 1)
    assert stage.earned(RECEIVER) == 10_000
    assert settler.status().unclaimed_usd6 == settler.status().channels == 0


def test_it_claims_by_age_even_what_is_not_worth_its_gas(stage: SettlerStage, settler: Settler) -> None:
    (config,) = stage.open([RECEIVER])
    stage.serve(config, 1)
    stage.settle(settler)
    stage.clock.now += CLAIMING.max_age_seconds - 1
    stage.settle(settler)
    assert stage.claims() == []
    assert settler.status().next_claim_at == stage.clock.now + 1
    stage.clock.now += 1
    stage.settle(settler)
    assert stage.claimed(config) == stage.earned(RECEIVER) == 1


def test_it_claims_at_once_when_the_payer_wants_its_money_back(stage: SettlerStage, settler: Settler) -> None:
    leaving, small, worth = stage.open([RECEIVER] * 3)
    stage.serve(leaving, 300)
    stage.serve(small, 499)
    stage.serve(worth, 500)
    stage.sender("customer").send(stage.settlement.initiate_withdraw(leaving, BALANCE_USD6))
    stage.settle(settler)
    assert stage.ledger.account(stage.channel_id(leaving)).withdraw_requested_at > 0
    assert [stage.claimed(one) for one in (leaving, small, worth)] == [300, 0, 500]
    local.advance(stage.w3, DELAY_SECONDS)
    stage.sender("customer").send(stage.settlement.finalize_withdraw(leaving))
    assert stage.earned(RECEIVER) == 800


def test_what_the_payer_took_back_is_not_claimed(stage: SettlerStage, settler: Settler) -> None:
    """The settler was away for a whole delay: what is left is claimed, what is lost stops nobody."""
    emptied, halved, fine = stage.open([RECEIVER] * 3)
    stage.serve(emptied, 20_000)
    stage.serve(halved, 600_000)
    stage.serve(fine, 20_000)
    stage.sender("customer").send(stage.settlement.initiate_withdraw(emptied, BALANCE_USD6))
    stage.sender("customer").send(stage.settlement.initiate_withdraw(halved, BALANCE_USD6 // 2))
    local.advance(stage.w3, DELAY_SECONDS)
    for config in (emptied, halved):
        stage.sender("customer").send(stage.settlement.finalize_withdraw(config))
    stage.settle(settler)
    assert [stage.claimed(one) for one in (emptied, halved, fine)] == [0, 500_000, 20_000]
    assert (settler.status().unclaimed_usd6, settler.status().unclaimable_usd6) == (0, 120_000)


def test_never_more_than_charged(stage: SettlerStage, settler: Settler) -> None:
    """The customer has signed for more than its calls cost."""
    (config,) = stage.open([RECEIVER])
    stage.serve(config, 700, price=50_000)
    stage.settle(settler, everything=True)
    account = stage.ledger.account(stage.channel_id(config))
    assert (account.signed_ceiling, stage.claimed(config), stage.earned(RECEIVER)) == (50_000, 700, 700)
    stage.serve(config, 300)
    stage.settle(settler, everything=True)
    assert stage.claimed(config) == 1_000


def test_many_channels_and_receivers_in_one_transaction(stage: SettlerStage, settler: Settler) -> None:
    share, grumpy = some_account(0x5AFE), some_account(0xBAD)
    stage.rpc("anvil_setCode", share, COUNTING)
    stage.rpc("anvil_setCode", grumpy, REVERTING)
    receivers = [RECEIVER, share, grumpy, OTHER]
    configs = stage.open([receivers[number % 4] for number in range(60)])
    for config in configs:
        stage.serve(config)
    stage.settle(settler)
    assert stage.batches() == 1
    assert sorted(stage.claims()) == sorted((stage.channel_id(config), PRICE_USD6) for config in configs)
    assert [stage.earned(receiver) for receiver in receivers] == [15 * PRICE_USD6] * 4
    assert int(stage.w3.eth.get_storage_at(share, 0).hex(), 16) == 1


def test_what_does_not_fit_into_one_batch_goes_into_the_next(stage: SettlerStage) -> None:
    settler = stage.settler(claiming=replace(CLAIMING, max_rows=3), sending=replace(SENDING, confirmations=1))
    for config in stage.open([RECEIVER] * 5) + stage.open([OTHER], withdraw_delay=1_800):
        stage.serve(config)
    settled = settler.settle_now(60)
    assert (settled.claimed_usd6, settled.channels, len(settled.transactions)) == (6 * PRICE_USD6, 6, 3)
    assert (stage.earned(RECEIVER), stage.earned(OTHER)) == (5 * PRICE_USD6, PRICE_USD6)


def test_it_settles_for_a_gateway_that_is_alone_on_its_ledger(stage: SettlerStage) -> None:
    """Whose books are in memory, and are told what was claimed."""
    (config,) = stage.open([RECEIVER])
    stage.serve(config, 2_000)
    alone = SoleLedger(Ledger(stage.ledger_url, stage.clock))
    settler = stage.settler(ledger=alone)
    channel_id = stage.channel_id(config)
    stage.settle(settler, everything=True)
    assert (stage.claimed(config), alone.account(channel_id).total_claimed) == (2_000, 2_000)
    alone.close()
    assert stage.ledger.account(channel_id).total_claimed == 2_000

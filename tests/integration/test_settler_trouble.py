"""What may come between a claim and the chain: stuck transactions, reorganisations, an empty purse, bad channels."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from settler_stage import (
    BALANCE_USD6,
    CLAIMING,
    DELAY_SECONDS,
    GAS_PAYER,
    OTHER_PAYER,
    PRICE_USD6,
    SENDING,
    SettlerStage,
    settler_stage,
    some_account,
)

from wellhead.chain import keys, local
from wellhead.gateway.claims.batch import ASIDE_SECONDS
from wellhead.gateway.claims.settler import LEASE_SECONDS, Settler
from wellhead.reference.channel import ChannelConfig
from wellhead.reference.dense_claims import NOBODY

RECEIVER = some_account(0xBEEF)
OTHER = some_account(0xCAFE)
PAYER_OF_GAS = keys.local_account(GAS_PAYER).address


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[SettlerStage]:
    with settler_stage(tmp_path) as raised:
        yield raised


@pytest.fixture
def settler(stage: SettlerStage) -> Settler:
    return stage.settler()


@pytest.fixture
def due(stage: SettlerStage) -> list[ChannelConfig]:
    """Two channels that are worth a claim."""
    configs = stage.open([RECEIVER, OTHER])
    for config in configs:
        stage.serve(config, 10 * PRICE_USD6)
    stage.mine(10)  # so that no reorganisation takes the channels away
    return configs


def expect_claimed_once(stage: SettlerStage, configs: list[ChannelConfig]) -> None:
    expected = [(stage.channel_id(config), 10 * PRICE_USD6) for config in configs]
    assert sorted(stage.claims()) == sorted(expected)
    assert stage.ledger.claimable() == []


# Stuck ------------------------------------------------------------------------------------------------------


def test_a_stuck_transaction_is_replaced_at_a_higher_fee(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    stage.clock.now += SENDING.patience_seconds - 1
    settler.tick()
    assert stage.waiting() == [first]
    stage.clock.now += 1
    settler.tick()
    (second,) = stage.waiting()
    assert second["nonce"] == first["nonce"]
    for field in ("maxFeePerGas", "maxPriorityFeePerGas"):
        assert int(second[field], 16) * 8 >= int(first[field], 16) * 9
    stage.settle(settler)
    assert stage.batches() == 1
    expect_claimed_once(stage, due)


def test_the_first_of_the_competing_transactions_may_win(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    raw = stage.rpc("eth_getRawTransactionByHash", first["hash"])
    stage.clock.now += SENDING.patience_seconds
    settler.tick()
    (second,) = stage.waiting()
    stage.rpc("anvil_dropTransaction", second["hash"])
    stage.rpc("eth_sendRawTransaction", raw)
    stage.mine()
    settler.tick()
    under_way = settler.status().under_way
    assert under_way is not None
    assert (under_way.mined, under_way.transaction) == (True, first["hash"])
    stage.settle(settler)
    expect_claimed_once(stage, due)


def test_it_follows_the_base_fee(stage: SettlerStage, settler: Settler, due: list[ChannelConfig]) -> None:
    """The blocks go on without a transaction whose fee is below their base fee."""
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    stage.rpc("anvil_setNextBlockBaseFeePerGas", hex(int(first["maxFeePerGas"], 16) * 10))
    stage.mine()
    settler.tick()
    assert stage.claims() == []
    stage.clock.now += SENDING.patience_seconds
    stage.settle(settler)
    expect_claimed_once(stage, due)


def test_no_fee_above_the_highest_allowed(stage: SettlerStage, due: list[ChannelConfig]) -> None:
    most = 3 * 10**9
    settler = stage.settler(sending=replace(SENDING, max_fee_wei=most))
    stage.rpc("evm_setAutomine", False)
    for _ in range(12):
        settler.tick()
        stage.clock.now += SENDING.patience_seconds
    (last,) = stage.waiting()
    assert most * 8 // 9 < int(last["maxFeePerGas"], 16) <= most
    assert (
        f"not mined at the highest fee allowed, {int(last['maxFeePerGas'], 16)}" in settler.status().problem
    )
    stage.settle(settler)
    assert settler.status().problem == ""
    expect_claimed_once(stage, due)


def test_a_withdrawal_near_its_maturity_makes_it_impatient(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    stage.sender("customer").send(stage.settlement.initiate_withdraw(due[0], BALANCE_USD6 // 2))
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    stage.clock.now += SENDING.patience_seconds / 4
    settler.tick()
    assert stage.waiting() == [first]
    stage.rpc("evm_increaseTime", DELAY_SECONDS)
    stage.rpc("anvil_dropTransaction", first["hash"])  # or the block would take it
    stage.mine()
    settler.tick()
    (second,) = stage.waiting()
    assert int(second["maxFeePerGas"], 16) > int(first["maxFeePerGas"], 16)
    stage.settle(settler)
    expect_claimed_once(stage, due)


@pytest.mark.usefixtures("due")
def test_a_withdrawal_is_noticed_while_a_batch_is_under_way(stage: SettlerStage, settler: Settler) -> None:
    (late,) = stage.open([OTHER])
    stage.serve(late, 1)
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    raw = stage.rpc("eth_getRawTransactionByHash", first["hash"])
    stage.rpc("anvil_dropTransaction", first["hash"])
    stage.rpc("evm_setAutomine", True)
    stage.sender("customer").send(stage.settlement.initiate_withdraw(late, BALANCE_USD6))
    stage.rpc("evm_setAutomine", False)
    stage.rpc("eth_sendRawTransaction", raw)
    stage.clock.now += CLAIMING.look_seconds
    settler.tick()
    assert stage.ledger.account(stage.channel_id(late)).withdraw_requested_at > 0
    for _ in range(2):
        stage.settle(settler)
    assert stage.claimed(late) == 1


def test_what_the_node_has_forgotten_is_sent_again(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    stage.rpc("anvil_dropTransaction", first["hash"])
    assert stage.waiting() == []
    settler.tick()
    assert [one["hash"] for one in stage.waiting()] == [first["hash"]]
    stage.settle(settler)
    expect_claimed_once(stage, due)


def test_a_nonce_that_somebody_else_used_costs_nothing_but_time(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig], caplog: pytest.LogCaptureFixture
) -> None:
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    stage.rpc("anvil_dropTransaction", first["hash"])
    stage.rpc("evm_setAutomine", True)
    stage.sender(GAS_PAYER).send(stage.usd.functions.approve(OTHER, 1))
    stage.settle(settler)
    assert "was used elsewhere: give this account a key that nothing else uses" in caplog.text
    expect_claimed_once(stage, due)


# Reorganisations --------------------------------------------------------------------------------------------


def reorganise(stage: SettlerStage, depth: int) -> None:
    """The last `depth` blocks are replaced with empty ones; what was in them is forgotten."""
    stage.rpc("anvil_reorg", depth, [])


def test_a_claim_that_a_reorganisation_dropped_is_made_again(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    settler.tick()
    stage.clock.now += CLAIMING.look_seconds
    settler.tick()
    assert len(stage.claims()) == 2
    assert len(stage.ledger.claimable()) == 2  # not for good yet
    reorganise(stage, 1)
    assert stage.claims() == []
    stage.settle(settler)
    assert stage.batches() == 1
    expect_claimed_once(stage, due)


def test_so_is_one_that_counted_already(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    stage.settle(settler)
    expect_claimed_once(stage, due)
    reorganise(stage, 4)
    assert stage.claims() == []
    stage.settle(settler)
    assert stage.batches() == 1
    expect_claimed_once(stage, due)


def test_and_several_of_them(stage: SettlerStage, settler: Settler, due: list[ChannelConfig]) -> None:
    """One that counted and the next one, under way: both are made again, in their order."""
    stage.settle(settler)
    stage.serve(due[0], 10 * PRICE_USD6)
    settler.tick()
    settler.tick()
    assert len(stage.claims()) == 3
    reorganise(stage, 5)
    assert stage.claims() == []
    for _ in range(3):
        stage.settle(settler)
    assert stage.claimed(due[0]) == 20 * PRICE_USD6
    assert sum(amount for _, amount in stage.claims()) == 30 * PRICE_USD6
    assert stage.ledger.claimable() == []
    assert stage.batches() == 2


def test_a_batch_that_can_no_longer_go_through_is_built_anew(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    """After the reorganisation a payer was faster: what is left of the others is claimed at the same nonce."""
    gone, left = due
    stage.sender("customer").send(stage.settlement.initiate_withdraw(gone, BALANCE_USD6))
    settler.tick()
    assert len(stage.claims()) == 2
    reorganise(stage, 1)
    local.advance(stage.w3, DELAY_SECONDS)
    stage.sender("customer").send(stage.settlement.finalize_withdraw(gone))
    for _ in range(2):
        stage.settle(settler)
    assert (stage.claimed(gone), stage.claimed(left)) == (0, 10 * PRICE_USD6)
    assert stage.batches() == 1


def test_a_stuck_batch_that_would_revert_is_outbid_by_the_new_one(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    """The same while the old transaction still waits: the new one takes its nonce, not the next."""
    gone, left = due
    stage.sender("customer").send(stage.settlement.initiate_withdraw(gone, BALANCE_USD6))
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    raw = stage.rpc("eth_getRawTransactionByHash", first["hash"])
    stage.rpc("anvil_dropTransaction", first["hash"])  # or the blocks to come would take it
    local.advance(stage.w3, DELAY_SECONDS)
    stage.rpc("evm_setAutomine", True)
    stage.sender("customer").send(stage.settlement.finalize_withdraw(gone))
    stage.rpc("evm_setAutomine", False)
    stage.rpc("eth_sendRawTransaction", raw)
    assert stage.waiting() == [first]
    stage.settle(settler)
    assert (stage.claimed(gone), stage.claimed(left)) == (0, 10 * PRICE_USD6)
    assert stage.batches() == 1
    assert stage.waiting() == []


# Money for gas ----------------------------------------------------------------------------------------------


def test_an_empty_purse_is_told_and_waited_for(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig], caplog: pytest.LogCaptureFixture
) -> None:
    stage.rpc("anvil_setBalance", PAYER_OF_GAS, "0x0")
    with caplog.at_level(logging.ERROR):
        for _ in range(2):
            settler.tick()
    problem = settler.status().problem
    assert problem.startswith(f"{PAYER_OF_GAS} has 0 wei for gas, a batch of 2 channels needs up to ")
    assert [record.message for record in caplog.records] == [problem]
    stage.rpc("anvil_setBalance", PAYER_OF_GAS, hex(10**18))
    stage.settle(settler)
    assert settler.status().problem == ""
    expect_claimed_once(stage, due)


def test_a_purse_that_empties_under_way(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig]
) -> None:
    stage.rpc("evm_setAutomine", False)
    settler.tick()
    (first,) = stage.waiting()
    stage.rpc("anvil_dropTransaction", first["hash"])
    stage.rpc("anvil_setBalance", PAYER_OF_GAS, "0x0")
    settler.tick()
    assert first["hash"] in settler.status().problem
    stage.rpc("anvil_setBalance", PAYER_OF_GAS, hex(10**18))
    stage.settle(settler)
    expect_claimed_once(stage, due)


# Channels ---------------------------------------------------------------------------------------------------


def test_one_bad_channel_stops_nobody_else(
    stage: SettlerStage, settler: Settler, caplog: pytest.LogCaptureFixture
) -> None:
    fine = stage.open([RECEIVER] * 9)
    (bad,) = stage.open([RECEIVER])
    for config in fine:
        stage.serve(config, 10 * PRICE_USD6)
    stage.serve(bad, 20 * PRICE_USD6, signer="holder")
    stage.settle(settler)
    assert stage.claimed(bad) == 0
    assert [stage.claimed(config) for config in fine] == [10 * PRICE_USD6] * 9
    assert stage.batches() == 1
    (told,) = [record.message for record in caplog.records if record.levelno == logging.ERROR]
    assert stage.channel_id(bad).hex() in told
    assert (settler.status().unclaimed_usd6, settler.status().unclaimable_usd6) == (0, 20 * PRICE_USD6)
    assert "BatchSettlement_InvalidSignature" in told
    stage.settle(settler)
    assert len(caplog.records) == 1  # it is left alone for a while
    stage.clock.now += ASIDE_SECONDS
    stage.settle(settler)
    assert len(caplog.records) == 2


# What an account with code answers to whether it signed, and what it burns before.
SIGNS_NOTHING = "0x5f5ffd"
SIGNS_ANYTHING = "631626ba7e60e01b5f5260205ff3"
BURNS_AND_SIGNS = f"0x62030d405b600190038060045750{SIGNS_ANYTHING}"  # 200,000 rounds of 26 gas


def test_a_payer_that_makes_batches_revert_is_found_out(
    stage: SettlerStage, settler: Settler, caplog: pytest.LogCaptureFixture
) -> None:
    """Its account has code whenever a batch with it is mined, and never when one is tried."""
    payer = keys.local_account(OTHER_PAYER).address
    fine = stage.open([RECEIVER] * 7)
    (bad,) = stage.open([RECEIVER], payer=OTHER_PAYER, payer_authorizer=NOBODY)
    for config in fine:
        stage.serve(config, 10 * PRICE_USD6)
    stage.serve(bad, 10 * PRICE_USD6, signer=OTHER_PAYER)
    stage.rpc("evm_setAutomine", False)
    for _ in range(20):
        settler.tick()
        stage.rpc("anvil_setCode", payer, SIGNS_NOTHING)
        stage.mine(2)
        stage.rpc("anvil_setCode", payer, "0x")
    assert [stage.claimed(config) for config in (*fine, bad)] == [10 * PRICE_USD6] * 7 + [0]
    reverted = [record for record in caplog.records if "reverted: the chain moved" in record.message]
    assert len(reverted) == 1 + 3  # of eight, four, two and one
    assert settler.status().unclaimable_usd6 == 10 * PRICE_USD6
    stage.clock.now += ASIDE_SECONDS
    stage.settle(settler)
    assert stage.claimed(bad) == 10 * PRICE_USD6


def test_a_payer_whose_signature_costs_too_much_to_check_is_refused(
    stage: SettlerStage, settler: Settler, caplog: pytest.LogCaptureFixture
) -> None:
    (fine,) = stage.open([RECEIVER])
    (bad,) = stage.open([RECEIVER], payer=OTHER_PAYER, payer_authorizer=NOBODY)
    stage.serve(fine, 10 * PRICE_USD6)
    stage.serve(bad, 10 * PRICE_USD6, signer=OTHER_PAYER)
    stage.rpc("anvil_setCode", keys.local_account(OTHER_PAYER).address, BURNS_AND_SIGNS)
    stage.settle(settler)
    assert (stage.claimed(fine), stage.claimed(bad)) == (10 * PRICE_USD6, 0)
    assert f"channel {stage.channel_id(bad).hex()} cannot be claimed" in caplog.text
    cheap = BURNS_AND_SIGNS.replace("030d40", "002710")  # a twentieth of it
    stage.rpc("anvil_setCode", keys.local_account(OTHER_PAYER).address, cheap)
    stage.clock.now += ASIDE_SECONDS
    stage.settle(settler)
    assert stage.claimed(bad) == 10 * PRICE_USD6


def test_a_blocked_payer_stops_nobody_and_a_blocked_receiver_nobody_else(
    stage: SettlerStage, settler: Settler, due: list[ChannelConfig], caplog: pytest.LogCaptureFixture
) -> None:
    for account in (keys.local_account("customer").address, RECEIVER):
        stage.sender("owner").send(stage.usd.functions.blacklist(account))
    stage.settle(settler)
    expect_claimed_once(stage, due)
    assert (stage.earned(RECEIVER), stage.earned(OTHER)) == (0, 10 * PRICE_USD6)
    assert f"SettleFailed: {RECEIVER}" in caplog.text
    assert stage.settlement.unsettled(RECEIVER, stage.usd.address) == 10 * PRICE_USD6


# Several settlers -------------------------------------------------------------------------------------------


def test_of_two_settlers_over_one_ledger_one_settles(stage: SettlerStage, due: list[ChannelConfig]) -> None:
    stage.rpc("evm_setAutomine", False)
    first, second = stage.settler(), stage.settler()
    first.tick()
    second.tick()
    assert (first.status().settles, second.status().settles) == (True, False)
    assert second.status().under_way is None
    assert len(stage.waiting()) == 1
    stage.clock.now += LEASE_SECONDS
    second.tick()
    assert second.status().settles
    stage.settle(second)
    expect_claimed_once(stage, due)
    first.tick()
    assert not first.status().settles
    second.stop()
    first.tick()
    assert first.status().settles

"""A call from its signature until it counts, whatever the chain does meanwhile."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from outbox_stage import (
    POLICY,
    REVERTING,
    ROUNDS,
    OutboxStage,
    decided,
    outbox_stage,
    under_way,
)
from sqlalchemy import Connection
from web3 import Web3

from wellhead.chain import local
from wellhead.chain.outbox.journal import DROPPED, FINAL, REVERTED
from wellhead.chain.outbox.sender import Outbox
from wellhead.chain.revert import ContractRefused
from wellhead.errors import Refused


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[OutboxStage]:
    with outbox_stage(tmp_path) as raised:
        yield raised


@pytest.fixture
def outbox(stage: OutboxStage) -> Outbox:
    return stage.outbox()


# The ordinary way -------------------------------------------------------------------------------------------


def test_it_counts_after_its_confirmations_and_is_told_until_it_is_closed(
    stage: OutboxStage, outbox: Outbox
) -> None:
    sent = under_way(outbox.submit(stage.call(17)))
    assert [one["hash"] for one in stage.waiting()] == [sent.transaction]
    assert (sent.entry.call.subject, sent.mined, outbox.is_open("round 17")) == ("round 17", False, True)
    assert under_way(outbox.advance()) == sent
    for _ in range(POLICY.confirmations - 1):
        stage.mine()
        assert under_way(outbox.advance()) == sent._replace(mined=True)
    stage.mine()
    final = decided(outbox.advance())
    assert (final.entry, final.state, final.reason) == (sent.entry, FINAL, "")
    assert final.receipt is not None
    assert final.block == final.receipt["blockNumber"] == stage.w3.eth.block_number - 2
    assert outbox.is_open("round 17")
    assert decided(stage.outbox().advance()) == final  # nor did a process that died act on it
    outbox.close(final)
    assert (outbox.advance(), outbox.is_open("round 17"), outbox.problem) == (None, False, "")
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_what_reverts_when_it_is_mined_is_told_with_its_receipt(stage: OutboxStage, outbox: Outbox) -> None:
    outbox.submit(stage.call())
    stage.set_code(REVERTING)
    stage.mine(POLICY.confirmations)
    reverted = decided(outbox.advance())
    assert reverted.receipt is not None
    assert (reverted.state, reverted.receipt["status"]) == (REVERTED, 0)
    assert "reverted: the chain moved before it" in reverted.reason == outbox.problem
    outbox.close(reverted)
    assert outbox.advance() is None
    stage.set_code(ROUNDS)
    outbox.submit(stage.call())
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert outbox.problem == ""


def test_what_would_revert_is_neither_written_nor_sent(stage: OutboxStage, outbox: Outbox) -> None:
    stage.set_code(ROUNDS)
    with pytest.raises(ContractRefused):
        outbox.submit(stage.call(0))
    assert (outbox.advance(), stage.waiting(), stage.journal().last_entry_id()) == (None, [], 0)


def test_what_needs_more_gas_than_it_has_is_not_sent(stage: OutboxStage, outbox: Outbox) -> None:
    with pytest.raises(ContractRefused):
        outbox.submit(stage.call(gas=22_000))
    assert stage.waiting() == []


def test_a_second_call_waits_for_the_first(stage: OutboxStage, outbox: Outbox) -> None:
    sent = under_way(outbox.submit(stage.call(1)))
    with pytest.raises(Refused, match="round 2 has to wait: round 1 is under way with nonce 0"):
        outbox.submit(stage.call(2))
    assert [one["hash"] for one in stage.waiting()] == [sent.transaction]
    stage.follow(outbox)
    outbox.submit(stage.call(2))
    stage.follow(outbox)
    assert (stage.landed(), stage.paid_for()) == (2, 2)


def test_nothing_is_sent_against_the_guard(stage: OutboxStage) -> None:
    def guard(_: Connection) -> None:
        raise PermissionError("another process settles now")

    outbox = stage.outbox(journal=stage.journal(guard=guard))
    with pytest.raises(PermissionError):
        outbox.submit(stage.call())
    assert (stage.waiting(), outbox.advance()) == ([], None)


# Stuck or lost ----------------------------------------------------------------------------------------------


def test_the_same_bytes_are_sent_again_when_the_node_has_forgotten_them(
    stage: OutboxStage, outbox: Outbox
) -> None:
    sent = under_way(outbox.submit(stage.call()))
    for _ in range(3):
        stage.forget()
        assert stage.waiting() == []
        assert under_way(outbox.advance()) == sent
        assert [one["hash"] for one in stage.waiting()] == [sent.transaction]
    stage.follow(outbox)
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_after_a_restart_however_late_the_same_bytes_go_first(stage: OutboxStage, outbox: Outbox) -> None:
    sent = under_way(outbox.submit(stage.call()))
    stage.forget()
    stage.clock.now += 100 * POLICY.patience_seconds
    after = stage.outbox()
    assert under_way(after.advance()) == sent
    assert [one["hash"] for one in stage.waiting()] == [sent.transaction]
    stage.clock.now += POLICY.patience_seconds
    assert under_way(after.advance()).transaction != sent.transaction
    stage.follow(after)
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_a_base_fee_ten_times_higher_is_followed(stage: OutboxStage, outbox: Outbox) -> None:
    sent = under_way(outbox.submit(stage.call()))
    higher = 10 * sent.signed.fees.max_fee_wei
    stage.rpc("anvil_setNextBlockBaseFeePerGas", hex(higher))
    stage.mine()
    assert under_way(outbox.advance()) == sent  # it may fall again
    assert stage.paid_for() == 0
    stage.clock.now += POLICY.patience_seconds
    raised = under_way(outbox.advance())
    assert raised.signed.fees.max_fee_wei >= higher
    assert raised.entry.transactions == [sent.signed, raised.signed]
    assert [one["hash"] for one in stage.waiting()] == [raised.transaction]
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_who_presses_waits_a_quarter_as_long(stage: OutboxStage, outbox: Outbox) -> None:
    now = int(stage.w3.eth.get_block("latest")["timestamp"])
    sent = under_way(outbox.submit(stage.call(urgent_at=now + 1)))
    stage.clock.now += POLICY.patience_seconds / 4
    assert under_way(outbox.advance()) == sent
    stage.forget()
    stage.rpc("evm_increaseTime", 2)
    stage.mine()
    assert under_way(outbox.advance()).signed.fees > sent.signed.fees


def test_whichever_of_the_competing_transactions_is_mined_counts(stage: OutboxStage, outbox: Outbox) -> None:
    sent = under_way(outbox.submit(stage.call()))
    stage.clock.now += POLICY.patience_seconds
    outbox.advance()
    stage.clock.now += POLICY.patience_seconds
    third = under_way(outbox.advance())
    assert len({one.hash for one in third.entry.transactions}) == 3
    stage.forget()
    stage.rpc("eth_sendRawTransaction", Web3.to_hex(sent.signed.raw))
    stage.mine()
    won = under_way(stage.outbox().advance())
    assert (won.transaction, won.mined) == (sent.transaction, True)
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_at_the_highest_fee_it_waits_and_says_so(stage: OutboxStage) -> None:
    policy = replace(POLICY, max_fee_wei=2 * 10**9)
    outbox = stage.outbox(policy)
    outbox.submit(stage.call())
    for _ in range(4):
        stage.clock.now += POLICY.patience_seconds
        last = under_way(outbox.advance())
    assert last.signed.fees.max_fee_wei <= policy.max_fee_wei
    assert "nonce 0 is not mined at the highest fee allowed" in outbox.problem
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert outbox.problem == ""


def test_what_the_nodes_forgot_at_the_highest_fee_stands_in_nobodys_way(stage: OutboxStage) -> None:
    policy = replace(POLICY, max_fee_wei=2 * 10**9)
    outbox = stage.outbox(policy)
    sent = under_way(outbox.submit(stage.call(1)))
    stage.clock.now += POLICY.patience_seconds
    while (now := under_way(outbox.advance())).transaction != sent.transaction:
        sent = now
        stage.clock.now += POLICY.patience_seconds
    stage.set_code(REVERTING)
    outbox.close(decided(outbox.advance()))
    stage.set_code(ROUNDS)
    assert outbox.submit(stage.call(2)) is None
    assert outbox.problem == f"nonce 0 waits at the highest fee allowed, {policy.max_fee_wei} wei"
    stage.forget()
    assert under_way(outbox.submit(stage.call(2))).entry.nonce == 0
    assert stage.follow(outbox) == [("round 2", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


# No longer wanted -------------------------------------------------------------------------------------------


def test_what_would_revert_by_now_is_dropped_and_not_paid_for(stage: OutboxStage, outbox: Outbox) -> None:
    outbox.submit(stage.call(1))
    stage.forget()
    stage.set_code(REVERTING)
    dropped = decided(outbox.advance())
    assert (dropped.state, dropped.receipt, dropped.block) == (DROPPED, None, None)
    assert dropped.reason.startswith("it would revert by now: ")
    outbox.close(dropped)
    stage.mine(POLICY.confirmations)
    assert (stage.waiting(), stage.paid_for(), outbox.advance()) == ([], 0, None)


def test_the_next_call_outbids_what_was_dropped_and_still_waits(stage: OutboxStage, outbox: Outbox) -> None:
    first = under_way(outbox.submit(stage.call(1)))
    stage.set_code(REVERTING)
    outbox.close(decided(outbox.advance()))
    stage.set_code(ROUNDS)
    second = under_way(outbox.submit(stage.call(2)))
    assert (second.entry.nonce, second.signed.fees > first.signed.fees) == (first.entry.nonce, True)
    assert [one["hash"] for one in stage.waiting()] == [second.transaction]
    assert stage.follow(outbox) == [("round 2", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_an_earlier_transaction_of_the_nonce_may_win_after_all(
    stage: OutboxStage, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    """It was given up, the next one outbid it, and a miner still had it: the next one's caller learns of it."""
    first = under_way(outbox.submit(stage.call(1)))
    stage.set_code(REVERTING)
    outbox.close(decided(outbox.advance()))
    stage.set_code(ROUNDS)
    outbox.submit(stage.call(2))
    stage.forget()
    stage.rpc("eth_sendRawTransaction", Web3.to_hex(first.signed.raw))
    stage.mine(POLICY.confirmations)
    dropped = decided(outbox.advance())
    assert (dropped.entry.call.subject, dropped.state) == ("round 2", DROPPED)
    assert dropped.reason == "an earlier transaction of nonce 0 was mined in its place"
    assert "used elsewhere" not in caplog.text


def use_elsewhere(stage: OutboxStage) -> None:
    """Somebody has the key, and sends with its first nonce."""
    signed = stage.account.sign_transaction(
        {
            "to": stage.contract,
            "value": 1,
            "gas": 50_000,
            "gasPrice": 10**10,
            "nonce": 0,
            "chainId": local.CHAIN_ID,
        }
    )
    stage.set_code("0x00")
    stage.rpc("eth_sendRawTransaction", Web3.to_hex(signed.raw_transaction))


def test_a_nonce_that_somebody_else_used_is_told(
    stage: OutboxStage, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    outbox.submit(stage.call())
    stage.forget()
    use_elsewhere(stage)
    stage.mine()
    assert not under_way(outbox.advance()).mined  # not for good yet
    stage.mine(POLICY.confirmations - 1)
    dropped = decided(outbox.advance())
    assert (dropped.state, dropped.reason) == (DROPPED, outbox.problem)
    assert "was used elsewhere: give this account a key that nothing else uses" in caplog.text
    outbox.close(dropped)
    outbox.submit(stage.call())
    assert stage.follow(outbox) == [("round 1", FINAL)]


@pytest.mark.parametrize("forgotten", [False, True])
def test_behind_a_nonce_that_somebody_else_waits_with(
    stage: OutboxStage, outbox: Outbox, forgotten: bool
) -> None:
    """It comes after that one; if nodes forget that one, it is dropped, as its turn would never come."""
    use_elsewhere(stage)
    sent = under_way(outbox.submit(stage.call()))
    assert (sent.entry.nonce, under_way(outbox.advance())) == (1, sent)
    if not forgotten:
        assert stage.follow(outbox) == [("round 1", FINAL)]
        assert stage.paid_for() == 2
        return
    stage.forget()
    dropped = decided(outbox.advance())
    assert (dropped.state, dropped.reason) == (DROPPED, "nothing came at the nonce before its own, 1")


# Reorganisations --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shorter", [False, True], ids=["replaced", "rolled back"])
@pytest.mark.parametrize("counted", [False, True], ids=["mined", "final"])
def test_three_blocks_that_are_taken_back_cost_nothing(
    stage: OutboxStage, outbox: Outbox, counted: bool, shorter: bool
) -> None:
    sent = under_way(outbox.submit(stage.call()))
    if counted:
        stage.follow(outbox)
    else:
        stage.mine(2)
        assert under_way(outbox.advance()).mined
    if shorter:
        stage.rpc("anvil_rollback", 3)
        stage.forget()
    else:
        stage.reorganise(3)
    assert (stage.landed(), stage.paid_for(), stage.waiting()) == (0, 0, [])
    stage.clock.now += POLICY.patience_seconds / 2
    again = under_way(outbox.advance())
    assert (again.transaction, again.entry.call.subject, again.mined) == (sent.transaction, "round 1", False)
    assert [one["hash"] for one in stage.waiting()] == [sent.transaction]
    assert outbox.is_open("round 1")
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_what_counted_long_before_has_its_patience_anew(stage: OutboxStage, outbox: Outbox) -> None:
    sent = under_way(outbox.submit(stage.call()))
    stage.follow(outbox)
    stage.clock.now += 10 * POLICY.patience_seconds
    stage.reorganise(4)
    assert under_way(outbox.advance()).transaction == sent.transaction
    stage.clock.now += POLICY.patience_seconds
    assert under_way(outbox.advance()).transaction != sent.transaction


def test_several_that_were_taken_back_come_again_in_order(stage: OutboxStage, outbox: Outbox) -> None:
    """Two that counted and one under way, each with the bytes that it had: a round out of turn would be refused."""
    stage.set_code(ROUNDS)
    raws = []
    for number in (1, 2):
        raws.append(under_way(outbox.submit(stage.call(number))).transaction)
        stage.follow(outbox)
    raws.append(under_way(outbox.submit(stage.call(3))).transaction)
    stage.mine()
    assert stage.landed() == 3
    stage.reorganise(8)
    assert stage.landed() == 0
    told = stage.follow(stage.outbox())
    assert told == [("round 1", FINAL), ("round 2", FINAL), ("round 3", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (3, 3)
    assert [Web3.to_hex(stage.journal().signed_at(nonce)[-1].hash) for nonce in range(3)] == raws


def test_what_can_no_longer_come_takes_what_stood_on_it_along(stage: OutboxStage, outbox: Outbox) -> None:
    """After the reorganisation nothing fills the first one's nonce: who waits behind it is told, and builds anew."""
    stage.set_code(ROUNDS)
    outbox.submit(stage.call(1))
    stage.follow(outbox)
    outbox.submit(stage.call(2))
    stage.mine()
    stage.reorganise(5)
    stage.forget()
    stage.set_code(REVERTING)
    assert stage.follow(outbox) == [("round 1", DROPPED), ("round 2", DROPPED)]
    stage.set_code(ROUNDS)
    assert under_way(outbox.submit(stage.call(3))).entry.nonce == 0
    assert stage.follow(outbox) == [("round 3", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_beyond_the_watched_blocks_nothing_is_asked_for(stage: OutboxStage) -> None:
    policy = replace(POLICY, watched_blocks=5)
    outbox = stage.outbox(policy)
    outbox.submit(stage.call())
    assert stage.follow(outbox) == [("round 1", FINAL)]
    stage.mine(3)
    stage.reorganise(6)
    assert stage.landed() == 0
    assert outbox.advance() is None
    assert not outbox.is_open("round 1")


# Money for gas ----------------------------------------------------------------------------------------------


def test_a_purse_that_is_one_wei_short_is_told_and_waited_for(
    stage: OutboxStage, outbox: Outbox, caplog: pytest.LogCaptureFixture
) -> None:
    needed = under_way(outbox.submit(stage.call())).signed.fees.max_fee_wei * stage.call().gas
    stage.forget()
    address = stage.account.address
    afresh = stage.outbox(journal=stage.journal(guard=lambda _: None))
    stage.set_code(REVERTING)
    afresh.close(decided(afresh.advance()))
    stage.set_code(ROUNDS)
    stage.rpc("anvil_setBalance", address, hex(needed - 1))
    with caplog.at_level(logging.ERROR):
        assert outbox.submit(stage.call()) is None
        assert outbox.submit(stage.call()) is None
    assert [record.message for record in caplog.records] == [outbox.problem]
    assert outbox.problem.startswith(f"{address} has {needed - 1} wei for gas, round 1 needs up to ")
    assert stage.waiting() == []
    stage.rpc("anvil_setBalance", address, hex(2 * needed))
    outbox.submit(stage.call())
    assert outbox.problem == ""
    assert stage.follow(outbox) == [("round 1", FINAL)]

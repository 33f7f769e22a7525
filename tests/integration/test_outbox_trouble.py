"""An outbox whose node answers errors, nothing, or of yesterday, and whose disk takes nothing more."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from outbox_stage import (
    POLICY,
    ROUNDS,
    OutboxStage,
    WatchedProvider,
    bring,
    decided,
    full_disk,
    outbox_stage,
    under_way,
)
from requests.exceptions import ConnectionError as NodeAwayError
from sqlalchemy.exc import OperationalError
from web3 import Web3

from wellhead.chain.outbox.journal import FINAL
from wellhead.errors import Refused


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[OutboxStage]:
    with outbox_stage(tmp_path) as raised:
        yield raised


# The node ---------------------------------------------------------------------------------------------------


class FailingProvider(WatchedProvider):
    """Fails at one question, before the node hears it, after it did, or by the node's own answer."""

    def __init__(self, url: str, left: int, how: str) -> None:
        super().__init__(url)
        self.left, self.how = left, how

    def before(self, _method: str, params: Any) -> Any:
        self.left -= 1
        if self.left == -1 and self.how == "away":
            raise NodeAwayError("connection refused")
        return params

    def after(self, _method: str, answer: Any) -> Any:
        if self.left != -1 or self.how == "away":
            return answer
        if self.how == "answer lost":
            raise NodeAwayError("connection reset")
        return {"jsonrpc": "2.0", "id": answer["id"], "error": {"code": -32603, "message": "overloaded"}}


@pytest.mark.parametrize("how", ["away", "answer lost", "error"])
def test_a_failure_of_any_one_question_loses_nothing_and_sends_nothing_twice(
    stage: OutboxStage, how: str
) -> None:
    question = 0
    while True:
        stage.anew(question)
        provider = FailingProvider(stage.url, question + 1, how)  # the first is asked when it is made
        outbox = stage.outbox(w3=Web3(provider))
        before = stage.paid_for()
        bring(stage, outbox, stage.call())
        assert (stage.landed(), stage.paid_for() - before) == (1, 1), question
        assert outbox.problem == ""
        question += 1
        if provider.left >= 0:
            break
    assert question > 20


def test_a_node_that_takes_nothing_is_told_and_asked_again(stage: OutboxStage) -> None:
    class Refusing(WatchedProvider):
        refuses = True

        def before(self, method: str, params: Any) -> Any:
            if self.refuses and method == "eth_sendRawTransaction":
                raise NodeAwayError("connection refused")
            return params

    provider = Refusing(stage.url)
    outbox = stage.outbox(w3=Web3(provider))
    sent = under_way(outbox.submit(stage.call()))  # it is written down: to submit it again would be wrong
    assert outbox.problem == (
        f"the node does not take {sent.transaction}: ConnectionError: connection refused"
    )
    assert (stage.waiting(), under_way(outbox.advance())) == ([], sent)
    provider.refuses = False
    assert under_way(outbox.advance()) == sent
    assert outbox.problem == ""
    assert stage.follow(outbox) == [("round 1", FINAL)]


def test_what_is_mined_while_it_is_looked_at_does_not_stand_in_its_own_way(stage: OutboxStage) -> None:
    """Its round is posted when it is tried out, by itself: dropped, it would be brought again."""

    class Mining(WatchedProvider):
        def before(self, method: str, params: Any) -> Any:
            if method == "eth_call" and stage.waiting():
                stage.mine()
            return params

    stage.set_code(ROUNDS)
    outbox = stage.outbox(w3=Web3(Mining(stage.url)))
    sent = under_way(outbox.submit(stage.call()))
    assert under_way(outbox.advance()) == sent
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


class LaggingProvider(WatchedProvider):
    """A node that is some blocks behind, or several behind one address of which each answer is one's."""

    lag = 0

    def before(self, method: str, params: Any) -> Any:
        if method in ("eth_call", "eth_getTransactionCount", "eth_getBalance") and self.lag:
            return [*params[:1], self.newest(), *params[2:]]
        if method == "eth_getBlockByNumber" and params[0] == "latest" and self.lag:
            return [self.newest(), *params[1:]]
        return params

    def after(self, method: str, answer: Any) -> Any:
        found = answer.get("result")
        if method == "eth_blockNumber":
            return {**answer, "result": hex(int(found, 16) - self.lag)}
        seen = method in ("eth_getTransactionReceipt", "eth_getTransactionByHash")
        if seen and found and found["blockNumber"] and self.lag:
            unknown = int(found["blockNumber"], 16) > int(self.newest(), 16)
            return {**answer, "result": None} if unknown else answer
        return answer

    def newest(self) -> str:
        head = WatchedProvider.make_request(WatchedProvider(self.endpoint_uri), "eth_blockNumber", [])  # type: ignore[arg-type]
        return hex(int(head["result"], 16) - self.lag)


@pytest.mark.parametrize("lag", [1, 2, 3, 7])
def test_a_node_that_lags_delays_and_does_not_mislead(stage: OutboxStage, lag: int) -> None:
    stage.set_code(ROUNDS)
    provider = LaggingProvider(stage.url)
    outbox = stage.outbox(w3=Web3(provider))
    for number in (1, 2, 3):
        provider.lag = 0
        outbox.submit(stage.call(number))
        provider.lag = lag
        assert stage.follow(outbox) == [(f"round {number}", FINAL)]
        stage.mine(lag)
    assert (stage.landed(), stage.paid_for()) == (3, 3)


def test_a_node_that_lags_after_all_was_final(stage: OutboxStage) -> None:
    """It seems as after a reorganisation: what is sent again does no harm, and counts again."""
    stage.set_code(ROUNDS)
    provider = LaggingProvider(stage.url)
    outbox = stage.outbox(w3=Web3(provider))
    for number in (1, 2):
        outbox.submit(stage.call(number))
        assert stage.follow(outbox) == [(f"round {number}", FINAL)]
    provider.lag = 7
    assert under_way(outbox.advance()).entry.call.subject == "round 1"
    provider.lag = 0
    assert stage.follow(outbox) == [("round 1", FINAL), ("round 2", FINAL)]
    assert (stage.landed(), stage.paid_for(), stage.waiting()) == (2, 2, [])


def test_nodes_that_lag_differently_behind_one_address(stage: OutboxStage) -> None:
    """Every answer may be another node's, by less than the confirmations."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)

    class Balanced(LaggingProvider):
        def before(self, method: str, params: Any) -> Any:
            self.lag = source.randrange(POLICY.confirmations)
            return super().before(method, params)

    stage.set_code(ROUNDS)
    outbox = stage.outbox(w3=Web3(Balanced(stage.url)))
    for number in range(1, 6):
        for _ in range(60):
            if int(stage.w3.eth.get_storage_at(stage.contract, 0).hex(), 16) == number:
                break
            bring_once(stage, outbox, number)
        stage.mine()
    assert (stage.landed(), stage.paid_for()) == (5, 5)
    stage.mine(POLICY.confirmations)
    stage.follow(stage.outbox())
    assert (stage.landed(), stage.paid_for(), stage.waiting()) == (5, 5, [])


def bring_once(stage: OutboxStage, outbox: Any, number: int) -> None:
    now = outbox.advance()
    if now is None:
        outbox.submit(stage.call(number))
    elif hasattr(now, "state"):
        outbox.close(now)
    stage.mine()


def test_a_node_of_yesterday_decides_nothing(stage: OutboxStage) -> None:
    outbox = stage.outbox()
    stage.mine(POLICY.watched_blocks)
    outbox.submit(stage.call())
    assert stage.follow(outbox) == [("round 1", FINAL)]
    provider = LaggingProvider(stage.url)
    provider.lag = POLICY.watched_blocks + POLICY.confirmations
    behind = stage.outbox(w3=Web3(provider))
    with pytest.raises(Refused, match="it lags, or it is another chain, which needs a journal of its own"):
        behind.advance()
    assert "it lags" in behind.problem
    assert stage.journal().open_entries() == []


# The disk ---------------------------------------------------------------------------------------------------


def wal(stage: OutboxStage) -> Path:
    return stage.database.with_name("outbox.db-wal")


def test_what_cannot_be_written_down_is_not_sent(stage: OutboxStage) -> None:
    outbox = stage.outbox()
    with full_disk(wal(stage)), pytest.raises(OperationalError):
        outbox.submit(stage.call())
    assert (stage.waiting(), outbox.advance()) == ([], None)
    outbox.submit(stage.call())
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_nor_is_a_replacement(stage: OutboxStage) -> None:
    outbox = stage.outbox()
    sent = under_way(outbox.submit(stage.call()))
    stage.clock.now += POLICY.patience_seconds
    with full_disk(wal(stage)), pytest.raises(OperationalError):
        outbox.advance()
    assert [one["hash"] for one in stage.waiting()] == [sent.transaction]
    assert under_way(outbox.advance()).transaction != sent.transaction
    assert stage.follow(outbox) == [("round 1", FINAL)]
    assert (stage.landed(), stage.paid_for()) == (1, 1)


def test_a_decision_that_cannot_be_written_down_is_told_again(stage: OutboxStage) -> None:
    outbox = stage.outbox()
    outbox.submit(stage.call())
    stage.mine(POLICY.confirmations)
    final = decided(outbox.advance())
    with full_disk(wal(stage)), pytest.raises(OperationalError):
        outbox.close(final)
    assert decided(outbox.advance()) == final
    outbox.close(final)
    assert outbox.advance() is None

"""A process that is killed between any two steps of its outbox, and the one that comes after it."""

from __future__ import annotations

import os
import random
import signal
import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from outbox_stage import POLICY, ROUNDS, OutboxStage, WatchedProvider, bring, outbox_stage
from sqlalchemy import Engine, event
from web3 import Web3

from wellhead.chain.outbox.journal import FINAL
from wellhead.chain.outbox.sender import Decision, Outbox
from wellhead.chain.revert import ContractRefused

# Whatever changes something, on disk or on the chain, is a step, and so is the moment before it counts.
WRITES = ("BEGIN IMMEDIATE", "INSERT", "UPDATE", "DELETE")


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[OutboxStage]:
    with outbox_stage(tmp_path) as raised:
        yield raised


class Doomed:
    """Kills its own process at step `left`."""

    def __init__(self, left: int) -> None:
        self.left = left

    def step(self, *_: Any) -> None:
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1

    def executing(self, _connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith(WRITES):
            self.step()


class DoomedProvider(WatchedProvider):
    """Around what is sent there are two steps."""

    def __init__(self, url: str, doomed: Doomed) -> None:
        super().__init__(url)
        self.doomed = doomed

    def before(self, method: str, params: Any) -> Any:
        if method == "eth_sendRawTransaction":
            self.doomed.step()
        return params

    def after(self, method: str, answer: Any) -> Any:
        if method == "eth_sendRawTransaction":
            self.doomed.step()
        return answer


Story = Callable[[OutboxStage, Outbox], None]


def stuck(stage: OutboxStage, outbox: Outbox) -> None:
    """Replaced twice before it is mined."""
    for _ in range(3):
        now = outbox.advance()
        if now is None and not stage.landed():
            outbox.submit(stage.call())
        stage.clock.now += POLICY.patience_seconds
    bring(stage, outbox, stage.call())


def taken_back(stage: OutboxStage, outbox: Outbox) -> None:
    """It counts, and a reorganisation takes it."""
    bring(stage, outbox, stage.call())
    stage.reorganise(5)
    bring(stage, outbox, stage.call())


def dies_at(stage: OutboxStage, step: int, story: Story) -> bool:
    """Whether a process that lives the story is killed before its end."""
    child = os.fork()
    if child == 0:
        try:
            doomed = Doomed(step)
            event.listen(Engine, "before_cursor_execute", doomed.executing)
            event.listen(Engine, "commit", doomed.step)
            w3 = Web3(DoomedProvider(stage.url, doomed))
            story(stage, stage.outbox(w3=w3))
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.__stderr__)
            os._exit(1)
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status) or os.WEXITSTATUS(status) == 0
    return os.WIFSIGNALED(status)


@pytest.mark.parametrize(("story", "least"), [(stuck, 18), (taken_back, 16)])
def test_sigkill_at_any_step_leaves_one_transaction_in_the_chain(
    stage: OutboxStage, story: Story, least: int
) -> None:
    step = 0
    while True:
        stage.anew(step)
        before = stage.paid_for()
        died = dies_at(stage, step, story)
        signed = {one.hash for one in stage.journal().signed_at(before)}
        after = stage.outbox()
        bring(stage, after, stage.call())
        assert (stage.landed(), stage.paid_for() - before, stage.waiting()) == (1, 1, []), step
        assert not signed or signed == {one.hash for one in stage.journal().signed_at(before)}, step
        assert [entry.state for entry in stage.journal().final_after(0)] == [FINAL]
        assert stage.journal().open_entries() == []
        if not died:
            break
        step += 1
    assert step >= least


def test_rounds_on_a_bad_chain_come_in_order_and_once(stage: OutboxStage) -> None:
    """Reorganisations, forgetful nodes, fees, restarts in whatever order; the contract takes no round twice."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    stage.set_code(ROUNDS)
    outbox = stage.outbox()
    wanted = 1

    def posted() -> int:
        return int(stage.w3.eth.get_storage_at(stage.contract, 0).hex(), 16)

    def look() -> None:
        now = outbox.advance()
        if isinstance(now, Decision):
            outbox.close(now)
        elif now is None and posted() < wanted:
            with suppress(ContractRefused):
                outbox.submit(stage.call(posted() + 1))

    def restart() -> None:
        nonlocal outbox
        outbox = stage.outbox()

    def reorganise() -> None:
        stage.reorganise(source.randint(1, 5))

    def dearer() -> None:
        stage.rpc("anvil_setNextBlockBaseFeePerGas", hex(source.randint(1, 20) * 10**9))

    def wait() -> None:
        stage.clock.now += source.choice((1, 20, POLICY.patience_seconds))

    likely = [look] * 10 + [stage.mine] * 5 + [wait] * 2
    for _ in range(6):
        stage.mine(2 * POLICY.confirmations)
        for _ in range(40):
            source.choice([*likely, reorganise, stage.forget, restart, dearer])()
        for _ in range(60):
            if posted() == wanted and outbox.advance() is None:
                break
            stage.clock.now += POLICY.patience_seconds
            look()
            stage.mine()
        assert posted() == wanted, (outbox.problem, outbox.advance())
        assert stage.landed() == stage.paid_for() == wanted  # none was paid for that did nothing
        assert (stage.waiting(), outbox.advance(), outbox.problem) == ([], None, "")
        wanted += 1

"""A settler that dies at any step, and the one that comes after it."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from settler_stage import AUTHORIZER, GAS_PAYER, PRICE_USD6, SettlerStage, settler_stage, some_account
from sqlalchemy import Engine, event
from web3 import HTTPProvider, Web3

from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.claims.settler import LEASE_SECONDS, Settler

RECEIVERS = [some_account(0xBEEF), some_account(0xCAFE), some_account(0xBEEF)]
WORTH = 5 * PRICE_USD6


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[SettlerStage]:
    with settler_stage(tmp_path) as raised:
        yield raised


class PowerCutError(BaseException):
    """Nothing in the package catches it."""


class Cut:
    """Power that fails at step `left`; `steps` are those that were survived."""

    def __init__(self, left: int) -> None:
        self.left = left
        self.steps: list[str] = []

    def step(self, name: str) -> None:
        if self.left == 0:
            raise PowerCutError(name)
        self.left -= 1
        self.steps.append(name)


class CutProvider(HTTPProvider):
    """A connection to the chain on which power may fail around whatever changes it."""

    def __init__(self, url: str, cut: Cut) -> None:
        super().__init__(url)
        self.cut = cut

    def make_request(self, method: Any, params: Any) -> Any:
        sends = method == "eth_sendRawTransaction"
        if sends:
            self.cut.step("sending")
        answer = super().make_request(method, params)
        if sends:
            self.cut.step("sent")
        return answer


def die_at(stage: SettlerStage, step: int) -> Cut:
    """Run a settler whose power fails at `step`, or to its end if that comes first."""
    cut = Cut(step)
    settler = stage.settler(w3=Web3(CutProvider(stage.url, cut)))

    def committing(_: Any) -> None:
        cut.step("committing")

    event.listen(Engine, "commit", committing)
    try:
        stage.settle(settler)
    except PowerCutError:
        cut.steps.append("cut")
    finally:
        event.remove(Engine, "commit", committing)
    return cut


def test_death_at_any_step_loses_nothing_and_claims_nothing_twice(stage: SettlerStage) -> None:
    """Between every two writes, on disk or to the chain, once."""
    step, before = 0, 0
    while True:
        configs = stage.open(RECEIVERS)
        for config in configs:
            stage.serve(config, WORTH)
        stage.rpc("evm_setAutomine", False)  # or what was sent would be mined before anybody could ask
        cut = die_at(stage, step)
        stage.clock.now += LEASE_SECONDS
        after = stage.settler()
        stage.settle(after)
        after.stop()
        stage.rpc("evm_setAutomine", True)
        claims = stage.claims()[before:]
        expected = [(stage.channel_id(config), WORTH) for config in configs]
        assert sorted(claims) == sorted(expected), (step, cut.steps)
        assert stage.ledger.claimable() == []
        assert stage.batches() == step + 1, (step, cut.steps)  # gas was paid once
        before += len(claims)
        step += 1
        if cut.steps[-1] != "cut":
            break
    assert cut.steps.count("sent") == 1
    assert step > 8


# What the child runs: argument 1 is the chain, 2 the router, 3 the database, 4 how far its clock is ahead.
CHILD = f"""
import sys, time
from web3 import HTTPProvider, Web3
from wellhead.chain import keys
from wellhead.gateway.claims.policy import ClaimPolicy
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.claims.settler import Settler

url, router, database, ahead = sys.argv[1:]
clock = lambda: time.time() + float(ahead)
settler = Settler(
    Web3(HTTPProvider(url)), router, keys.local_account("{GAS_PAYER}"), keys.local_account("{AUTHORIZER}"),
    Ledger(database, clock), database, clock=clock,
    claiming=ClaimPolicy(min_value_usd6=1, min_channel_usd6=0, look_seconds=0.01),
    sending=SendingPolicy(confirmations=2, poll_seconds=0.01),
)
settler.start()
print("settling", flush=True)
sys.stdin.read()
settler.stop()
print("stopped", flush=True)
"""


def start_child(stage: SettlerStage, ahead: float) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, stage.url, stage.router, stage.ledger_url, str(ahead)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "settling\n"
    return child


def test_sigkill_at_random_points(stage: SettlerStage) -> None:
    """A gateway that goes on serving beside a settler that is killed again and again; then one that ends in order."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    configs = stage.open(RECEIVERS * 2)
    served = dict.fromkeys(configs, 0)
    ahead = 0.0

    def clock() -> float:
        return time.time() + ahead

    def serve_one(ledger: Ledger) -> None:
        config, cost = source.choice(configs), source.randrange(1, 50)
        stage._replace(ledger=ledger).serve(config, cost)
        served[config] += cost
        stage.mine()

    def serve_for(seconds: float, ledger: Ledger) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            serve_one(ledger)

    def serve_until_it_claims(ledger: Ledger) -> None:
        """However long this machine takes to get that far: a settler that had done nothing yet would prove nothing."""
        before, deadline = stage.batches(), time.monotonic() + 60
        while stage.batches() == before:
            assert time.monotonic() < deadline, "it never claimed"
            serve_one(ledger)

    for _ in range(4):
        ledger = Ledger(stage.ledger_url, clock)
        child = start_child(stage, ahead)
        serve_until_it_claims(ledger)
        serve_for(source.uniform(0.0, 0.5), ledger)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        ledger.close()
        ahead += LEASE_SECONDS
    ledger = Ledger(stage.ledger_url, clock)
    child = start_child(stage, ahead)
    serve_for(0.3, ledger)
    out, _ = child.communicate("", timeout=30)
    assert (out, child.returncode) == ("stopped\n", 0)
    settler = stage.settler(ledger=ledger, clock=clock)
    for _ in range(3):
        stage.settle(settler, everything=True)
    assert {config: stage.claimed(config) for config in configs} == served
    assert sum(amount for _, amount in stage.claims()) == sum(served.values())
    assert sum(stage.earned(receiver) for receiver in set(RECEIVERS)) == sum(served.values())
    assert ledger.claimable() == []
    ledger.close()


def test_the_thread_settles_and_stops(stage: SettlerStage) -> None:
    (config,) = stage.open(RECEIVERS[:1])
    stage.rpc("evm_setIntervalMining", 1)
    settler: Settler = stage.settler()
    settler.start()
    stage.serve(config, 10 * PRICE_USD6)
    beside = stage.settler()
    settled = beside.settle_now(30)
    settler.stop()
    assert stage.claimed(config) == 10 * PRICE_USD6
    assert (settled.claimed_usd6, settled.channels) == (10 * PRICE_USD6, 1)

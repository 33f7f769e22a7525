"""The pool and its twin in Python, step by step over random sequences: equal to the unit."""

from __future__ import annotations

import random
from contextlib import nullcontext

import pytest
from pool_stage import DAY, FORMER_GATEWAY, GATEWAY, HOUR, PoolStage, raise_pool_stage, sign
from share_stage import the_event

from wellhead.reference.offering import RefusedError
from wellhead.reference.pool import Account, Flow, Membership, PeriodBook, Pool
from wellhead.reference.pool_receipt import Receipt

NODES = (1, 2, 3, 4, 5)
STEPS = 120


def compare(stage: PoolStage, twin: Pool, nodes: tuple[int, ...]) -> None:
    assert Flow(*stage.functions.flow().call()) == twin.flow
    for node in nodes:
        assert Account(*stage.functions.accountOf(node).call()) == twin.accounts.get(node, Account())
        assert stage.functions.claimableUsd6(node).call() == twin.claimable_usd6(node)
        _, *membership = stage.functions.membershipOf(node).call()
        assert Membership(*membership) == twin.membership(node)
        period = twin.accounts.get(node, Account()).period
        assert PeriodBook(*stage.functions.periodOf(period).call()) == twin.periods.get(period, PeriodBook())


class Play:
    """One history: every step is made on both sides, and refused by both for the same reason."""

    def __init__(self, stage: PoolStage, reverts, seed: int) -> None:
        self.stage, self.reverts, self.source = stage, reverts, random.Random(seed)
        self.twin = Pool(stage.schedule)
        self.key = GATEWAY
        self.received = self.paid = 0
        self.done: dict[str, int] = {}
        self.errors: set[str] = set()

    def refused(self, step):
        """The twin's step, and what the contract must say to the same."""
        try:
            return step(), nullcontext()
        except RefusedError as error:
            self.errors.add(error.name)
            return None, self.reverts(error.name, *error.values)

    def make(self, name: str, step, call, sender: str = "stranger"):
        """One step on both sides at the time of the next block; the receipt if it was made."""
        time = self.stage.now() + 1
        self.stage.at(time)
        made, expected = self.refused(lambda: step(time))
        receipt = None
        with expected:
            if made is None:
                call.call({"from": self.stage.actors[sender]}, block_identifier="pending")
            else:
                receipt = self.stage.send(call, self.stage.actors[sender])
        self.done[name if made is not None else f"{name} refused"] = (
            self.done.get(name if made is not None else f"{name} refused", 0) + 1
        )
        if made is not None:
            self.twin = made[0] if isinstance(made, tuple) else made
        return receipt

    def amount(self) -> int:
        return self.source.choice(
            [1, self.source.randrange(1, 100), self.source.randrange(10**4, 10**9), 2**62 // 40]
        )

    def step(self) -> None:
        stage, source = self.stage, self.source
        functions = stage.functions
        node = source.choice(NODES)
        kind = source.choice(
            ("pay", "pay", "record", "record", "record", "record", "distribute", "claim", "pass")
        )
        kind = (
            source.choice(("join", "join", "join", "leave", "dismiss", "gateway", "silence"))
            if source.random() < 0.15
            else kind
        )
        if kind == "pay":
            self.received += (amount := self.amount())
            stage.send(stage.usd.functions.mint(stage.pool.address, amount))
            if source.random() < 0.8:
                balance = self.received - self.paid
                self.make("sync", lambda time: self.twin.sync(balance, time), functions.sync())
        elif kind == "record":
            self.record(node)
        elif kind == "distribute":
            now = stage.schedule.period_at(stage.now())
            period = self.twin.flow.open_period or max(0, now - source.randrange(3))
            self.make(
                "distribute", lambda time: self.twin.distribute(period, time), functions.distribute(period)
            )
        elif kind == "claim":
            self.claim(node)
        elif kind == "pass":
            stage.pass_until(stage.now() + source.choice([HOUR, 5 * HOUR, 20 * HOUR, DAY]))
        elif kind == "join":
            self.make("admit", lambda _: self.twin.admit(node), functions.admit(node), "owner")
            self.make("join", lambda time: self.twin.join(node, time), functions.join(node), "operator")
        elif kind == "leave":
            self.make("leave", lambda time: self.twin.resign(node, time), functions.resign(node), "operator")
        elif kind == "dismiss":
            self.make("dismiss", lambda time: self.twin.dismiss(node, time), functions.dismiss(node), "owner")
        elif kind == "gateway":
            self.key = FORMER_GATEWAY if self.key is GATEWAY else GATEWAY
            self.make(
                "gateway", lambda _: self.twin.set_gateway(), functions.setGateway(self.key.address), "owner"
            )
            stage.billed.clear()
        elif source.random() < 0.3:
            stage.pass_periods(source.choice([2, 9, 40]))

    def record(self, node: int) -> None:
        stage, source = self.stage, self.source
        last = stage.schedule.period_at(stage.now()) - 1
        collected = last < 1 or stage.now() >= stage.schedule.distributable_at(last)
        period = max(1, stage.pass_periods() if collected and source.random() < 0.9 else last)
        if source.random() < 0.05:
            period += source.choice([-1, 1]) if period > 1 else 1
        members = [known for known in NODES if self.twin.membership(known).covers(period)]
        if members and source.random() < 0.9:
            node = source.choice(members)
        served = source.choice([0, 1, 2, source.randrange(1, 10**6), source.randrange(1, 2**48)])
        start = stage.billed.get(node, 0)
        billed = source.choice([served, served, served // 2, 2 * served + 1])
        if source.random() < 0.1:
            start = max(0, start - source.randrange(1, 2 * billed + 2))
        receipt = Receipt(node, period, start, start + billed)
        if source.random() < 0.05:
            receipt = receipt._replace(billed_to_units=max(0, start - 1))
        base, end = stage.readings(node, period, served)
        call = stage.functions.record(receipt, sign(self.key, stage.pool, receipt), base, end)
        if self.make("record", lambda time: self.twin.record(receipt, served, time), call):
            # Mostly the gateway goes on; sometimes a better record of the same period follows.
            stage.billed[node] = start if source.random() < 0.3 else receipt.billed_to_units

    def claim(self, node: int) -> None:
        expected = self.twin.claimable_usd6(node)
        receipt = self.make("claim", lambda _: self.twin.claim(node), self.stage.functions.claim(node))
        if receipt:
            assert the_event(self.stage.pool.events.Claim, receipt)["paidUsd6"] == expected
            self.paid += expected


@pytest.mark.parametrize(("seed", "terms"), [(51, {}), (52, {"tau_seconds": 90 * DAY, "period_rounds": 30})])
def test_pool_and_twin_are_equal(w3, deploy, send, actors, reverts, seed, terms):
    print(f"seed {seed}")
    stage = raise_pool_stage(w3, deploy, send, actors, **terms)
    play = Play(stage, reverts, seed)
    for node in NODES:
        stage.add_node(node)
        if node != NODES[-1]:
            play.make(
                "admit", lambda _, node=node: play.twin.admit(node), stage.functions.admit(node), "owner"
            )
            play.make(
                "join",
                lambda time, node=node: play.twin.join(node, time),
                stage.functions.join(node),
                "operator",
            )
    for _ in range(STEPS):
        play.step()
        compare(stage, play.twin, (play.source.choice(NODES),))
        assert stage.balance(stage.pool.address) == play.received - play.paid
    if open_period := play.twin.flow.open_period:
        stage.pass_until(stage.schedule.distributable_at(open_period))
        play.make(
            "distribute",
            lambda time: play.twin.distribute(open_period, time),
            stage.functions.distribute(open_period),
        )
    for node in NODES:
        play.claim(node)
    compare(stage, play.twin, NODES)
    # 5. Nobody has anything to come, so what is left was never distributed: nothing was lost to rounding.
    assert play.twin.flow.accounted_usd6 == play.twin.flow.level_usd6
    assert play.paid
    print(play.done, play.errors)
    assert {"sync", "record", "distribute", "claim", "leave", "gateway"} <= play.done.keys()
    assert {"ComputePool_NothingMore", "ComputePool_NotMemberIn"} <= play.errors

"""The twin against the contract over random histories of several channels: equal to the unit."""

from __future__ import annotations

import random
from typing import Any

import pytest
from settlement_stage import DELAY, SettlementStage, raise_settlement_stage

from wellhead.chain import local
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.reference.channel import Channel, ChannelRefusedError, owed

STEPS = 60
CHANNELS = 3


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> SettlementStage:
    return raise_settlement_stage(w3, deploy, send, actors, keys, compiled)


class History:
    """Channels of one payer with one receiver, and their twins, taking the same steps."""

    def __init__(self, stage: SettlementStage, reverts: Any, source: random.Random) -> None:
        self.stage, self.reverts, self.source = stage, reverts, source
        self.configs = [stage.config(salt=bytes([n]) * 32) for n in range(CHANNELS)]
        self.twins = [Channel(withdraw_delay=DELAY) for _ in self.configs]
        self.claimed = self.settled = self.deposits = 0

    def step(self) -> None:
        self.place = self.source.randrange(CHANNELS)
        self.config, self.twin = self.configs[self.place], self.twins[self.place]
        self.source.choice(
            [self.deposit, self.claim, self.claim, self.settle, self.refund, self.initiate, self.finalize]
        )()
        if self.source.random() < 0.3:
            self.stage.pass_time(self.source.choice((1, DELAY // 2, DELAY)))

    def amount(self) -> int:
        available = self.twin.available
        return self.source.choice(
            (0, 1, available // 2, available, available + 1, self.source.randrange(10**6))
        )

    def both(self, call, role: str, advance) -> int | None:
        """What the twin's step gives besides the next state; None if both refuse."""
        refused = ""
        try:
            stepped = advance()
        except ChannelRefusedError as error:
            refused = error.name
        if refused:
            with self.reverts(f"BatchSettlement_{refused}"):
                self.stage.send(call, self.stage.actors[role])
            return None
        self.stage.send(call, self.stage.actors[role])
        state, gained = stepped if isinstance(stepped, tuple) else (stepped, 0)
        self.twins[self.place] = state
        return gained

    def deposit(self) -> None:
        self.deposits += 1
        amount = self.source.choice((0, 1, self.source.randrange(1, 10**7)))
        call = self.stage.deposit_call(self.config, amount, salt=self.deposits)
        self.both(call, "stranger", lambda: self.twin.deposit(amount))

    def claim(self) -> None:
        total = self.twin.total_claimed + self.amount() - self.source.randrange(2)
        total = max(total, 0)
        ceiling = max(0, total + self.source.choice((-1, 0, 0, 1, 10**6)))
        row = self.stage.row(self.config, total, ceiling)
        call = self.stage.functions.claim([row])
        self.claimed += self.both(call, "treasury", lambda: self.twin.claim(total, ceiling)) or 0

    def settle(self) -> None:
        operator, token = self.stage.actors["operator"], self.stage.usd.address
        self.stage.send(self.stage.functions.settle(operator, token))
        self.settled = self.claimed

    def refund(self) -> None:
        amount = self.amount()
        self.both(
            self.stage.functions.refund(tuple(self.config), amount),
            "operator",
            lambda: self.twin.refund(amount),
        )

    def initiate(self) -> None:
        amount = self.amount()
        call = self.stage.functions.initiateWithdraw(tuple(self.config), amount)
        # The twin's time is that of the block to come, which the chain may not know yet: it is set.
        time = local.chain_time(self.stage.w3) + 1
        self.stage.w3.provider.make_request("evm_setNextBlockTimestamp", [time])
        self.both(call, "customer", lambda: self.twin.initiate_withdraw(amount, time))

    def finalize(self) -> None:
        call = self.stage.functions.finalizeWithdraw(tuple(self.config))
        now = local.chain_time(self.stage.w3)
        self.both(call, "customer", lambda: self.twin.finalize_withdraw(now))

    def compare(self) -> None:
        functions = self.stage.functions
        for config, twin in zip(self.configs, self.twins, strict=True):
            channel = self.stage.channel_id(config)
            assert self.stage.state(config) == (twin.balance, twin.total_claimed)
            assert functions.refundNonce(channel).call() == twin.refund_nonce
            assert functions.pendingWithdrawals(channel).call() == [
                twin.withdrawal_amount,
                twin.withdrawal_initiated_at,
            ]
        operator = self.stage.actors["operator"]
        assert functions.receivers(operator, self.stage.usd.address).call() == [self.claimed, self.settled]
        assert self.stage.balance(operator) == self.settled
        assert self.stage.balance(SETTLEMENT.address) == owed(self.twins, self.claimed - self.settled)


@pytest.mark.parametrize("history", range(2))
def test_random_history(stage, reverts, history):
    seed = random.randrange(2**32)
    print(f"history {history}: seed {seed}")
    played = History(stage, reverts, random.Random(seed))
    for _ in range(STEPS):
        played.step()
        played.compare()

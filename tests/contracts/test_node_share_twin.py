"""The readable twin against the contract, over random histories: equal to the unit, dust included."""

from __future__ import annotations

import random

import pytest
from share_stage import DAY, SHARE_UNITS, ShareStage, raise_stage

from wellhead.chain import local
from wellhead.reference.share import Share, ShareRefusedError

STEPS = 100
# A difference does not heal, so comparing every few steps finds as much, sooner.
COMPARE_EVERY = 4
HOLDERS = ("operator", "holder", "second_holder", "customer")


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


class Pair:
    """A share on sale and its twin, taking the same steps at the same second."""

    def __init__(self, stage: ShareStage, rng: random.Random) -> None:
        self.stage, self.rng = stage, rng
        tau = rng.choice((3_600, DAY, 90 * DAY, rng.randint(3_600, 90 * DAY)))
        cut = rng.choice((0, 1, 1_000, 8_999, rng.randint(0, 9_000)))
        self.share = stage.sale_share(tau_seconds=tau, operator_cut_bps=cut)
        self.twin = Share(tau_seconds=tau, operator_cut_bps=cut, protocol_cut_bps=250)
        self.accruals = self.syncs = self.burns = 0
        self.received = self.paid = 0

    def both(self, function, sender, step) -> bool:
        """Sends `function` and takes `step(twin, time)`; both happen, or neither does."""
        time = self.stage.at(self.rng.choice((0, 1, 12, 3_600, DAY, self.rng.randint(0, 400 * DAY))))
        # Gas is given: an estimate would be made at the time of the block before.
        sent = function.transact({"from": sender, "gas": 1_000_000})
        receipt = self.stage.w3.eth.wait_for_transaction_receipt(sent, poll_latency=0.002)
        done = receipt["status"] == 1
        assert local.chain_time(self.stage.w3) == time
        try:
            self.twin = step(self.twin, time)
        except ShareRefusedError:
            assert not done, f"{function} went through, but the twin refused"
            return False
        assert done, f"{function} was refused, but not by the twin"
        return True

    def compare(self) -> None:
        """Every stored word, every figure derived from it, and the money."""
        now, twin, functions = local.chain_time(self.stage.w3), self.twin, self.share.functions
        reservoir = twin.reservoir
        assert functions.reservoir().call() == (
            *(reservoir.accounted_usd6, reservoir.updated_at, reservoir.pending_x48, reservoir.index_x48),
        )
        assert functions.credits().call() == [twin.operator_credit_usd6, twin.protocol_credit_usd6]
        assert functions.totalSupply().call() == twin.supply_units
        assert functions.phase().call() == twin.phase
        assert functions.unsyncedUsd6().call() == twin.unsynced_usd6()
        assert functions.indexX48().call() == twin.index_at(now)
        assert self.stage.usd.functions.balanceOf(self.share.address).call() == twin.balance_usd6
        for name in HOLDERS:
            account = twin.account(self.stage.actors[name])
            stored = functions.accountOf(self.stage.actors[name]).call()
            assert stored[:3] == (account.balance_units, account.accrued_x16, account.index_x48)
            claimable = functions.claimableUsd6(self.stage.actors[name]).call()
            assert claimable == twin.claimable_usd6(self.stage.actors[name], now)

    def check_laws(self) -> None:
        """Invariants 1 and 2 of the design; `compare` shows that the figures are the contract's."""
        twin = self.twin
        accounted = twin.reservoir.accounted_usd6
        assert accounted <= twin.balance_usd6
        assert self.received == self.paid + accounted + twin.unsynced_usd6()
        assert 0 <= twin.dust_x48() <= ((self.syncs + 2 * self.burns) << 48) + (self.accruals << 32)

    # Steps --------------------------------------------------------------------------------------------

    def receive(self) -> None:
        amount = self.rng.choice((1, 9_999, 10_000, 123_456_789, 10**13, 2**57, self.rng.randint(1, 10**10)))
        self.stage.send(self.stage.usd.functions.mint(self.share.address, amount))
        self.twin = self.twin.receive(amount)
        self.received += amount

    def sync(self) -> None:
        self.syncs += self.both(
            self.share.functions.sync(), self.anyone(), lambda twin, time: twin.sync(time)[0]
        )

    def transfer(self) -> None:
        giver, taker = self.account(), self.account()
        units = self.some_units(giver)
        self.accruals += 2 * self.both(
            self.share.functions.transfer(taker, units),
            giver,
            lambda twin, time: twin.transfer(giver, taker, units, time),
        )

    def claim(self) -> None:
        account = self.account()
        balance = self.twin.balance_usd6
        self.accruals += self.both(
            self.share.functions.claimFor(account),
            self.anyone(),
            lambda twin, time: twin.claim(account, time)[0],
        )
        self.paid += balance - self.twin.balance_usd6

    def claim_credits(self) -> None:
        balance = self.twin.balance_usd6
        functions = self.share.functions
        self.both(
            functions.claimOperatorCredit(), self.anyone(), lambda twin, _: twin.claim_operator_credit()[0]
        )
        self.both(
            functions.claimProtocolCredit(), self.anyone(), lambda twin, _: twin.claim_protocol_credit()[0]
        )
        self.paid += balance - self.twin.balance_usd6

    def burn(self) -> None:
        holder = self.account()
        units = self.some_units(holder)
        done = self.both(
            self.share.functions.burn(holder, min(units, 2**64 - 1)),
            self.stage.issuer,
            lambda twin, time: twin.burn(holder, units, time),
        )
        self.burns += done
        self.accruals += done

    def mint(self) -> None:
        to = self.account()
        units = self.rng.choice((1, SHARE_UNITS, 10**9, 2**48, self.rng.randint(1, 2**47)))
        self.both(
            self.share.functions.mint(to, units), self.stage.issuer, lambda twin, _: twin.mint(to, units)
        )

    def close(self) -> None:
        functions = self.share.functions
        if self.rng.random() < 0.85:
            self.both(functions.goLive(), self.stage.issuer, lambda twin, time: twin.go_live(time))
        else:
            self.both(functions.fail(), self.stage.issuer, lambda twin, _: twin.fail())

    def account(self) -> str:
        return self.stage.actors[self.rng.choice(HOLDERS)]

    def anyone(self) -> str:
        return self.stage.actors[self.rng.choice((*HOLDERS, "stranger"))]

    def some_units(self, holder: str) -> int:
        balance = self.twin.account(holder).balance_units
        return self.rng.choice((0, 1, balance // 2, balance, balance - 1, balance + 1)) % 2**64


@pytest.mark.parametrize("history", range(4))
def test_random_history(stage, history):
    seed = random.randrange(2**32)
    print(f"history {history}: seed {seed}")
    rng = random.Random(seed)
    pair = Pair(stage, rng)
    for _ in range(rng.randint(1, 6)):
        pair.mint()
    pair.receive()
    pair.sync()
    pair.close()
    pair.compare()
    everyday = [pair.receive, pair.sync, pair.sync, pair.transfer, pair.transfer, pair.claim, pair.claim]
    for step in range(STEPS):
        rng.choice(
            [*everyday, pair.claim_credits, pair.burn, pair.close if step > STEPS // 2 else pair.sync]
        )()
        pair.check_laws()
        if step % COMPARE_EVERY == 0:
            pair.compare()
    pair.compare()

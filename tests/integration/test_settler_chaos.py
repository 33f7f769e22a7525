"""A settler on a bad chain: whatever comes in whatever order, all that was charged is claimed in the end, once."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from settler_stage import BALANCE_USD6, SENDING, SettlerStage, settler_stage, some_account

from wellhead.chain.revert import ContractRefused
from wellhead.gateway.channels.book import AdmissionError
from wellhead.gateway.channels.figures import read_figures
from wellhead.gateway.claims.settler import LEASE_SECONDS, Settler

RECEIVERS = [some_account(0xBEEF), some_account(0xCAFE)] * 4
ROUNDS, STEPS = 4, 60
DEEPEST = 5


@pytest.fixture
def stage(tmp_path: Path) -> Iterator[SettlerStage]:
    with settler_stage(tmp_path) as raised:
        yield raised


def test_all_that_was_charged_is_claimed_in_the_end(stage: SettlerStage) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    configs = stage.open(RECEIVERS)
    channels = [stage.channel_id(config) for config in configs]
    settler = stage.settler()

    def serve() -> None:
        with suppress(AdmissionError):  # its payer wants its money back
            stage.serve(source.choice(configs), source.randrange(1, 4_000))

    def look() -> Settler:
        settler.tick()
        return settler

    def restart() -> Settler:
        stage.clock.now += LEASE_SECONDS
        return stage.settler()

    def wait() -> None:
        stage.clock.now += source.choice((1, 20, SENDING.patience_seconds))

    def reorganise() -> None:
        stage.rpc("anvil_reorg", source.randint(1, DEEPEST), [])

    def forget() -> None:
        for transaction in stage.waiting():
            stage.rpc("anvil_dropTransaction", transaction["hash"])

    def withdraw() -> None:
        stage.rpc("evm_setAutomine", True)
        with suppress(ContractRefused):  # it does already
            stage.sender("customer").send(stage.settlement.initiate_withdraw(source.choice(configs), 1_000))
        stage.rpc("evm_setAutomine", False)

    likely = [serve] * 8 + [look] * 8 + [stage.mine] * 4 + [wait] * 2
    for _ in range(ROUNDS):
        stage.mine(DEEPEST * STEPS // 4)  # deeper than all reorganisations of a round
        stage.rpc("evm_setAutomine", False)
        for _ in range(STEPS):
            step = source.choice([*likely, reorganise, forget, withdraw, restart])
            settler = step() or settler
            for channel_id, figures in read_figures(stage.settlement, channels).items():
                assert figures.total_claimed <= stage.ledger.account(channel_id).charged
        stage.clock.now += SENDING.patience_seconds
        for _ in range(4):
            stage.settle(settler, everything=True)
        charged = {config: stage.ledger.account(stage.channel_id(config)).charged for config in configs}
        assert {config: stage.claimed(config) for config in configs} == charged
        assert sum(amount for _, amount in stage.claims()) == sum(charged.values())
        assert sum(stage.earned(receiver) for receiver in set(RECEIVERS)) == sum(charged.values())
        assert (stage.ledger.claimable(), stage.waiting(), settler.status().problem) == ([], [], "")
    assert max(charged.values()) < BALANCE_USD6

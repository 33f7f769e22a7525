"""Four reporters before a real chain in virtual time: what the contract holds after an hour of outages is within one
look per outage of the truth, and gas at ten times the price is paid, or not, as they were told."""

from __future__ import annotations

import asyncio
import math
import random
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import httpx
import pytest
from reporters_on_chain import (
    REPORTERS,
    SCORE_PACE,
    SLOT_SECONDS,
    START,
    WINDOW_SECONDS,
    ChainWorld,
    Site,
    chain_world,
)

import virtual_time
from reporter_world import now
from wellhead.chain.outbox.policy import GWEI, SendingPolicy
from wellhead.oracle.sources.fetch import ScrapeError
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.live import Key, Reading
from wellhead.oracle.sources.meters import RUNTIME

HOUR = 3_600
ROUNDS = HOUR // WINDOW_SECONDS
# What an outage takes along that began between two reporters' looks: a dozen of them are within their tolerance.
TOKENS_PER_SECOND, WATTS, BUSY = 40, 30, Decimal("0.1")
MAX_SKEW_SECONDS = 2.0
# Less than ten times what is offered first, and room for one more offer.
CAP_WEI = 5 * GWEI


class Well:
    """Up but for its outages, in seconds of the hour. What it counted is forgotten in each."""

    line, kind, asked = HERE, RUNTIME, "a node"

    def __init__(self, outages: list[tuple[float, float]]) -> None:
        self.outages = outages

    async def read(self, _client: httpx.AsyncClient, _slot: int, _timeout_seconds: float) -> Reading:
        at = now() - START
        if any(begin <= at < end for begin, end in self.outages):
            raise ScrapeError("down")
        since = max((end for _, end in self.outages if end <= at), default=0.0)
        seconds = int(max(0, at - since))
        (tokens,), (busy,), (energy,) = RUNTIME.tokens, RUNTIME.busy_counters, RUNTIME.energy
        values: dict[Key, Decimal] = {
            (tokens.name, ()): Decimal(seconds * TOKENS_PER_SECOND),
            (busy.name, ()): seconds * BUSY,
            (energy.name, ()): Decimal(seconds * WATTS),
        }
        return Reading(values)


@pytest.fixture(scope="module")
def raised(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ChainWorld]:
    with chain_world(tmp_path_factory.mktemp("chain")) as world:
        yield world


def some_outages(rng: random.Random) -> list[tuple[float, float]]:
    """Of any length, none at the very edge of the hour."""
    edges = sorted(
        rng.uniform(2 * SLOT_SECONDS, HOUR - 2 * SLOT_SECONDS) for _ in range(2 * rng.randint(2, 12))
    )
    return list(zip(edges[::2], edges[1::2], strict=True))


def test_an_hour_of_outages_on_the_chain(raised: ChainWorld, tmp_path: Path) -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    outages = some_outages(rng)
    with raised.anew(tmp_path) as world:
        world.sites = [
            Site(world, number, Well(outages), rng.uniform(-MAX_SKEW_SECONDS, MAX_SKEW_SECONDS))
            for number in range(REPORTERS)
        ]
        virtual_time.run(world.run_until(ROUNDS, after=270))
        record = world.oracle.latest_record(world.node)
        reports = world.oracle.reports()
        scores = [world.scores.score_of(site.account.address) for site in world.sites]
    # Final by then is one batch.
    assert [(one.rounds, one.scored_up_to) for one in scores] == [
        (SCORE_PACE.every, SCORE_PACE.every)
    ] * REPORTERS
    assert [one.round for one in reports] == list(range(1, ROUNDS + 1))
    assert record.covered_seconds == HOUR
    up = HOUR - sum(end - begin for begin, end in outages)
    # Where a window's end cuts an outage in two, the median may be one reporter's before and another's after it.
    cut = sum(begin // WINDOW_SECONDS != end // WINDOW_SECONDS for begin, end in outages)
    print(f"{len(outages)} outages, {cut} of them cut: {record.up_seconds - up:.1f} s off")
    assert abs(record.up_seconds - up) <= (len(outages) + cut) * SLOT_SECONDS
    # What was counted since the last look before an outage is lost, and what is forgotten before the first after it.
    lost = (2 * len(outages) + cut + 1) * SLOT_SECONDS
    twice = (
        ROUNDS * 2 * MAX_SKEW_SECONDS
    )  # where one window's median has the later clock, and the next one's the earlier
    for counted, per_second in (
        (record.work_units, TOKENS_PER_SECOND),
        (record.energy_wh, Fraction(WATTS, 3_600)),
        (record.busy_gpu_seconds, Fraction(BUSY)),
    ):
        # Each window rounds down to whole units.
        assert (up - lost) * per_second - ROUNDS <= counted <= (up + twice) * per_second


class Market:
    """Once a report waits for a block, gas costs ten times what its sender offered, until `eases_at`."""

    def __init__(self, world: ChainWorld, eases_at: float) -> None:
        self._world, self._eases_at, self.offered = world, eases_at, list[int]()
        self.asked = GWEI
        world.before_block = self._set

    def _set(self) -> None:
        waiting = [
            one for sent in self._world.rpc("txpool_content")["pending"].values() for one in sent.values()
        ]
        self.offered += [int(one["maxFeePerGas"], 16) for one in waiting]
        if self.offered:
            self.asked = 10 * self.offered[0] if now() < self._eases_at else GWEI
        self._world.rpc("anvil_setNextBlockBaseFeePerGas", hex(self.asked))


def four_that_see_it_up(world: ChainWorld) -> list[Site]:
    return [Site(world, number, Well([]), 0) for number in range(REPORTERS)]


def paid_for(world: ChainWorld) -> int:
    """Transactions of all reporters that were mined."""
    return sum(world.w3.eth.get_transaction_count(site.payer.address) for site in world.sites)


def test_gas_at_ten_times_the_price_is_paid_on_the_same_nonce_and_one_report_lands(
    raised: ChainWorld, tmp_path: Path
) -> None:
    with raised.anew(tmp_path) as world:
        world.sites = four_that_see_it_up(world)
        market = Market(world, eases_at=math.inf)
        virtual_time.run(world.run_until(1, after=480))
        (report,) = world.oracle.events("Reported")
        assert paid_for(world) == 1
        mined = world.w3.eth.get_transaction(report["transactionHash"])
        assert mined["maxFeePerGas"] >= market.asked >= 10 * market.offered[0]
        (leader,) = (site for site in world.sites if site.payer.address == mined["from"])
        signed = leader.signed_at(mined["nonce"])
        assert [one.fees.max_fee_wei for one in signed] == [market.offered[0], mined["maxFeePerGas"]]
        assert leader.status()["transmission"] == ""


def test_above_its_highest_fee_a_reporter_waits_and_says_so_and_reports_once_when_gas_is_cheaper(
    raised: ChainWorld, tmp_path: Path
) -> None:
    with raised.anew(tmp_path) as world:
        world.sites = four_that_see_it_up(world)
        world.sending = SendingPolicy(max_fee_wei=CAP_WEI)
        ends = START + WINDOW_SECONDS
        market = Market(world, eases_at=ends + 380)  # before its sender looks again, whoever comes first then

        async def story() -> None:
            playing = asyncio.create_task(world.run_until(1, after=580))
            await asyncio.sleep(ends + 370 - now())
            (leader,) = (site for site in world.sites if site.signed_at(0))
            assert max(one.fees.max_fee_wei for one in leader.signed_at(0)) == CAP_WEI < market.asked
            said = leader.status()["transmission"]
            assert said.startswith(f"nonce 0 is not mined at the highest fee allowed, {CAP_WEI} wei")
            assert (world.oracle.latest_round(), paid_for(world)) == (0, 0)
            await playing
            assert leader.status()["transmission"] == ""

        virtual_time.run(story())
        assert len(world.oracle.events("Reported")) == paid_for(world) == 1
        assert market.asked == GWEI

"""An hour of outages at random: what a reporter makes of it is within one look per outage of the truth."""

from __future__ import annotations

import asyncio
import random
from decimal import Decimal

import httpx

from wellhead.oracle.combine import alive_of, combine
from wellhead.oracle.observation import Window
from wellhead.oracle.sources.fetch import ScrapeError
from wellhead.oracle.sources.finding import HERE
from wellhead.oracle.sources.lag import Lag
from wellhead.oracle.sources.live import LiveSource, Reading
from wellhead.oracle.sources.meters import Kind, Meter

HOUR, SLOT_SECONDS = 3_600, 10
WINDOW = Window(first_slot=1_000, slots=HOUR // SLOT_SECONDS, interval_ms=SLOT_SECONDS * 1_000)
KIND = Kind("test", tokens=(Meter("tokens_total", 1),))


class Node:
    """Up but for its outages, in seconds of the hour; a token per second, and none remembered after an outage."""

    line, kind, asked = HERE, KIND, "a node"

    def __init__(self, outages: list[tuple[float, float]]) -> None:
        self.outages = outages

    async def read(self, _client: httpx.AsyncClient, slot: int, _timeout_seconds: float) -> Reading:
        now = (slot - WINDOW.first_slot) * SLOT_SECONDS
        if any(begin <= now < end for begin, end in self.outages):
            raise ScrapeError("down")
        since = max((end for _, end in self.outages if end <= now), default=0)
        return Reading({("tokens_total", ()): Decimal(int(now - since))})


class Canary(Node):
    """Always there."""

    kind = Kind("none")

    def __init__(self) -> None:
        super().__init__([])


def some_outages(rng: random.Random) -> list[tuple[float, float]]:
    edges = sorted(rng.uniform(0, HOUR) for _ in range(2 * rng.randint(0, 12)))
    return list(zip(edges[::2], edges[1::2], strict=True))


async def watch(source: LiveSource, client: httpx.AsyncClient) -> LiveSource:
    for slot in range(WINDOW.first_slot, WINDOW.first_slot + WINDOW.slots):
        await source.look(client, slot, 1, Lag())
    return source


def test_an_hour_of_outages() -> None:
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)

    async def story() -> None:
        async with httpx.AsyncClient() as client:
            canary = await (await watch(LiveSource(Canary()), client)).finding(client, WINDOW)
            for _ in range(30):
                outages = some_outages(rng)
                node = await (await watch(LiveSource(Node(outages)), client)).finding(client, WINDOW)
                seen = combine("reporter", 7, WINDOW, [node], alive_of([node, canary]))
                assert "?" not in seen.states
                down = sum(end - begin for begin, end in outages)
                # Each outage is off by less than a look, to either side.
                assert (
                    abs(seen.up_slots * SLOT_SECONDS - (HOUR - down)) <= max(1, len(outages)) * SLOT_SECONDS
                )
                assert seen.gained.tokens <= HOUR - down
                assert seen.gained.tokens >= HOUR - down - (2 * len(outages) + 1) * SLOT_SECONDS - len(
                    outages
                )

    asyncio.run(story())

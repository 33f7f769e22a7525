"""Reporters' scores, posted by their daemons: by what was revealed, whoever proposes, and once."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import virtual_time
from reporter_world import (
    FINALITY_SECONDS,
    GENESIS,
    NODE,
    SCORE_PACE,
    TOKENS_PER_SLOT,
    WINDOW_SECONDS,
    Killed,
    Site,
    StandInScores,
    World,
    now,
)
from wellhead.errors import Refused
from wellhead.oracle.daemon.scorer import Errand
from wellhead.oracle.exchange.messages import Kind, Message, decode, encode
from wellhead.oracle.exchange.play import leaders
from wellhead.oracle.exchange.score_letter import Batch, batch_body
from wellhead.reference.scores import MAX_DEVIATION_BPS, Score, ScoreBook, pack_scores

EVERY = SCORE_PACE.every
# Until the batch is final.
POSTED_BY = EVERY + FINALITY_SECONDS // WINDOW_SECONDS


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path, 4)


def boasting(_slot: int) -> tuple[str, int]:
    return "U", 2 * TOKENS_PER_SLOT


def ranges(world: World) -> list[tuple[int, int]]:
    return [(batch.from_round, batch.to_round) for _, batch in world.chain.batches]


def by_batch(world: World, number: int) -> list[Site]:
    """Who proposes that batch first, second, …"""
    by_address = {site.account.address: site for site in world.sites}
    return [by_address[address] for address in leaders(world.chain.config.reporters, number)]


def round_at(seconds: float) -> int:
    return int(seconds - GENESIS) // WINDOW_SECONDS


def run(world: World, until: int = POSTED_BY, after: float = 250) -> None:
    virtual_time.run(world.run_until(until, after))
    assert not world.failed_letters


def test_a_liar_is_off_in_every_round_honest_ones_never_and_a_silent_one_has_none(tmp_path: Path) -> None:
    world = World(tmp_path)
    liar, silent = world.sites[2], world.sites[4]
    liar.nodes[NODE], silent.down = boasting, True
    run(world)
    assert ranges(world) == [(1, EVERY)]
    scores = {site.account.address: Score(EVERY, 0, EVERY) for site in world.sites[:4]}
    scores[liar.account.address] = Score(EVERY, EVERY * MAX_DEVIATION_BPS, EVERY)
    assert world.chain.book.scores == scores
    assert world.sites[0].progress.status()["scored_up_to"] == EVERY
    assert b"wellhead_oracle_score_batches_total 1.0" in world.sites[0].progress.text()


@pytest.mark.parametrize(("vetoed", "to_round"), [(1, 2), (2, 1)])
def test_a_vetoed_round_is_not_counted(world: World, vetoed: int, to_round: int) -> None:
    async def veto() -> None:
        while vetoed not in world.chain.reports:
            await asyncio.sleep(1)
        world.chain.vetoed.add(vetoed)

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(veto())
            await world.run_until(POSTED_BY, 250)

    virtual_time.run(story())
    assert ranges(world) == [(1, to_round)]
    assert {one.rounds for one in world.chain.book.scores.values()} == {EVERY - 1}


def test_nobody_signs_what_its_own_tally_does_not_say(world: World) -> None:
    liar, victim = world.sites[2], world.sites[0]
    liar.nodes[NODE] = boasting
    # Nobody is asked but by this test.
    world.passes = lambda _sender, _receiver, message: message.kind is not Kind.SCORES
    named = {one.account.address: Score(EVERY, 0) for one in world.sites}
    truth = named | {liar.account.address: Score(EVERY, EVERY * MAX_DEVIATION_BPS)}
    excused = named | {liar.account.address: Score(EVERY, 0)}
    slandered = truth | {victim.account.address: Score(EVERY, 1)}
    silenced = {one: score for one, score in truth.items() if one != victim.account.address}
    objections: dict[str, list[str]] = {}

    async def ask(what: str, batch: Batch) -> list[bytes]:
        answers = []
        for other in world.others(liar):
            assert other.reporter is not None
            digest, number = world.chain.config.config_digest, round_at(now())
            letter = Message.sign(liar.account, Kind.SCORES, digest, number, batch_body(batch))
            answers.append(await other.reporter.post.take(decode(encode(letter))))
        objections[what] = [one.objection for one in answers]
        return [one.signature for one in answers if one.signature]

    async def tell() -> None:
        await asyncio.sleep(POSTED_BY * WINDOW_SECONDS + 200)
        asked = {
            "excused": Batch(1, EVERY, pack_scores(excused)),
            "slandered": Batch(1, EVERY, pack_scores(slandered)),
            "silenced": Batch(1, EVERY, pack_scores(silenced)),
            "without the first round": Batch(2, EVERY, pack_scores(truth)),
            "without the last round": Batch(1, EVERY - 1, pack_scores(truth)),
        }
        for what, batch in asked.items():
            assert not await ask(what, batch), what
        assert len(await ask("true", Batch(1, EVERY, pack_scores(truth)))) == len(world.sites) - 1

    async def story() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(tell())
            await world.run_until(POSTED_BY, 250)

    virtual_time.run(story())
    assert not world.chain.batches
    assert all("by my tally" in one for one in objections["excused"] + objections["slandered"])
    assert all("due are those of rounds 1 to 2" in one for one in objections["without the first round"])


def test_who_is_killed_wherever_it_brings_scores_brings_them_once(world: World) -> None:
    victim = by_batch(world, 1)[0]
    places = [
        "before scores is asked",
        "after scores was asked",
        "before scores are sent",
        "after scores were sent",
    ]
    killed = []

    def step(name: str) -> None:
        if name in places:
            places.remove(name)
            killed.append(name)
            raise Killed(name)

    def leave_it(name: str) -> None:
        if name == "before scores is asked":
            raise Refused("another is to bring them")

    victim.step = step
    for other in world.others(victim):
        other.step = leave_it
    run(world, after=300)
    assert not places
    assert ranges(world) == [(1, EVERY)]
    assert {one.rounds for one in world.chain.book.scores.values()} == {EVERY}


def test_who_leads_and_is_not_there_is_followed_by_the_next(world: World) -> None:
    first, second = by_batch(world, 1)[:2]
    first.down = True
    world.chain.book = ScoreBook(EVERY - 1)  # others, who were told of other batches, were here before
    run(world, after=300)
    assert [sender for sender, _ in world.chain.batches] == [second.account.address]
    assert ranges(world) == [(EVERY, EVERY)]


def test_scores_that_others_brought_are_done(world: World) -> None:
    errand = Errand(StandInScores(world.chain), Batch(EVERY + 1, 2 * EVERY, b""), b"")
    for up_to, done in ((0, False), (EVERY, False), (EVERY + 1, True), (2 * EVERY, True)):
        world.chain.book = ScoreBook(up_to)
        assert errand.is_done() is done


def late(world: World, spread: Site, deaf: Site, newcomer: Site) -> None:
    """`deaf` never hears of `spread` in time; `newcomer` was not there at all. After the batch's last round nobody but
    they and one more talks about scores."""
    talking = {deaf, newcomer, world.sites[0]}

    def passes(sender: Site, receiver: Site, message: Message) -> bool:
        if message.kind is Kind.SCORES:
            return {sender, receiver} <= talking
        return not (sender is spread and receiver is deaf and message.kind in (Kind.COMMIT, Kind.REVEAL))

    world.passes, newcomer.down = passes, True


async def joining(world: World, newcomer: Site, until: int, after: float) -> None:
    async with asyncio.TaskGroup() as tasks:

        async def join() -> None:
            await asyncio.sleep((EVERY + 1) * WINDOW_SECONDS)
            await newcomer.run()

        joined = tasks.create_task(join())
        await world.run_until(until, after)
        joined.cancel()


def test_who_came_late_or_heard_too_late_fetches_what_counts_and_believes_nothing_else(
    tmp_path: Path,
) -> None:
    world = World(tmp_path)
    honest_from = GENESIS + (EVERY + 2) * WINDOW_SECONDS
    made_up, believed = [], []

    def serves(_site: Site, answer: bytes) -> bytes:
        if now() >= honest_from:
            return answer
        believed.extend([] if newcomer.tallies is None else newcomer.tallies.counted(1))
        made_up.append(answer)
        return answer.replace(b'"tokens": ', b'"tokens": 1')

    world.serves = serves
    spread, deaf, newcomer = world.sites[1], world.sites[3], world.sites[4]
    spread.nodes[NODE] = lambda _: ("U", TOKENS_PER_SLOT * 105 // 100)  # too little to decline a report for
    late(world, spread, deaf, newcomer)
    virtual_time.run(joining(world, newcomer, POSTED_BY, 350))
    assert made_up
    assert not believed
    assert ranges(world) == [(1, EVERY)]
    found = world.chain.book.scores
    assert newcomer.account.address not in found
    assert found[deaf.account.address].rounds == EVERY
    counted = found[spread.account.address]
    assert counted.rounds == EVERY
    assert 500 * EVERY <= counted.deviation_sum_bps < MAX_DEVIATION_BPS


def test_a_batch_without_a_quorum_is_given_up_when_the_next_is_due(world: World) -> None:
    asked = list[bytes]()

    def serves(_site: Site, answer: bytes) -> bytes:
        asked.append(answer)
        return answer

    world.serves = serves
    next_due = GENESIS + (EVERY + POSTED_BY) * WINDOW_SECONDS
    world.passes = lambda _sender, _receiver, message: message.kind is not Kind.SCORES or now() > next_due
    run(world, EVERY + POSTED_BY)
    assert ranges(world) == [(EVERY + 1, 2 * EVERY)]
    assert not asked  # who was there throughout knows what counts

"""Reporters that agree over a network of which some letters are lost, among liars: what honest ones end up with."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Container, Mapping
from dataclasses import replace

import pytest
from eth_account.signers.local import LocalAccount
from oracle_doubles import Shelf

import virtual_time
from wellhead.chain.keys import local_account
from wellhead.errors import Refused
from wellhead.oracle.draft import Basis, OracleConfig
from wellhead.oracle.exchange import book as book_module
from wellhead.oracle.exchange import post as post_module
from wellhead.oracle.exchange.book import MissingError, RefusedMessageError, RoundBook
from wellhead.oracle.exchange.messages import (
    Kind,
    Message,
    SignedReport,
    UnreadableMessageError,
    commit_body,
    decode,
    encode,
    hashes_in,
    propose_body,
    report_body,
    reveal_body,
    reveal_in,
)
from wellhead.oracle.exchange.play import Agreed, Patience, RoundPlay, leaders
from wellhead.oracle.exchange.post import MAX_JUDGED, MAX_MESSAGES, Answer, Post, TooManyError
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.review import Tolerance
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.sealed import Revealed, commitment_hash, seal
from wellhead.reference.quorum import verify

START = 1_700_000_000
ROUND = 12
NODE = 7
STATES = "UUUUDDUUUU"
WINDOW = Window(100, len(STATES), 1000)
HONEST = Counters(tokens=500_000, busy_micros=6_000_000, energy_microjoules=0)
EVIDENCE = b"\xee" * 32
ACCOUNTS = sorted(
    (local_account(f"reporter-{number}") for number in range(5)), key=lambda one: one.address.lower()
)
ADDRESSES = [account.address for account in ACCOUNTS]
CONFIG = OracleConfig(31337, "0x5FbDB2315678afecb367f032d93F642f64180aa3", b"\x11" * 32, tuple(ADDRESSES), 3)
PATIENCE = Patience()


def observed(account: LocalAccount, states: str = STATES, gained: Counters = HONEST) -> Revealed:
    seen = Observation(account.address, NODE, WINDOW, states, gained)
    return seal(account, CONFIG.config_digest, ROUND, {NODE: seen}, EVIDENCE, account.key)


async def basis_of(revealed: tuple[Revealed, ...]) -> Basis:
    return Basis(CONFIG, ROUND, START + 60, WINDOW, revealed, {NODE: first_record(START, 1)}, TimeScale(1000))


class Reporter:
    """One reporter's post and play; `own` None is one that has failed."""

    def __init__(self, account: LocalAccount, own: Revealed | None) -> None:
        self.account, self.own = account, own
        self.shelf = Shelf()
        self.post = Post(account.address, self.shelf, lambda: range(ROUND, ROUND + 2))
        self.post.use(CONFIG)

    async def run(self, peers: Network, is_over: bool = False) -> Agreed | None:
        assert self.own is not None
        play = RoundPlay(self.account, self.own, basis_of, self.post.book(ROUND), Tolerance())

        async def over() -> bool:
            return is_over

        try:
            await play.exchange(self.post, peers, PATIENCE)
            return await play.agree(self.post, peers, PATIENCE, over)
        except Refused:
            return None


Passes = Callable[[str, str, Message], bool]


class Network:
    """Carries letters from one reporter to the others at once, those that `passes` lets pass."""

    def __init__(self, sender: str, reporters: Mapping[str, Reporter], passes: Passes) -> None:
        self._sender, self._reporters, self._passes = sender, reporters, passes
        self._telling: list[asyncio.Task[Mapping[str, Answer]]] = []

    def tell(self, message: Message, seconds: float) -> None:
        self._telling.append(asyncio.create_task(self.ask(message, seconds)))

    async def ask(self, message: Message, seconds: float) -> Mapping[str, Answer]:
        answers = {}
        assert seconds > 0
        for address, reporter in self._reporters.items():
            if address != self._sender and reporter.own is not None:
                if self._passes(self._sender, address, message):
                    try:
                        answers[address] = await reporter.post.take(decode(encode(message)))
                    except RefusedMessageError:
                        continue
                await asyncio.sleep(0)
        return answers


def play_all(
    owns: Mapping[str, Revealed | None], passes: Passes = lambda *_: True
) -> dict[str, Agreed | None]:
    async def everything() -> dict[str, Agreed | None]:
        reporters = {one.address: Reporter(one, owns.get(one.address)) for one in ACCOUNTS}
        alive = [address for address, reporter in reporters.items() if reporter.own is not None]
        agreed = await asyncio.gather(
            *(reporters[address].run(Network(address, reporters, passes)) for address in alive)
        )
        return dict(zip(alive, agreed, strict=True))

    return virtual_time.run(everything())


def honest(count: int = 5) -> dict[str, Revealed | None]:
    return {account.address: observed(account) for account in ACCOUNTS[:count]}


def must_verify(agreed: Agreed) -> None:
    verify(agreed.draft.message_hash(CONFIG), agreed.signatures, CONFIG.reporters, CONFIG.faulty)


def test_five_agree_and_all_hold_the_same_report() -> None:
    found = play_all(honest())
    reports = [agreed for agreed in found.values() if agreed is not None]
    assert len(reports) == 5
    assert len({agreed.draft.message_hash(CONFIG) for agreed in reports}) == 1
    assert {agreed.leader for agreed in reports} == {ADDRESSES[ROUND % 5]}
    must_verify(reports[0])
    assert reports[0].draft.records[NODE].up_seconds == 8


def test_two_of_five_are_silent_the_first_leader_among_them() -> None:
    owns = honest()
    order = leaders(ADDRESSES, ROUND)
    owns[order[0]] = owns[order[2]] = None
    found = play_all(owns)
    assert len(found) == 3
    for agreed in found.values():
        assert agreed is not None
        must_verify(agreed)
        assert agreed.leader == order[1]


def test_three_of_five_silent_give_no_report() -> None:
    assert set(play_all(honest(2)).values()) == {None}


@pytest.mark.parametrize("gained", [Counters(10**15, 10**15, 10**15), Counters(0, 0, 0)], ids=["high", "low"])
@pytest.mark.parametrize("states", ["U" * 10, "D" * 10, "?" * 10])
def test_a_liar_moves_nothing(gained: Counters, states: str) -> None:
    owns = honest()
    for place in range(5):
        liar = ACCOUNTS[place]
        found = play_all(owns | {liar.address: observed(liar, states, gained)})
        for address, agreed in found.items():
            if address != liar.address:
                assert agreed is not None
                assert agreed.draft.records[NODE].up_seconds == 8
                assert agreed.draft.records[NODE].work_units == 500_000


def test_who_commits_to_two_things_is_left_out_and_both_are_kept() -> None:
    owns = honest()
    thief = ACCOUNTS[0]
    other = observed(thief, "U" * 10)

    async def everything() -> tuple[list[Agreed | None], list[Reporter]]:
        reporters = {one.address: Reporter(one, owns[one.address]) for one in ACCOUNTS}
        for victim in ADDRESSES[1:]:
            for commitment in (owns[thief.address], other):
                assert commitment is not None
                body = commit_body(commitment.commitment)
                letter = Message.sign(thief, Kind.COMMIT, CONFIG.config_digest, ROUND, body)
                await reporters[victim].post.take(letter)
        living = ADDRESSES[1:]
        agreed = await asyncio.gather(
            *(reporters[one].run(Network(one, reporters, lambda *_: True)) for one in living)
        )
        return list(agreed), [reporters[one] for one in living]

    agreed, reporters = virtual_time.run(everything())
    for one in agreed:
        assert one is not None
        assert len(one.hashes) == 4
    for reporter in reporters:
        assert set(reporter.post.book(ROUND).equivocations) == {thief.address}
        kept = [one for one in reporter.shelf.messages if one.reporter == thief.address]
        assert len({one.body for one in kept if one.kind is Kind.COMMIT}) == 2


def test_a_commitment_that_reached_only_some_costs_nobody_else_the_round() -> None:
    owns = honest()
    order = leaders(ADDRESSES, ROUND)
    half_heard = order[3]

    def passes(sender: str, receiver: str, message: Message) -> bool:
        return not (
            sender == half_heard and message.kind in (Kind.COMMIT, Kind.REVEAL) and receiver != order[0]
        )

    found = play_all(owns, passes)
    for address in set(ADDRESSES) - {half_heard}:
        agreed = found[address]
        assert agreed is not None
        must_verify(agreed)


def test_letters_that_are_lost_at_random_never_make_two_truths() -> None:
    """Whatever arrives: who gets a report gets one that the chain would take, with the honest figures."""
    for seed in range(20):
        rng = random.Random(seed)
        loss = rng.choice([0.05, 0.2, 0.4])
        found = play_all(honest(), lambda *_, rng=rng, loss=loss: rng.random() > loss)
        for agreed in found.values():
            if agreed is not None:
                must_verify(agreed)
                assert agreed.draft.records[NODE].work_units == 500_000, seed


# Letters --------------------------------------------------------------------------------------------


def letter(account: LocalAccount, kind: Kind, body: bytes, round_number: int = ROUND) -> Message:
    return Message.sign(account, kind, CONFIG.config_digest, round_number, body)


def post_of(account: LocalAccount, expected: Container[int] = range(ROUND, ROUND + 2)) -> Post:
    post = Post(account.address, Shelf(), lambda: expected)
    post.use(CONFIG)
    return post


def refusal_of(post: Post, message: Message) -> str:
    with pytest.raises(RefusedMessageError) as refused:
        asyncio.run(post.take(message))
    return str(refused.value)


def test_a_letter_is_read_as_it_was_written() -> None:
    own = observed(ACCOUNTS[1])
    sent = letter(ACCOUNTS[1], Kind.REVEAL, reveal_body(own))
    assert decode(encode(sent)) == sent
    assert reveal_in(decode(encode(sent))) == own


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{}",
        b"[1]",
        b'{"kind":"commit"}',
        encode(letter(ACCOUNTS[0], Kind.COMMIT, b"\x01" * 32)).replace(b'"commit"', b'"shout"'),
        encode(letter(ACCOUNTS[0], Kind.COMMIT, b"\x01" * 32)).replace(b'"round": 12', b'"round": "12"'),
        encode(letter(ACCOUNTS[0], Kind.COMMIT, b"\x01" * 32)).replace(b'"round": 12', b'"round": 16777216'),
    ],
)
def test_garbage_is_no_letter(data: bytes) -> None:
    with pytest.raises(UnreadableMessageError):
        decode(data)


def test_who_is_heard() -> None:
    post, own = post_of(ACCOUNTS[0]), observed(ACCOUNTS[1])
    body = commit_body(own.commitment)
    good = letter(ACCOUNTS[1], Kind.COMMIT, body)
    stranger = local_account("operator")
    assert "no reporter" in refusal_of(post, letter(stranger, Kind.COMMIT, body))
    assert "did not sign" in refusal_of(post, good._replace(reporter=ADDRESSES[2]))
    assert "did not sign" in refusal_of(post, good._replace(body=b"\x02" * 32))
    with pytest.raises(UnreadableMessageError, match="not what"):
        good.head.with_body(b"\x02" * 32)
    assert "did not sign" in refusal_of(post, good._replace(signature=b"\x02"))
    assert "not in force" in refusal_of(post, good._replace(config_digest=b"\x12" * 32))
    assert "not under way" in refusal_of(post, letter(ACCOUNTS[1], Kind.COMMIT, body, ROUND - 1))
    assert "not under way" in refusal_of(post, letter(ACCOUNTS[1], Kind.COMMIT, body, ROUND + 2))
    asyncio.run(post.take(good))
    assert post.book(ROUND).commitments[ADDRESSES[1]] == own.commitment


def test_yesterdays_letter_is_nobodys_word_today() -> None:
    old = letter(ACCOUNTS[1], Kind.COMMIT, b"\x01" * 32, ROUND)
    post = post_of(ACCOUNTS[0], range(ROUND + 1, ROUND + 3))
    assert "not under way" in refusal_of(post, old)
    assert "did not sign" in refusal_of(post, old._replace(round=ROUND + 1))


def test_a_reveal_that_is_not_what_was_committed_to() -> None:
    post, own = post_of(ACCOUNTS[0]), observed(ACCOUNTS[1])
    changed = replace(own, observations=observed(ACCOUNTS[1], "U" * 10).observations)
    assert "something else" in refusal_of(post, letter(ACCOUNTS[1], Kind.REVEAL, reveal_body(changed)))
    stolen = reveal_body(own)
    assert "did not sign" in refusal_of(post, letter(ACCOUNTS[2], Kind.REVEAL, stolen))


def test_nobody_shouts_the_others_down() -> None:
    post = post_of(ACCOUNTS[0])
    good = letter(ACCOUNTS[1], Kind.PROPOSE, propose_body([b"\x01" * 32]))

    async def shout() -> None:
        for _ in range(MAX_MESSAGES):
            await post.take(good)

    asyncio.run(shout())
    with pytest.raises(TooManyError):
        asyncio.run(post.take(good))
    other = letter(ACCOUNTS[2], Kind.COMMIT, commit_body(observed(ACCOUNTS[2]).commitment))
    asyncio.run(post.take(other))
    assert ADDRESSES[2] in post.book(ROUND).commitments


def test_a_new_configuration_forgets_what_was_said_under_the_old() -> None:
    post = post_of(ACCOUNTS[0])
    asyncio.run(post.take(letter(ACCOUNTS[1], Kind.COMMIT, commit_body(observed(ACCOUNTS[1]).commitment))))
    post.use(replace(CONFIG, config_digest=b"\x12" * 32))
    assert post.book(ROUND).commitments == {}


# The book -------------------------------------------------------------------------------------------


def book_with(count: int, me: int = 0) -> tuple[RoundBook, list[Revealed]]:
    book = RoundBook(CONFIG, ROUND, ADDRESSES[me])
    owns = [observed(account) for account in ACCOUNTS[:count]]
    for own in owns:
        book.commit(own.commitment)
    return book, owns


def test_what_is_committed_to_after_the_reveal_never_counts() -> None:
    book, owns = book_with(4)
    book.freeze()
    late = observed(ACCOUNTS[4])
    book.commit(late.commitment)
    for own in owns:
        book.reveal(own)
    with pytest.raises(RefusedMessageError, match="too late"):
        book.reveal(late)
    with pytest.raises(MissingError) as missing:
        book.select([*sorted(own.commitment.hash for own in owns), late.commitment.hash])
    assert missing.value.hashes == [late.commitment.hash]


def test_a_proposal_names_enough_and_the_reporters_own() -> None:
    book, owns = book_with(4)
    book.freeze()
    assert book.proposal() == []
    for own in owns:
        book.reveal(own)
    hashes = sorted(own.commitment.hash for own in owns)
    assert book.proposal() == hashes
    assert book.proposal(without=[owns[0].commitment.hash]) == []
    assert len(book.proposal(without=[owns[1].commitment.hash])) == 3
    with pytest.raises(Refused, match="my own observation is missing"):
        book.select([one for one in hashes if one != owns[0].commitment.hash])
    with pytest.raises(Refused, match="the quorum needs 3"):
        book.select(sorted([owns[0].commitment.hash, owns[1].commitment.hash]))


def test_a_reporter_that_starts_again_goes_on_with_its_round() -> None:
    shelf = Shelf()
    post = Post(ADDRESSES[0], shelf, lambda: range(ROUND, ROUND + 2))
    post.use(CONFIG)
    own = observed(ACCOUNTS[1])

    async def hear() -> None:
        await post.take(letter(ACCOUNTS[1], Kind.COMMIT, commit_body(own.commitment)))
        await post.take(letter(ACCOUNTS[1], Kind.REVEAL, reveal_body(own)))

    asyncio.run(hear())
    again = Post(ADDRESSES[0], shelf, lambda: range(ROUND, ROUND + 2))
    again.use(CONFIG)
    assert again.book(ROUND).commitments == post.book(ROUND).commitments
    assert again.book(ROUND).revealed == post.book(ROUND).revealed


# Attacks --------------------------------------------------------------------------------------------


def test_who_commits_to_anothers_hash_stops_nobody() -> None:
    """A copied commitment cannot be revealed; naming it twice made every proposal unreadable."""
    owns, thief = honest(), ACCOUNTS[0]
    victim = owns[ADDRESSES[1]]
    assert victim is not None

    async def everything() -> list[Agreed | None]:
        reporters = {one.address: Reporter(one, owns[one.address]) for one in ACCOUNTS}
        for living in ADDRESSES[1:]:
            copied = letter(thief, Kind.COMMIT, commit_body(victim.commitment))
            await reporters[living].post.take(copied)
        reporters[thief.address].own = None
        return await asyncio.gather(
            *(reporters[one].run(Network(one, reporters, lambda *_: True)) for one in ADDRESSES[1:])
        )

    for agreed in virtual_time.run(everything()):
        assert agreed is not None
        assert len(agreed.hashes) == 4


def test_an_outage_is_not_hidden_by_naming_few_observations() -> None:
    """Three reveals are a quorum; with a blind one among them nothing is known, and nothing was down."""
    order = leaders(ADDRESSES, ROUND)
    liar = next(one for one in ACCOUNTS if one.address == order[0])
    owns = honest() | {liar.address: observed(liar, "?" * 10)}

    async def everything() -> Answer:
        reporters = {one.address: Reporter(one, owns[one.address]) for one in ACCOUNTS}
        await asyncio.gather(
            *(reporters[one].run(Network(one, reporters, lambda *_: True)) for one in ADDRESSES)
        )
        victim = reporters[order[1]]
        few = [revealed.commitment.hash for one in order[:3] if (revealed := owns[one]) is not None]
        return await victim.post.take(letter(liar, Kind.PROPOSE, propose_body(few)))

    answer = virtual_time.run(everything())
    assert answer.signature == b""
    assert "node 7: 10 of 10 samples" in answer.objection


def test_who_starts_again_takes_no_commitment_that_came_after_it_revealed() -> None:
    """It may be a copy of what the reporter revealed before it was killed."""
    owns = honest(3)
    shelf = Shelf()
    late = observed(ACCOUNTS[4])

    async def until_revealed() -> None:
        post = Post(ADDRESSES[0], shelf, lambda: range(ROUND, ROUND + 2))
        post.use(CONFIG)
        for account in ACCOUNTS[1:3]:
            own = owns[account.address]
            assert own is not None
            await post.take(letter(account, Kind.COMMIT, commit_body(own.commitment)))
        book, own = post.book(ROUND), owns[ADDRESSES[0]]
        assert own is not None
        book.commit(own.commitment)
        await post.freeze(book)
        await post.take(letter(ACCOUNTS[4], Kind.COMMIT, commit_body(late.commitment)))

    virtual_time.run(until_revealed())
    again = Post(ADDRESSES[0], shelf, lambda: range(ROUND, ROUND + 2))
    again.use(CONFIG)
    book = again.book(ROUND)
    assert late.reporter in book.commitments
    assert book.frozen is not None
    assert set(book.frozen) == set(ADDRESSES[:3])


def test_a_second_commitment_is_kept_however_it_came() -> None:
    reporter = Reporter(ACCOUNTS[0], None)
    first, second = observed(ACCOUNTS[1]), observed(ACCOUNTS[1], "U" * 10)

    async def hear() -> None:
        await reporter.post.take(letter(ACCOUNTS[1], Kind.COMMIT, commit_body(first.commitment)))
        with pytest.raises(RefusedMessageError, match="two things"):
            await reporter.post.take(letter(ACCOUNTS[1], Kind.REVEAL, reveal_body(second)))

    virtual_time.run(hear())
    again = Post(ADDRESSES[0], reporter.shelf, lambda: range(ROUND, ROUND + 2))
    again.use(CONFIG)
    assert again.book(ROUND).equivocations == {
        ADDRESSES[1]: (first.commitment, second.commitment),
    }


def test_a_report_that_comes_too_early_is_told_again() -> None:
    post = post_of(ACCOUNTS[0])
    report = letter(ACCOUNTS[1], Kind.REPORT, report_body(SignedReport([b"\x01" * 32], b"")))
    assert "not revealed yet" in refusal_of(post, report)


def test_a_proposal_names_no_more_than_there_are_reporters() -> None:
    body = propose_body([number.to_bytes(32, "big") for number in range(32)])
    with pytest.raises(UnreadableMessageError, match="32 commitments"):
        hashes_in(letter(ACCOUNTS[1], Kind.PROPOSE, body))


def test_a_letter_that_takes_long_to_open_holds_up_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may hold nodes by the thousand: what it hashes to is found out beside the loop."""
    opened_by: list[int] = []

    def digest_of(revealed: Revealed) -> bytes:
        opened_by.append(threading.get_ident())
        return commitment_hash(revealed.observations, revealed.evidence_hash, revealed.salt)

    monkeypatch.setattr(post_module, "digest_of", digest_of)
    monkeypatch.setattr(book_module, "digest_of", digest_of)
    post = post_of(ACCOUNTS[0])
    asyncio.run(post.take(letter(ACCOUNTS[1], Kind.REVEAL, reveal_body(observed(ACCOUNTS[1])))))
    assert len(post.book(ROUND).revealed) == 1
    assert len(opened_by) == 1
    assert threading.get_ident() not in opened_by


def test_nobody_makes_others_work_without_end() -> None:
    """A proposal costs a draft: an honest leader makes two."""
    owns, judged = honest(), 0

    async def counting(revealed: tuple[Revealed, ...]) -> Basis:
        nonlocal judged
        judged += 1
        return await basis_of(revealed)

    async def everything() -> Answer:
        post, own = post_of(ACCOUNTS[0]), owns[ADDRESSES[0]]
        assert own is not None
        book = post.book(ROUND)
        for one in owns.values():
            assert one is not None
            book.commit(one.commitment)
        await post.freeze(book)
        for one in owns.values():
            assert one is not None
            book.reveal(one)
        post.join(ROUND, RoundPlay(ACCOUNTS[0], own, counting, book, Tolerance()))
        hashes = sorted(one.commitment.hash for one in owns.values() if one is not None)
        rng, answer = random.Random(7), Answer()
        for _ in range(20):
            few = sorted({own.commitment.hash, *rng.sample(hashes, 3)})
            answer = await post.take(letter(ACCOUNTS[1], Kind.PROPOSE, propose_body(few)))
        return answer

    assert "proposed" in virtual_time.run(everything()).objection
    assert judged <= 2 * MAX_JUDGED

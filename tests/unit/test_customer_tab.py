"""A payer with many calls under way, against the gateway's own rule, over random orders of all that travels."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import pytest

from wellhead.customer.tab import Begun, GatewayBooks, Tab
from wellhead.gateway.channels.book import AdmissionError, ChannelAccount
from wellhead.reference.channel import ChannelConfig, ChannelFigures

ACCOUNT = "0x" + "11" * 20
CONFIG = ChannelConfig(ACCOUNT, ACCOUNT, ACCOUNT, ACCOUNT, ACCOUNT, 86_400, bytes(32))
BALANCE = 10**9
ATTEMPTS = 3


def tab(charged: int = 0) -> Tab:
    return Tab(BALANCE, charged)


class Call(NamedTuple):
    """One call on its way: to the gateway, being served there, or its answer on the way back."""

    price: int
    attempt: int
    begun: Begun


Moves = tuple[tuple[Callable[[], None], list[Any]], ...]
Item = TypeVar("Item")


class World:
    """Both sides and what travels between them. The gateway is honest and prices as it likes."""

    def __init__(self, rng: random.Random, loss: float) -> None:
        self.rng, self.loss = rng, loss
        self.payer, self.gateway = tab(), ChannelAccount(CONFIG, balance=BALANCE)
        self.sent: list[Call] = []
        self.served: list[Call] = []
        self.receipts: list[tuple[Call, int]] = []
        self.refusals: list[tuple[Call, GatewayBooks]] = []
        # What the chain said when it was asked, on the way back.
        self.looks: list[ChannelFigures] = []
        self.ends: Counter[str] = Counter()

    def step(self) -> None:
        moves = [self.begin, self.claim, self.look, *(move for move, queue in self.moves() if queue)]
        self.rng.choice(moves)()

    def moves(self) -> Moves:
        return (
            (self.arrive, self.sent),
            (self.serve, self.served),
            (self.receive, self.receipts),
            (self.correct, self.refusals),
            (self.see, self.looks),
        )

    def finish(self) -> None:
        while busy := [move for move, queue in self.moves() if queue]:
            self.rng.choice(busy)()

    def take(self, queue: list[Item]) -> Item:
        return queue.pop(self.rng.randrange(len(queue)))

    # What can happen ----------------------------------------------------------------------------------

    def begin(self) -> None:
        price = self.rng.randint(1, 100)
        # The offer that the payer remembers may be of a cheaper call.
        self.send(price, self.rng.choice((price, price, max(1, price - 5))), 1)

    def send(self, price: int, amount: int, attempt: int) -> None:
        self.sent.append(Call(price, attempt, self.payer.begin(amount)))

    def known_at_most(self) -> int:
        """What the payer can know of what was charged: all but what is still to be told in receipts."""
        return self.gateway.charged - sum(charged for _, charged in self.receipts)

    def arrive(self) -> None:
        call = self.take(self.sent)
        books = GatewayBooks(self.gateway.charged, self.gateway.reserved, self.gateway.signed_ceiling)
        if call.begun.amount < call.price:
            self.refusals.append((call, books))
            return
        try:
            self.gateway = self.gateway.admit(
                call.begun.ceiling, b"signed", call.begun.amount, concurrent=True
            )
            self.served.append(call)
        except AdmissionError:
            self.refusals.append((call, books))

    def serve(self) -> None:
        call = self.take(self.served)
        cost = self.rng.randint(0, call.price)
        self.gateway = self.gateway.charge(call.begun.amount, cost)
        self.receipts.append((call, cost))

    def receive(self) -> None:
        call, charged = self.take(self.receipts)
        lost = self.rng.random() < self.loss
        self.payer.end(call.begun, 0 if lost else charged)
        self.ends["lost" if lost else "served"] += 1

    def correct(self) -> None:
        call, books = self.take(self.refusals)
        self.payer.end(call.begun, 0)
        self.payer.correct(call.begun, books)
        if call.attempt == ATTEMPTS:
            self.ends["given up"] += 1
        else:
            self.send(call.price, call.price, call.attempt + 1)

    def claim(self) -> None:
        claimed = ChannelFigures(BALANCE, self.gateway.charged, 0, 0)
        self.gateway = self.gateway.seen(claimed, before=self.gateway.figures)

    def look(self) -> None:
        self.looks.append(ChannelFigures(BALANCE, self.gateway.total_claimed, 0, 0))

    def see(self) -> None:
        figures = self.take(self.looks)
        self.payer.seen(figures.balance, figures.total_claimed)


@pytest.mark.parametrize("seed", range(40))
def test_calls_in_any_order_never_disturb_each_other(seed: int) -> None:
    world = World(random.Random(seed), loss=0)
    for _ in range(600):
        world.step()
        assert world.payer.charged <= world.known_at_most()  # or it would sign for more than is due
    world.finish()
    assert world.ends["given up"] == 0
    assert world.ends["served"] > 50
    assert world.payer.charged == world.gateway.charged
    assert world.payer.reserved == world.gateway.reserved == 0


def test_lost_receipts_are_made_good_and_never_more_than_that() -> None:
    ends: Counter[str] = Counter()
    for seed in range(1_000, 1_040):
        world = World(random.Random(seed), loss=0.05)
        for _ in range(600):
            world.step()
            assert world.payer.charged <= world.known_at_most(), seed
        world.finish()
        # Alone with the gateway, whatever it knows is taken over at once.
        refused = world.payer.begin(1)
        world.payer.end(refused, 0)
        world.payer.correct(refused, GatewayBooks(world.gateway.charged, 0, world.gateway.signed_ceiling))
        assert world.payer.charged == world.gateway.charged, seed
        ends += world.ends
    # Three attempts are nearly always enough, however many calls were signed for on too little.
    assert ends["given up"] * 50 <= ends["lost"]


def test_a_refusal_of_a_moment_that_is_past_changes_nothing() -> None:
    """As it happened: a call was refused for its price while another was being charged."""
    payer = tab(50_000)
    other, refused = payer.begin(10_000), payer.begin(10)
    before = GatewayBooks(50_000, 10_000, 60_000)
    payer.end(other, 10_000)
    payer.end(refused, 0)
    payer.correct(refused, before)
    assert payer.charged == 60_000


def test_a_gateway_that_claims_to_be_busy_gets_no_more_than_it_proves() -> None:
    payer = tab(50_000)
    other, refused = payer.begin(10_000), payer.begin(10_000)
    payer.end(refused, 0)
    payer.correct(refused, GatewayBooks(55_000, 10**12, 70_000))
    assert payer.charged == 55_000
    payer.end(other, 10_000)


def test_alone_with_the_gateway_its_word_counts_either_way() -> None:
    for said in (40_000, 60_000):
        payer = tab(50_000)
        refused = payer.begin(10_000)
        payer.end(refused, 0)
        payer.correct(refused, GatewayBooks(said, 0, 60_000))
        assert payer.charged == said


def test_two_refusals_for_one_loss_correct_it_once() -> None:
    """Each says all that is missing, as both were signed before either was refused."""
    payer = tab(charged=0)
    first, second, third = (payer.begin(10) for _ in range(3))
    for refused in (first, second):
        payer.end(refused, 0)
        payer.correct(refused, GatewayBooks(charged=400, reserved=0, signed_ceiling=400))
    assert payer.charged == 380
    payer.end(third, 10)  # among the 400: counted once
    assert payer.charged <= 400


def test_a_claim_of_what_is_under_way_is_not_counted_twice() -> None:
    """Asked while a call was under way, the chain may know of it before its receipt comes."""
    payer = tab()
    call = payer.begin(10)
    payer.seen(BALANCE, claimed=10)
    payer.end(call, 10)
    assert payer.charged == 10
    payer.seen(BALANCE, claimed=300)
    assert payer.charged == 300  # nothing is under way: all of it was signed for, by an earlier purse perhaps


def test_more_than_was_signed_for_is_not_taken_over() -> None:
    payer = tab(50_000)
    refused = payer.begin(10_000)
    payer.end(refused, 0)
    assert not payer.correct(refused, GatewayBooks(60_001, 0, 60_000))
    assert payer.charged == 50_000
    payer.seen(BALANCE, claimed=60_001)
    assert payer.correct(refused, GatewayBooks(60_001, 0, 60_000))  # it was claimed, so it was signed for

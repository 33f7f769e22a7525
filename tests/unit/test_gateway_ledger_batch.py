"""Many steps in one transaction of the ledger: as the rules have them one by one, whoever else is at work."""

from __future__ import annotations

import random
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import text

from moved_clock import MovedClock
from wellhead.database import open_database
from wellhead.gateway.channels.book import NOTHING, AdmissionError, ChannelAccount
from wellhead.gateway.channels.ledger import Ledger
from wellhead.gateway.channels.steps import (
    Admission,
    Admit,
    Batch,
    Charge,
    HeldElsewhereError,
    Outcome,
    Release,
    Step,
    UnknownChannelError,
)
from wellhead.reference.channel import ChannelConfig, ChannelFigures

CHANNELS = [bytes([number]) * 32 for number in range(1, 4)]
FIRST, SECOND, THIRD = CHANNELS
NOBODYS = b"\x09" * 32
CONFIG = ChannelConfig(*["0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"] * 5, 900, bytes(32))
PRICE, BALANCE = 100, 10_000
SECONDS = 60.0


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def ledger(ledger_url: str, clock: MovedClock) -> Iterator[Ledger]:
    opened = Ledger(ledger_url, clock)
    fund(opened)
    yield opened
    opened.close()


def fund(ledger: Ledger) -> None:
    for channel_id in CHANNELS:
        ledger.seen(channel_id, CONFIG, ChannelFigures(BALANCE, 0, 0, 0))


def admit(channel_id: bytes, ceiling: int = BALANCE, price: int = PRICE) -> Admit:
    return Admit(channel_id, ceiling, ceiling.to_bytes(65, "big"), price, SECONDS, concurrent=True)


def admitted(ledger: Ledger, *channel_ids: bytes) -> list[Admission]:
    outcomes = ledger.carry_out([admit(channel_id) for channel_id in channel_ids])
    assert all(isinstance(outcome, Admission) for outcome in outcomes)
    return [outcome for outcome in outcomes if isinstance(outcome, Admission)]


def standing(ledger: Ledger, channel_id: bytes) -> tuple[int, int]:
    account = ledger.account(channel_id)
    return account.charged, account.reserved


def test_of_many_steps_those_that_are_refused_fail_alone(ledger: Ledger) -> None:
    first, second, third = admitted(ledger, FIRST, FIRST, SECOND)
    outcomes = ledger.carry_out(
        [
            Charge(first, 40),
            Charge(first, 40),  # a second time
            admit(FIRST, ceiling=PRICE // 2, price=BALANCE),
            admit(NOBODYS),
            Charge(second, PRICE + 1),
            Release(third),
            Charge(third, 1),  # released just now
            admit(THIRD),
            Release(first),
        ]
    )
    errors = [type(outcome) if isinstance(outcome, Exception) else None for outcome in outcomes]
    assert errors == [
        *(None, UnknownChannelError, AdmissionError, UnknownChannelError, AdmissionError),
        *(None, UnknownChannelError, None, None),
    ]
    charged = outcomes[0]
    assert isinstance(charged, ChannelAccount)
    assert (charged.charged, charged.reserved) == (40, PRICE)
    assert str(outcomes[3]) == NOBODYS.hex()
    assert [standing(ledger, channel_id) for channel_id in CHANNELS] == [(40, PRICE), (0, 0), (0, PRICE)]
    assert ledger.account(THIRD).signed_ceiling == BALANCE
    assert ledger.charge(second, PRICE).charged == 40 + PRICE


def test_each_step_stands_on_the_one_before(ledger: Ledger) -> None:
    """To the unit: no two of a batch are admitted on the same room."""
    fits = BALANCE // PRICE
    outcomes = ledger.carry_out([admit(FIRST)] * (fits + 3))
    assert [isinstance(outcome, Admission) for outcome in outcomes] == [True] * fits + [False] * 3
    assert len(set(outcomes[:fits])) == fits
    assert standing(ledger, FIRST) == (0, BALANCE)


def test_an_admission_that_expired_is_charged_in_no_batch(ledger: Ledger, clock: MovedClock) -> None:
    (forgotten,) = admitted(ledger, FIRST)
    clock.now += SECONDS - 1
    (live,) = admitted(ledger, FIRST)
    clock.now += 1
    late, charged, _ = ledger.carry_out([Charge(forgotten, PRICE), Charge(live, PRICE), Release(forgotten)])
    assert isinstance(late, UnknownChannelError)
    assert isinstance(charged, ChannelAccount)
    assert standing(ledger, FIRST) == (PRICE, 0)


def test_an_admission_that_another_worker_drops_meanwhile_is_not_charged(
    postgres_url: str, clock: MovedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clock is ahead of ours: between our reading and our writing, what we end has expired for it."""
    ledger, ahead = Ledger(postgres_url, clock), Ledger(postgres_url, lambda: clock.now + SECONDS)
    fund(ledger)
    dropped, kept = admitted(ledger, FIRST, SECOND)
    ledger.renew({kept.admission_id}, 3 * SECONDS)
    apply = Batch.apply

    def apply_late(batch: Batch, steps: Sequence[Step]) -> list[Outcome]:
        outcomes = apply(batch, steps)
        ahead.renew((), SECONDS)
        return outcomes

    monkeypatch.setattr(Batch, "apply", apply_late)
    late, charged, new = ledger.carry_out([Charge(dropped, PRICE), Charge(kept, PRICE), admit(THIRD)])
    assert isinstance(late, UnknownChannelError)
    assert isinstance(charged, ChannelAccount)
    assert isinstance(new, Admission)
    assert [standing(ledger, channel_id) for channel_id in CHANNELS] == [(0, 0), (PRICE, 0), (0, PRICE)]
    for opened in (ledger, ahead):
        opened.close()


def test_who_renews_waits_for_nobody_who_ends_calls(postgres_url: str, clock: MovedClock) -> None:
    """Many are ended at once, and many renewed: two that waited for each other would both be lost."""
    ledger = Ledger(postgres_url, clock)
    fund(ledger)
    ending, streaming = admitted(ledger, FIRST, SECOND)
    engine = open_database(postgres_url)
    with engine.begin() as connection:
        ended = text("DELETE FROM admissions WHERE admission_id = :id")
        connection.execute(ended, {"id": ending.admission_id})
        ledger.renew({ending.admission_id, streaming.admission_id}, 3 * SECONDS)
    engine.dispose()
    clock.now += 2 * SECONDS
    assert ledger.charge(streaming, PRICE).charged == PRICE
    ledger.close()


def test_what_somebody_else_has_is_left_for_later_if_it_is_not_waited_for(
    postgres_url: str, clock: MovedClock
) -> None:
    ledger = Ledger(postgres_url, clock)
    fund(ledger)
    (live,) = admitted(ledger, FIRST)
    engine = open_database(postgres_url)
    with engine.begin() as connection:
        locked = text("SELECT 1 FROM channels WHERE channel_id = :id FOR UPDATE")
        connection.execute(locked, {"id": FIRST})
        steps = [Charge(live, PRICE), admit(SECOND), admit(NOBODYS), Release(live)]
        charge, new, unknown, release = ledger.carry_out(steps, wait=False)
        for left in (charge, unknown, release):
            assert isinstance(left, HeldElsewhereError)
        assert isinstance(new, Admission)
    engine.dispose()
    assert [standing(ledger, channel_id) for channel_id in (FIRST, SECOND)] == [(0, PRICE), (0, PRICE)]
    assert ledger.charge(live, PRICE).charged == PRICE
    ledger.close()


def test_the_clock_is_looked_at_while_the_channel_is_locked(postgres_url: str, clock: MovedClock) -> None:
    """Who waits for a channel may find its admission expired, and its room given to another call."""
    engine = open_database(postgres_url)
    free = text("SELECT count(*) FROM (SELECT 1 FROM channels FOR UPDATE SKIP LOCKED) AS free")
    looks: list[int] = []

    def look() -> float:
        with engine.begin() as connection:
            looks.append(connection.execute(free).scalar_one())
        return clock.now

    ledger = Ledger(postgres_url, look)
    fund(ledger)
    looks.clear()
    admitted(ledger, FIRST, SECOND)
    assert looks == [len(CHANNELS) - 2]
    engine.dispose()
    ledger.close()


def test_an_error_of_the_database_fails_every_step(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also one at the last statement: what the others wrote is taken back."""
    (live,) = admitted(ledger, FIRST)
    with monkeypatch.context() as away:
        away.setattr(
            "wellhead.gateway.channels.ledger_tables.RESERVE", "INSERT INTO nowhere VALUES (?, ?, ?, ?)"
        )
        with pytest.raises(Exception, match="nowhere"):
            ledger.carry_out([Charge(live, PRICE), admit(SECOND)])
    assert [standing(ledger, channel_id) for channel_id in (FIRST, SECOND)] == [(0, PRICE), (0, 0)]
    assert ledger.charge(live, PRICE).charged == PRICE


def test_a_connection_that_breaks_costs_the_steps_under_way_and_no_others(
    postgres_url: str, clock: MovedClock
) -> None:
    engine = open_database(postgres_url)
    end_others = text(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()"
    )
    breaks = False

    def look() -> float:
        nonlocal breaks
        if breaks:
            breaks = False
            with engine.begin() as connection:
                connection.execute(end_others)
        return clock.now

    ledger = Ledger(postgres_url, look)
    fund(ledger)
    (live,) = admitted(ledger, FIRST)
    breaks = True
    with pytest.raises(Exception, match="connection is lost"):
        ledger.carry_out([Charge(live, PRICE), admit(SECOND)])
    assert [standing(ledger, channel_id) for channel_id in (FIRST, SECOND)] == [(0, PRICE), (0, 0)]
    assert ledger.charge(live, PRICE).charged == PRICE
    engine.dispose()
    ledger.close()


# At random ----------------------------------------------------------------------------------------------


class Worker:
    """Carries out batches at random, over its own calls and now and then over one that has ended."""

    def __init__(self, url: str, seed: int) -> None:
        self._ledger, self._random = Ledger(url), random.Random(seed)
        self._calls: list[Admission] = []

    def work(self, batches: int) -> None:
        for _ in range(batches):
            steps = [self._step() for _ in range(self._random.randint(1, 7))]
            outcomes = self._ledger.carry_out(steps)
            self._calls += [outcome for outcome in outcomes if isinstance(outcome, Admission)]
        self._ledger.close()

    def _step(self) -> Step:
        if not self._calls or self._random.random() < 0.5:
            ceiling = self._random.randrange(BALANCE + PRICE)
            return admit(self._random.choice(CHANNELS), ceiling, self._random.randrange(1, 5 * PRICE))
        call = self._random.choice(self._calls)
        if self._random.random() < 0.8:
            self._calls.remove(call)
        if self._random.random() < 0.2:
            return Release(call)
        return Charge(call, self._random.randrange(call.price + 2))


class Rules:
    """The channels as the rules have them, step after step."""

    def __init__(self) -> None:
        figures = ChannelFigures(BALANCE, 0, 0, 0)
        self.accounts = {channel_id: ChannelAccount(CONFIG).seen(figures, NOTHING) for channel_id in CHANNELS}
        self._live: set[Admission] = set()
        self.refused = 0

    def must_have(self, step: Step, outcome: Outcome) -> None:
        account = self.accounts[step.channel_id]
        if isinstance(outcome, Exception):
            self.refused += 1
            with pytest.raises(type(outcome), match=f"^{re.escape(str(outcome))}$"):
                self._after(account, step, outcome)
            return
        after = self._after(account, step, outcome)
        if isinstance(step, Charge):
            assert outcome == after
        assert after.charged <= after.signed_ceiling
        assert after.charged + after.reserved <= after.balance
        self.accounts[step.channel_id] = after

    def _after(self, account: ChannelAccount, step: Step, outcome: Outcome) -> ChannelAccount:
        if isinstance(step, Admit):
            after = account.admit(step.ceiling, step.signature, step.price, concurrent=True)
            assert isinstance(outcome, Admission)
            self._live.add(outcome)
            return after
        if step.admitted not in self._live:
            if isinstance(step, Release):
                return account
            raise UnknownChannelError(
                f"admission {step.admitted.admission_id} was charged, released or has expired"
            )
        price = step.admitted.price
        after = account.charge(price, step.cost) if isinstance(step, Charge) else account.release(price)
        self._live.remove(step.admitted)
        return after


def test_batches_of_several_workers_are_as_the_rules_have_their_steps_one_by_one(
    ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the order in which the channels were locked; never above a ceiling, never above a balance."""
    ledger, seed = Ledger(ledger_url), random.randrange(2**32)
    print(f"seed {seed}")
    fund(ledger)
    carried_out: list[tuple[Step, Outcome]] = []
    apply = Batch.apply

    def apply_and_tell(batch: Batch, steps: Sequence[Step]) -> list[Outcome]:
        outcomes = apply(batch, steps)
        carried_out.extend(zip(steps, outcomes, strict=True))
        return outcomes

    monkeypatch.setattr(Batch, "apply", apply_and_tell)
    with ThreadPoolExecutor(3) as threads:
        works = [threads.submit(Worker(ledger_url, seed + number).work, 30) for number in range(3)]
        for work in works:
            work.result(60)
    rules = Rules()
    for step, outcome in carried_out:
        rules.must_have(step, outcome)
    assert {channel_id: ledger.account(channel_id) for channel_id in CHANNELS} == rules.accounts
    assert 0 < rules.refused < len(carried_out) // 2
    assert any(account.charged for account in rules.accounts.values())
    ledger.close()

"""A reporter's letter box: takes others' messages, files them by round, answers proposals. No network here.

What is taken is written down first, so that a reporter that starts again in the middle of a round goes on with it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Container, Iterable, Mapping
from typing import NamedTuple, Protocol

from wellhead.errors import Refused
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.exchange.book import MissingError, RefusedMessageError, RoundBook, digest_of
from wellhead.oracle.exchange.messages import (
    Head,
    Kind,
    Message,
    UnreadableMessageError,
    commit_body,
    commitment_in,
    hashes_in,
    report_in,
    reveal_in,
)
from wellhead.oracle.exchange.score_letter import Batch, batch_in
from wellhead.oracle.sealed import Revealed

# Of one reporter in one round: some are sent again when an answer was lost.
MAX_MESSAGES = 200
# Of those, what has to be thought about: a leader proposes twice, once more if it starts again.
MAX_JUDGED = 6
KEPT_ROUNDS = 4
_log = logging.getLogger(__name__)


class Answer(NamedTuple):
    """What the sender is told: a signature of what it proposed, or why there is none."""

    signature: bytes = b""
    objection: str = ""
    missing: tuple[bytes, ...] = ()


class TooManyError(RefusedMessageError):
    """A reporter says more than there is to say."""


class Letters(Protocol):
    """Where messages are kept."""

    def keep(self, message: Message) -> None:
        """Durable when it returns; harmless if it is kept already."""

    def kept(self, config_digest: bytes, round_number: int) -> Iterable[Message]:
        """All of a round, in the order in which they came."""

    def freeze(self, config_digest: bytes, round_number: int, frozen: Mapping[str, bytes]) -> None:
        """Keep which commitments were in time. Durable when it returns."""

    def frozen(self, config_digest: bytes, round_number: int) -> dict[str, bytes] | None:
        """Those; None if this reporter has not revealed in that round."""


class Play(Protocol):
    """This reporter's own part in a round."""

    async def endorse(self, hashes: list[bytes]) -> bytes:
        """Its signature of the report that follows from these commitments. Raises Refused with its objections."""

    async def is_report(self, hashes: list[bytes], signatures: bytes) -> bool:
        """Whether the chain would take that."""


class Scores(Protocol):
    """This reporter's own tally."""

    async def endorse(self, batch: Batch) -> bytes:
        """Its signature of a batch of scores. Raises Refused with what it would say instead."""


class Post:
    """The rounds that are under way."""

    def __init__(
        self,
        me: str,
        letters: Letters,
        expected: Callable[[], Container[int]],
        scores: Scores | None = None,
    ) -> None:
        """`expected` are the rounds that may be spoken of now; `scores` judges batches of them, if somebody does."""
        self._me, self._letters, self._expected, self._scores = me, letters, expected, scores
        self.config: OracleConfig | None = None
        self._books: dict[int, RoundBook] = {}
        self._plays: dict[int, Play] = {}
        self._counts: Counter[tuple[int, str]] = Counter()
        self._judged: Counter[tuple[int, str, bool]] = Counter()
        self._changed = asyncio.Condition()

    def use(self, config: OracleConfig) -> None:
        """Speak under this configuration. Another one than before forgets the rounds under way: their digest died."""
        if self.config is not None and self.config.config_digest != config.config_digest:
            self._books.clear()
            self._plays.clear()
            self._counts.clear()
            self._judged.clear()
        self.config = config

    def book(self, round_number: int) -> RoundBook:
        """The round's book, with what was kept of it. Raises RefusedMessageError for one that is not expected."""
        assert self.config is not None
        if round_number in self._books:
            return self._books[round_number]
        if round_number not in self._expected():
            raise RefusedMessageError(f"round {round_number} is not under way here")
        book = RoundBook(self.config, round_number, self._me)
        for message in self._letters.kept(self.config.config_digest, round_number):
            try:
                _file(book, message)
            except (RefusedMessageError, UnreadableMessageError):
                continue
        book.frozen = self._letters.frozen(self.config.config_digest, round_number)
        self._books[round_number] = book
        for old in sorted(self._books)[:-KEPT_ROUNDS]:
            del self._books[old]
            self._plays.pop(old, None)
            for counts in (self._counts, self._judged):
                for key in [key for key in counts if key[0] == old]:
                    del counts[key]
        return book

    async def freeze(self, book: RoundBook) -> None:
        """Take no more commitments, ever: this reporter reveals. Raises Refused as the book does."""
        if book.frozen is None:
            book.freeze()
            assert book.frozen is not None
            # Who starts again must not take for early what came after its reveal.
            await asyncio.to_thread(
                self._letters.freeze, book.config.config_digest, book.round, dict(book.frozen)
            )

    def join(self, round_number: int, play: Play) -> None:
        """From now on proposals for the round are judged."""
        self._plays[round_number] = play

    async def take(self, message: Message) -> Answer:
        """Admit and accept it."""
        self.admit(message.head)
        return await self.accept(message)

    async def accept(self, message: Message) -> Answer:
        """File what was admitted, or judge a proposal. Raises RefusedMessageError, UnreadableMessageError."""
        if message.kind is Kind.SCORES:
            scores, batch = self._scores, batch_in(message.body)
            if scores is None:
                raise RefusedMessageError("no scores are counted here")
            return await self._judge(message, lambda: scores.endorse(batch))
        book = self.book(message.round)
        if message.kind is Kind.PROPOSE:
            play, hashes = self._plays.get(book.round), hashes_in(message)
            if play is None:
                return Answer(objection="I have not revealed yet")
            return await self._judge(message, lambda: play.endorse(hashes))
        if message.kind is Kind.REPORT:
            await self._take_report(book, message)
        elif message.kind is Kind.REVEAL:
            await self._take_reveal(book, message)
        elif book.commit(commitment_in(message)):
            await asyncio.to_thread(self._letters.keep, message)
        await self.changed()
        return Answer()

    def admit(self, head: Head) -> None:
        """Whether its body is wanted. Raises RefusedMessageError if not."""
        config = self.config
        if config is None or head.config_digest != config.config_digest:
            raise RefusedMessageError("that configuration of the oracle is not in force here")
        if head.reporter not in config.reporters:
            raise RefusedMessageError(f"{head.reporter} is no reporter of this oracle")
        if head.round not in self._expected():
            raise RefusedMessageError(f"round {head.round} is not under way here")
        if not head.is_signed:
            raise RefusedMessageError(f"{head.reporter} did not sign that")
        # Counted last: nobody may use up what is another's.
        key = (head.round, head.reporter)
        self._counts[key] += 1
        if self._counts[key] > MAX_MESSAGES:
            raise TooManyError(f"{head.reporter} sent more than {MAX_MESSAGES} messages in a round")

    async def changed(self) -> None:
        """Wake who waits."""
        async with self._changed:
            self._changed.notify_all()

    async def wait(self, holds: Callable[[], bool], seconds: float) -> bool:
        """Wait until something has come that makes it hold; whether it does."""
        try:
            async with asyncio.timeout(max(0.0, seconds)), self._changed:
                await self._changed.wait_for(holds)
        except TimeoutError:
            pass
        return holds()

    async def _take_reveal(self, book: RoundBook, message: Message) -> None:
        revealed, digest = await asyncio.to_thread(_opened, message)
        said = revealed.commitment
        if book.commit(said):  # a second one counts as said, whether or not it can be revealed
            committed = message._replace(kind=Kind.COMMIT, body=commit_body(said), signature=said.signature)
            await asyncio.to_thread(self._letters.keep, committed)
        if book.reveal(revealed, digest):
            await asyncio.to_thread(self._letters.keep, message)

    async def _take_report(self, book: RoundBook, message: Message) -> None:
        """Refused if it cannot be judged yet: then it is told again."""
        report, play = report_in(message), self._plays.get(book.round)
        if book.report is not None:
            return
        if play is None:
            raise RefusedMessageError("I have not revealed yet")
        self._count_judged(message)
        if not await play.is_report(*report):
            raise RefusedMessageError("by what I hold that is no report with its quorum")
        book.report = report

    async def _judge(self, message: Message, endorse: Callable[[], Awaitable[bytes]]) -> Answer:
        try:
            self._count_judged(message)
            return Answer(signature=await endorse())
        except MissingError as error:
            return Answer(objection=str(error), missing=tuple(error.hashes))
        except Refused as refused:
            return Answer(objection=str(refused))
        except Exception:
            # Whoever makes a proposal that fails here is to learn nothing, and to stop nothing.
            _log.exception(
                "round %s: the proposal of %s could not be judged", message.round, message.reporter
            )
            return Answer(objection="it could not be judged here")

    def _count_judged(self, message: Message) -> None:
        # Scores apart from the round's own: they are asked for beside it.
        key = (message.round, message.reporter, message.kind is Kind.SCORES)
        if self._judged[key] >= MAX_JUDGED:
            raise TooManyError(f"{message.reporter} proposed {MAX_JUDGED} times in a round; that is enough")
        self._judged[key] += 1


def _opened(message: Message) -> tuple[Revealed, bytes]:
    """Seconds of work if somebody fills a letter with nodes."""
    revealed = reveal_in(message)
    return revealed, digest_of(revealed)


def _file(book: RoundBook, message: Message) -> bool:
    """Whether it was new. Raises RefusedMessageError, UnreadableMessageError."""
    if message.kind is Kind.COMMIT:
        return book.commit(commitment_in(message))
    if message.kind is Kind.REVEAL:
        return book.reveal(reveal_in(message))
    return False

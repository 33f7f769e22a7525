"""One reporter's part in one round: commit, reveal, then propose or endorse until a report, if there is to be one, has
its quorum.

Everybody goes through the same steps with the same patience. The order of leaders rotates with the round; each has its
time, and who is silent, late or lying costs no more than that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from eth_account.signers.local import LocalAccount

from wellhead.errors import Misused, Refused
from wellhead.oracle.draft import Basis, Draft, draft
from wellhead.oracle.exchange.book import RoundBook
from wellhead.oracle.exchange.messages import (
    Kind,
    Message,
    SignedReport,
    commit_body,
    propose_body,
    report_body,
    reveal_body,
)
from wellhead.oracle.exchange.post import Answer, Post
from wellhead.oracle.review import Tolerance, endorse, left_unknown
from wellhead.oracle.sealed import Revealed
from wellhead.reference.quorum import QuorumError, join, signer_of, verify

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long each step of a round may take, in seconds."""

    commit: float = 20
    reveal: float = 20
    leader: float = 20

    def __post_init__(self) -> None:
        if min(self.commit, self.reveal, self.leader) <= 0:
            raise Misused(f"{self}: every step needs some time")


class Peers(Protocol):
    """The other reporters, over whatever lies between."""

    def tell(self, message: Message, seconds: float) -> None:
        """Have everyone know it, trying again for so long; nobody waits for that."""

    async def ask(self, message: Message, seconds: float) -> Mapping[str, Answer]:
        """What each answers within `seconds`; silence is left out."""


class Agreed(NamedTuple):
    """A report with its quorum, the commitments that it follows from, and who led to it."""

    draft: Draft
    hashes: list[bytes]
    signatures: bytes
    leader: str


class RoundPlay:
    """Judges others' proposals from the moment it has revealed; `exchange` and `agree` play the round."""

    def __init__(
        self,
        account: LocalAccount,
        own: Revealed,
        basis_of: Callable[[tuple[Revealed, ...]], Awaitable[Basis]],
        book: RoundBook,
        tolerance: Tolerance,
    ) -> None:
        """`basis_of` makes all that a report follows from out of the reveals that it is over."""
        self._account, self._own, self._basis_of = account, own, basis_of
        self._book, self._tolerance = book, tolerance

    # Judging ----------------------------------------------------------------------------------------

    async def draft_of(self, hashes: Sequence[bytes]) -> tuple[Basis, Draft]:
        """The report that follows from these commitments. Raises MissingError, Refused."""
        basis = await self._basis_of(self._book.select(hashes))
        return basis, await asyncio.to_thread(draft, basis)  # many nodes take their time

    async def endorse(self, hashes: list[bytes]) -> bytes:
        """See Play. What a quorum knows is not made unknown by naming only some of what was revealed."""
        basis, proposed = await self.draft_of(hashes)
        held = self._book.proposal()
        if held and held != hashes:
            _, together = await self.draft_of(held)
            if hidden := left_unknown(proposed, together, self._tolerance):
                raise Refused("; ".join(hidden))
        return await asyncio.to_thread(endorse, self._account, basis, self._own, proposed, self._tolerance)

    async def is_report(self, hashes: list[bytes], signatures: bytes) -> bool:
        """See Play."""
        config = self._book.config
        try:
            _, proposed = await self.draft_of(hashes)
            message_hash = proposed.message_hash(config)
            verify(message_hash, signatures, config.reporters, config.faulty)
        except (Refused, QuorumError):
            return False
        return True

    # Playing ----------------------------------------------------------------------------------------

    async def exchange(self, post: Post, peers: Peers, patience: Patience) -> None:
        """Commit and reveal; what others revealed is in the book. Raises Refused when too few commit."""
        book = self._book
        book.commit(self._own.commitment)
        peers.tell(self._message(Kind.COMMIT, commit_body(self._own.commitment)), patience.commit)
        await post.wait(lambda: book.all_committed, patience.commit)
        await post.freeze(book)
        book.reveal(self._own)
        post.join(book.round, self)
        peers.tell(self._message(Kind.REVEAL, reveal_body(self._own)), patience.reveal)
        await post.wait(lambda: book.all_revealed, patience.reveal)

    async def agree(
        self, post: Post, peers: Peers, patience: Patience, is_over: Callable[[], Awaitable[bool]]
    ) -> Agreed | None:
        """After `exchange`: the report, whoever led to it; None when nobody did, or the round `is_over` before."""
        agreed = await self._agree(post, peers, patience, is_over)
        if agreed is not None and agreed.leader == self._account.address:
            body = report_body(SignedReport(agreed.hashes, agreed.signatures))
            peers.tell(self._message(Kind.REPORT, body), patience.leader)
        return agreed

    async def _agree(
        self, post: Post, peers: Peers, patience: Patience, is_over: Callable[[], Awaitable[bool]]
    ) -> Agreed | None:
        book = self._book
        assert book.frozen is not None
        for leader in leaders(book.config.reporters, book.round):
            if leader not in book.frozen:
                continue  # it was not there, or not in time: it has nothing to propose
            if book.report is None and await is_over():
                return None
            if book.report is None and leader == self._account.address:
                led = await self._lead(peers, patience.leader)
                if led is not None:
                    return led
            elif await post.wait(lambda: book.report is not None, patience.leader):
                assert book.report is not None
                hashes, signatures = book.report
                _, proposed = await self.draft_of(hashes)
                return Agreed(proposed, hashes, signatures, leader)
        return None

    async def _lead(self, peers: Peers, seconds: float) -> Agreed | None:
        """Propose; once more without what others do not hold, if there is any such."""
        book, without = self._book, set[bytes]()
        for _ in range(2):
            hashes = book.proposal(without)
            if not hashes:
                return None
            try:
                own, (_, proposed) = await self.endorse(hashes), await self.draft_of(hashes)
            except Refused as refused:
                _log.warning("round %s: I propose nothing: %s", book.round, refused)
                return None
            message_hash = proposed.message_hash(book.config)
            signatures: dict[str, bytes] = {self._account.address: own}
            answers = await peers.ask(self._message(Kind.PROPOSE, propose_body(hashes)), seconds / 2)
            signatures |= signatures_in(answers, message_hash, f"round {book.round}")
            needed = book.config.quorum
            if len(signatures) >= needed:
                joined = join(list(signatures.values())[:needed], message_hash)
                return Agreed(proposed, hashes, joined, self._account.address)
            missing = {one for answer in answers.values() for one in answer.missing if one in hashes}
            if not missing:
                return None
            without |= missing
        return None

    def _message(self, kind: Kind, body: bytes) -> Message:
        return Message.sign(self._account, kind, self._book.config.config_digest, self._book.round, body)


def leaders(reporters: Sequence[str], round_number: int) -> list[str]:
    """Who proposes first, second, …: each round begins with another."""
    first = round_number % len(reporters)
    return [*reporters[first:], *reporters[:first]]


def signatures_in(answers: Mapping[str, Answer], message_hash: bytes, subject: str) -> dict[str, bytes]:
    """Of those who signed that, by reporter. Why others did not is logged; what they miss is for the asker to see."""
    signatures = {}
    for reporter, answer in answers.items():
        if answer.signature and _signer(answer.signature, message_hash) == reporter:
            signatures[reporter] = answer.signature
        elif not answer.missing:
            why = answer.objection or "it signed something else"
            _log.warning("%s: %s declines: %s", subject, reporter, why)
    return signatures


def _signer(signature: bytes, message_hash: bytes) -> str | None:
    try:
        return signer_of(signature, message_hash)
    except QuorumError:
        return None

"""Reporters' scores: what their distances from the reports add up to, batch by batch, agreed on and brought to the
chain.

Rounds are scored in batches of `every`: 1 to 24, 25 to 48, … A batch is due when none of its rounds can be vetoed any
more; what counts of it was reported and stands. Batch, rounds and reveals all follow from the chain, whatever a
reporter happened to hold in time: a report names each reveal that it counts, so nobody is judged by what came late here
and in time there, and who proposes a batch can leave out or add nothing. What is left to a liar is to be silent, and,
in a round that he leads, to name fewer reveals than there were: as many rounds less for those left out.

Who missed a reveal, came late or lost its books fetches what a report names from the others, who keep reveals for a day
of rounds. While that fails it signs nothing: k others do. If fewer than k can tell, nothing is posted; when the next
batch is due the old one is given up, and its rounds stay uncounted, so that one bad round cannot stop all to come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from web3.contract.contract import ContractFunction

from wellhead.errors import Refused
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.counting import Counting
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.scores_view import ScoresView
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.oracle.daemon.trouble import TROUBLE
from wellhead.oracle.draft import OracleConfig
from wellhead.oracle.exchange.messages import Kind, Message
from wellhead.oracle.exchange.play import Peers, leaders, signatures_in
from wellhead.oracle.exchange.score_letter import Batch, batch_body
from wellhead.reference.quorum import compact_signature, join
from wellhead.reference.scores import pack_scores, tally


@dataclass(frozen=True)
class ScorePace:
    """`every` so many rounds make a batch, the same for all reporters; at most half of what the oracle remembers. Each
    leader has `turn` seconds, `ask` of them for the others' answers."""

    every: int = 24
    ask: float = 20
    turn: float = 40


class Due(NamedTuple):
    """The batch to be scored now, by its number, and what the reports that count in it name, by round."""

    number: int
    from_round: int
    to_round: int
    named: Mapping[int, bytes]


class Errand(NamedTuple):
    """A batch with its quorum, on its way."""

    view: ScoresView
    batch: Batch
    signatures: bytes

    @property
    def subject(self) -> str:
        """See transmitter.Errand, as all here."""
        return str(self.batch)

    def is_done(self) -> bool:
        """Or other scores of these rounds are there."""
        return self.view.scored_up_to() >= self.batch.from_round

    def call(self) -> ContractFunction:
        """With its signatures."""
        return self.view.post(self.batch, self.signatures)


class Scorer:
    """One reporter's part in it: `step` again and again; `endorse` may be called at any time."""

    def __init__(
        self,
        account: LocalAccount,
        view: ChainView,
        scores: ScoresView,
        counting: Counting,
        progress: Progress,
        transmitter: Transmitter | None,
        pace: ScorePace,
    ) -> None:
        """Without a `transmitter` it proposes nothing: others must."""
        self._account, self._view, self._scores, self.counting = account, view, scores, counting
        self._progress, self._transmitter, self._pace = progress, transmitter, pace
        self._config: OracleConfig | None = None
        # Batches that nothing changes any more: what counts in them.
        self._decided: dict[int, dict[int, bytes]] = {}
        # The batch that is due, and since when by the loop's clock.
        self._since: tuple[int, float] = (0, 0.0)
        self._looked_for: tuple[int, int, int] = (0, 0, 0)

    # What is due ------------------------------------------------------------------------------------

    def _due(self, latest: int, scored: int) -> Due | None:
        """The newest batch whose rounds are all decided, unless it is scored. Blocking."""
        every = self._pace.every
        for number in range(latest // every, 0, -1):
            first, last = (number - 1) * every + 1, number * every
            if last <= max(scored, latest - self._view.ring_rounds):
                return None
            named = self._named(number, range(first, last + 1))
            if named is None:
                continue
            left = {round_number: one for round_number, one in named.items() if round_number > scored}
            return Due(number, max(first, scored + 1), max(left), left) if left else None
        return None

    def _named(self, number: int, rounds: range) -> dict[int, bytes] | None:
        """What the batch's good reports name; None while one of them may still be vetoed."""
        if number not in self._decided:
            final_if_posted_by = self._view.chain_time() - self._view.finality_delay_seconds
            good = []
            for round_number in reversed(rounds):
                posted = self._view.posted(round_number)
                if posted is None or posted.vetoed:
                    continue
                if posted.posted_at > final_if_posted_by:
                    return None
                good.append(round_number)
            named = self._scores.evidence_hashes(good[::-1])
            if len(named) < len(good):
                return None  # a node whose history lags
            self._decided = {number: named}
        return self._decided[number]

    def _own(self, due: Due) -> Batch:
        """By this reporter's tally. Blocking. Raises Refused where it has none."""
        distances = {one: self.counting.of(one, named) for one, named in due.named.items()}
        unknown = [one for one, found in distances.items() if found is None]
        if unknown:
            raise Refused(f"I do not hold what counts in rounds {', '.join(map(str, sorted(unknown)))}")
        entries = pack_scores(tally(found for found in distances.values() if found is not None))
        if not entries:
            raise Refused(
                f"in rounds {due.from_round} to {due.to_round} nobody can be compared with what is reported"
            )
        return Batch(due.from_round, due.to_round, entries)

    # Agreeing ---------------------------------------------------------------------------------------

    async def endorse(self, batch: Batch) -> bytes:
        """See Scores."""
        try:
            return await asyncio.to_thread(self._endorse, batch)
        except Refused:
            raise
        except TROUBLE as error:
            raise Refused(f"I cannot tell now: {type(error).__name__}: {error}") from error

    def _endorse(self, batch: Batch) -> bytes:
        config = self._config
        due = None if config is None else self._due(self._view.latest_round(), self._scores.scored_up_to())
        if config is None or due is None:
            raise Refused("by what I see of the chain no scores are due")
        if batch[:2] != (due.from_round, due.to_round):
            raise Refused(f"{batch}: due are those of rounds {due.from_round} to {due.to_round}")
        own = self._own(due)
        if batch != own:
            raise Refused(f"{batch}: by my tally the entries are 0x{own.entries.hex()}")
        return compact_signature(self._account, self._scores.message_hash(config, batch))

    def _count_missing(
        self, config: OracleConfig, latest: int, scored: int, newest: int, due: Due | None
    ) -> None:
        """Also of rounds that are not due yet: others do not keep what they revealed for long."""
        first = max(1, scored + 1, (latest // self._pace.every - 1) * self._pace.every + 1)
        reported = self._scores.evidence_hashes(range(first, latest + 1))
        named = {} if due is None else due.named
        self.counting.look_for(config, {**reported, **named}, lambda one: one < newest or one in named)

    async def step(self, config: OracleConfig | None, round_number: int, peers: Peers) -> None:
        """Look whether a batch is due, and propose it in one's turn: the order rotates with the batch and goes round
        until the chain has it. `round_number` is the newest there is, to be spoken in."""
        if config is None or self._account.address not in config.reporters or not round_number:
            return  # nothing is known yet, or this is no reporter any more
        self._config = config
        latest, scored = await asyncio.to_thread(
            lambda: (self._view.latest_round(), self._scores.scored_up_to())
        )
        self._progress.scored(scored)
        due = await asyncio.to_thread(self._due, latest, scored)
        now, number = asyncio.get_running_loop().time(), 0 if due is None else due.number
        if number != self._since[0]:
            self._since = number, now
        turn = int((now - self._since[1]) / self._pace.turn)
        if (round_number, number, turn) == self._looked_for:
            return
        self._looked_for, is_new = (round_number, number, turn), self._looked_for[1:] != (number, turn)
        await asyncio.to_thread(self._count_missing, config, latest, scored, round_number, due)
        order = leaders(config.reporters, number)
        if due is None:
            self._progress.scoring("")
        elif is_new and order[turn % len(order)] == self._account.address and self._transmitter is not None:
            await self._propose(config, round_number, due, peers, self._transmitter)
        else:
            self._progress.scoring(f"rounds {due.from_round} to {due.to_round} are due")

    async def _propose(
        self, config: OracleConfig, round_number: int, due: Due, peers: Peers, transmitter: Transmitter
    ) -> None:
        try:
            batch = await asyncio.to_thread(self._own, due)
        except Refused as refused:
            self._progress.scoring(str(refused))
            return
        message_hash = self._scores.message_hash(config, batch)
        body = batch_body(batch)
        letter = Message.sign(self._account, Kind.SCORES, config.config_digest, round_number, body)
        signatures: dict[str, bytes] = {self._account.address: compact_signature(self._account, message_hash)}
        signatures |= signatures_in(await peers.ask(letter, self._pace.ask), message_hash, str(batch))
        self._progress.scoring(f"{batch}: {len(signatures)} of {config.quorum} signatures")
        if len(signatures) >= config.quorum:
            joined = join(list(signatures.values())[: config.quorum], message_hash)
            await asyncio.to_thread(transmitter.bring, Errand(self._scores, batch, joined))

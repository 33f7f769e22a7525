"""What reporters' deviations add up to: the twin of ReporterScores.sol, and of what is signed for it.

Rounds and basis points are exact integers; means round up, against the reporter.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from eth_abi.abi import encode
from eth_hash.auto import keccak
from eth_utils.address import to_canonical_address, to_checksum_address

from wellhead.reference.eip712 import domain_separator, typed_digest

SCORES_DOMAIN = ("Wellhead ReporterScores", "1")
MAX_DEVIATION_BPS = 10_000
ENTRY_BYTES = 28

_ADDRESS_BYTES, _ROUNDS_BYTES, _SUM_BYTES = 20, 3, 5
_SCORES_TYPE = b"Scores(bytes32 configDigest,uint24 fromRound,uint24 toRound,bytes32 entriesHash)"


class ScoresError(ValueError):
    """Scores that cannot be. `name` and `values` are those of the contract's custom error."""

    def __init__(self, name: str, *values: int | str) -> None:
        super().__init__(f"{name}({', '.join(map(str, values))})")
        self.name = name
        self.values = values


@dataclass(frozen=True, slots=True)
class Score:
    """A reporter's counted rounds, the sum of its deviations in them, and up to where it was last named."""

    rounds: int
    deviation_sum_bps: int
    scored_up_to: int = 0

    @property
    def mean_deviation_bps_up(self) -> int:
        """Per counted round; 0 without one."""
        return -(-self.deviation_sum_bps // self.rounds) if self.rounds else 0


def tally(rounds: Iterable[Mapping[str, int]]) -> dict[str, Score]:
    """The scores over several rounds' deviations in basis points, by reporter."""
    found: dict[str, Score] = {}
    for deviations in rounds:
        for reporter, bps in deviations.items():
            before = found.get(reporter, Score(0, 0))
            found[reporter] = Score(before.rounds + 1, before.deviation_sum_bps + bps)
    return found


def pack_scores(scores: Mapping[str, Score]) -> bytes:
    """The `entries` argument of `post`, reporters ascending. OverflowError for what does not fit its bytes."""
    return b"".join(
        reporter
        + score.rounds.to_bytes(_ROUNDS_BYTES, "big")
        + score.deviation_sum_bps.to_bytes(_SUM_BYTES, "big")
        for reporter, score in sorted((to_canonical_address(name), score) for name, score in scores.items())
    )


def scores_hash(
    chain_id: int, contract: str, digest: bytes, from_round: int, to_round: int, entries: bytes
) -> bytes:
    """The 32 bytes that reporters sign; `digest` is the oracle's."""
    struct = keccak(
        encode(
            ["bytes32", "bytes32", "uint24", "uint24", "bytes32"],
            [keccak(_SCORES_TYPE), digest, from_round, to_round, keccak(entries)],
        )
    )
    return typed_digest(domain_separator(*SCORES_DOMAIN, chain_id, contract), struct)


@dataclass(frozen=True)
class ScoreBook:
    """What the contract holds. Signatures and finality are the oracle's matter."""

    scored_up_to: int = 0
    scores: Mapping[str, Score] = field(default_factory=dict)

    def post(self, from_round: int, to_round: int, entries: bytes) -> ScoreBook:
        """The book after a batch. Raises ScoresError where the contract refuses it."""
        if not self.scored_up_to < from_round <= to_round:
            raise ScoresError("ReporterScores_RangeNotRising", from_round, to_round, self.scored_up_to)
        if not entries or len(entries) % ENTRY_BYTES:
            raise ScoresError("ReporterScores_MalformedEntries", len(entries))
        scores, most, previous = dict(self.scores), to_round - from_round + 1, bytes(_ADDRESS_BYTES)
        for start in range(0, len(entries), ENTRY_BYTES):
            entry = entries[start : start + ENTRY_BYTES]
            canonical, reporter = entry[:_ADDRESS_BYTES], to_checksum_address(entry[:_ADDRESS_BYTES])
            rounds = int.from_bytes(entry[_ADDRESS_BYTES:-_SUM_BYTES], "big")
            sum_bps = int.from_bytes(entry[-_SUM_BYTES:], "big")
            if canonical <= previous:
                before = to_checksum_address(previous)
                raise ScoresError("ReporterScores_ReportersNotAscending", before, reporter)
            if not 0 < rounds <= most:
                raise ScoresError("ReporterScores_ImpossibleRounds", reporter, rounds, most)
            if sum_bps > rounds * MAX_DEVIATION_BPS:
                most_bps = rounds * MAX_DEVIATION_BPS
                raise ScoresError("ReporterScores_DeviationAboveCap", reporter, sum_bps, most_bps)
            held = scores.get(reporter, Score(0, 0))
            scores[reporter] = Score(held.rounds + rounds, held.deviation_sum_bps + sum_bps, to_round)
            previous = canonical
        return ScoreBook(to_round, scores)

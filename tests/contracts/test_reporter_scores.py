"""Reporters' scores: what a quorum signed about final rounds, each round once."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from oracle_bench import FAULTY, OracleBench
from web3 import Web3
from web3.exceptions import ContractCustomError

from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.reference import quorum
from wellhead.reference.scores import (
    ENTRY_BYTES,
    MAX_DEVIATION_BPS,
    Score,
    ScoreBook,
    ScoresError,
    pack_scores,
    scores_hash,
)

SEED = 20_261_122
PARTS, BATCHES = 8, 12
LAST = 9


class ScoresBench:
    """The contract beside an oracle with rounds 1, 3, 5, 7 and 9; 5 was vetoed, the others are final."""

    def __init__(self, oracle: OracleBench, deploy: Any) -> None:
        self.oracle = oracle
        self.contract = deploy("ReporterScores", oracle.contract.address)
        self.client = ReporterScores(oracle.w3, self.contract.address)
        for number in (1, 3, 5, 7, LAST):
            oracle.report(number, {1: oracle.record(number)}, pushed=())
            if number == 5:
                oracle.veto(5)
        oracle.pass_delay()

    def signatures(
        self, from_round: int, to_round: int, entries: bytes, keys: Iterable[LocalAccount] | None = None
    ) -> bytes:
        digest = self.oracle.functions.configDigest().call()
        message = scores_hash(
            self.oracle.w3.eth.chain_id, self.contract.address, digest, from_round, to_round, entries
        )
        return quorum.sign(message, self.oracle.keys[:3] if keys is None else keys)

    def signed(self, from_round: int, to_round: int, entries: bytes) -> Any:
        signatures = self.signatures(from_round, to_round, entries)
        return self.contract.functions.post(from_round, to_round, entries, signatures)


@pytest.fixture(scope="module")
def bench(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> ScoresBench:
    return ScoresBench(OracleBench(w3, deploy, send, actors, keys), deploy)


@pytest.fixture
def entries(bench: ScoresBench) -> bytes:
    return pack_scores({bench.oracle.addresses[0]: Score(2, 101), bench.oracle.addresses[3]: Score(3, 0)})


def test_a_batch_adds_to_the_scores(
    bench: ScoresBench, entries: bytes, send: Any, actors: Mapping[str, str]
) -> None:
    receipt = send(bench.signed(1, 3, entries), sender=actors["stranger"])
    (event,) = bench.contract.events.ScoresPosted().process_receipt(receipt)
    assert dict(event["args"]) == {
        "fromRound": 1,
        "toRound": 3,
        "transmitter": actors["stranger"],
        "entries": entries,
    }
    first, fourth = bench.oracle.addresses[0], bench.oracle.addresses[3]
    assert bench.client.scored_up_to() == 3
    assert bench.client.score_of(first) == Score(2, 101, 3)
    assert bench.client.mean_deviation_bps_up(first) == 51  # up, against the reporter
    send(bench.signed(6, LAST, pack_scores({fourth: Score(1, MAX_DEVIATION_BPS)})))
    assert bench.client.scored_up_to() == LAST
    assert bench.client.score_of(first) == Score(2, 101, 3)
    assert bench.client.score_of(fourth) == Score(4, MAX_DEVIATION_BPS, LAST)
    assert bench.client.mean_deviation_bps_up(fourth) == 2_500
    assert bench.client.mean_deviation_bps_up(actors["stranger"]) == 0
    assert bench.client.oracle() == bench.oracle.contract.address


def test_no_round_is_scored_twice(bench: ScoresBench, entries: bytes, send: Any, reverts: Any) -> None:
    send(bench.signed(1, 3, entries))
    for first, last in ((1, 3), (3, 7), (2, LAST), (0, LAST)):
        with reverts("ReporterScores_RangeNotRising", first, last, 3):
            bench.signed(first, last, entries).call()
    bench.signed(4, 7, entries).call()


def test_a_range_begins_above_zero_and_does_not_run_backwards(
    bench: ScoresBench, entries: bytes, reverts: Any
) -> None:
    for first, last in ((0, 3), (7, 3)):
        with reverts("ReporterScores_RangeNotRising", first, last, 0):
            bench.signed(first, last, entries).call()


@pytest.mark.parametrize("undecided", [2, 5, 10, 11])
def test_the_last_round_must_be_final(
    bench: ScoresBench, entries: bytes, reverts: Any, undecided: int
) -> None:
    """Never reported, vetoed, reported just now, or still to come."""
    bench.oracle.report(10, {1: bench.oracle.record(10)}, pushed=())
    with reverts("ReporterScores_RoundNotFinal", undecided):
        bench.signed(1, undecided, entries).call()


@pytest.mark.parametrize("length", [0, ENTRY_BYTES - 1, ENTRY_BYTES + 1])
def test_torn_entries_are_refused(bench: ScoresBench, entries: bytes, reverts: Any, length: int) -> None:
    with reverts("ReporterScores_MalformedEntries", length):
        bench.signed(1, 3, entries[:length]).call()


def test_each_reporter_is_named_once_and_in_order(bench: ScoresBench, entries: bytes, reverts: Any) -> None:
    low, high = entries[:ENTRY_BYTES], entries[ENTRY_BYTES:]
    first, fourth = bench.oracle.addresses[0], bench.oracle.addresses[3]
    nobody = "0x" + "00" * 20
    for given, before, reporter in (
        (high + low, fourth, first),
        (low + low, first, first),
        (bytes(20) + low[20:], nobody, nobody),
    ):
        with reverts("ReporterScores_ReportersNotAscending", before, reporter):
            bench.signed(1, 3, given).call()


@pytest.mark.parametrize("rounds", [0, 4])
def test_nobody_reveals_in_more_rounds_than_there_were(bench: ScoresBench, reverts: Any, rounds: int) -> None:
    reporter = bench.oracle.addresses[0]
    with reverts("ReporterScores_ImpossibleRounds", reporter, rounds, 3):
        bench.signed(1, 3, pack_scores({reporter: Score(rounds, 0)})).call()


def test_a_round_counts_for_all_of_it_at_most(bench: ScoresBench, reverts: Any) -> None:
    reporter, most = bench.oracle.addresses[0], 2 * MAX_DEVIATION_BPS
    bench.signed(1, 3, pack_scores({reporter: Score(2, most)})).call()
    with reverts("ReporterScores_DeviationAboveCap", reporter, most + 1, most):
        bench.signed(1, 3, pack_scores({reporter: Score(2, most + 1)})).call()


def test_it_takes_a_quorum_of_the_oracles_reporters(
    bench: ScoresBench, entries: bytes, keys: Mapping[str, LocalAccount], reverts: Any
) -> None:
    post = bench.contract.functions.post
    for few in (0, 2, 4):
        with reverts("Quorum_WrongSignatureLength", 64 * few, 192):
            post(1, 3, entries, bench.signatures(1, 3, entries, bench.oracle.keys[:few])).call()
    with reverts("Quorum_ForeignSigner"):
        crowd = [*bench.oracle.keys[:2], keys["stranger"]]
        post(1, 3, entries, bench.signatures(1, 3, entries, crowd)).call()


@pytest.mark.parametrize("change", ["from", "to", "entries"])
def test_signatures_count_for_what_was_signed(bench: ScoresBench, entries: bytes, change: str) -> None:
    good = (1, 3, entries)
    told = {"from": (2, 3, entries), "to": (1, 7, entries), "entries": (1, 3, entries[:ENTRY_BYTES])}[change]
    bench.contract.functions.post(*good, bench.signatures(*good)).call()
    with pytest.raises(ContractCustomError):
        bench.contract.functions.post(*told, bench.signatures(*good)).call()


def test_what_old_reporters_signed_dies_with_them(
    bench: ScoresBench, entries: bytes, send: Any, actors: Mapping[str, str]
) -> None:
    old = bench.signed(1, 3, entries)
    old.call()
    send(bench.oracle.functions.setReporters(bench.oracle.addresses, FAULTY), sender=actors["owner"])
    with pytest.raises(ContractCustomError):
        old.call()
    send(bench.signed(1, 3, entries))


def test_there_is_an_oracle(deploy: Any, reverts: Any) -> None:
    with reverts("ReporterScores_ZeroOracle"):
        deploy("ReporterScores", "0x" + "00" * 20)


@pytest.mark.parametrize("part", range(PARTS))
def test_the_twin_agrees_over_random_batches(bench: ScoresBench, send: Any, reverts: Any, part: int) -> None:
    print(f"seed {SEED + part}")
    rng = random.Random(SEED + part)
    oracle, book = bench.oracle, ScoreBook()
    for _ in range(BATCHES):
        first = rng.choice([book.scored_up_to + 1, book.scored_up_to + 1, rng.randint(0, LAST)])
        last = rng.choice([1, 3, 7, LAST])
        reporters = rng.sample(oracle.addresses, rng.randint(1, 5))
        entries = b"".join(
            pack_scores({reporter: some_score(rng, last - first + 1)})
            for reporter in (sorted(reporters, key=str.lower) if rng.random() < 0.9 else reporters)
        )
        if rng.random() < 0.05:
            entries = entries[: rng.randrange(len(entries))]
        call = bench.signed(first, last, entries)
        try:
            book = book.post(first, last, entries)
            send(call)
        except ScoresError as error:
            with reverts(error.name, *error.values):
                call.call()
        assert bench.client.scored_up_to() == book.scored_up_to
        for reporter in reporters:
            expected = book.scores.get(reporter, Score(0, 0))
            assert bench.client.score_of(reporter) == expected
            assert bench.client.mean_deviation_bps_up(reporter) == expected.mean_deviation_bps_up


def some_score(rng: random.Random, rounds_in_range: int) -> Score:
    rounds = min(max(rounds_in_range, 1), rng.randint(1, LAST)) if rng.random() < 0.9 else rng.randint(0, 10)
    most = rounds * MAX_DEVIATION_BPS
    return Score(rounds, rng.choice([0, most, rng.randint(0, most), most + (rng.random() < 0.1)]))

"""Reports: k of n signatures over one round, and nothing else, move the oracle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from eth_account.signers.local import LocalAccount
from oracle_bench import EVIDENCE, FAULTY, NO_ROOT, RING_ROUNDS, OracleBench
from web3 import Web3

from wellhead.chain import local
from wellhead.reference import quorum
from wellhead.reference.record import pack_entries

ROOT = bytes(range(23))


@pytest.fixture(scope="module")
def oracle(w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> OracleBench:
    bench = OracleBench(w3, deploy, send, actors, keys)
    bench.pass_window(5)
    return bench


def test_a_report_names_its_root_and_pushes_records(
    oracle: OracleBench, send: Any, actors: Mapping[str, str]
) -> None:
    entries = pack_entries({3: oracle.record(5), 9: oracle.record(5, up_seconds=0, busy_gpu_seconds=0)})
    receipt = send(oracle.signed(5, ROOT, entries), sender=actors["stranger"])
    (event,) = oracle.contract.events.Reported().process_receipt(receipt)
    assert dict(event["args"]) == {
        "round": 5,
        "root": ROOT,
        "evidenceHash": EVIDENCE,
        "transmitter": actors["stranger"],
        "records": entries,
    }
    assert oracle.functions.latestRound().call() == 5
    posted_at = oracle.w3.eth.get_block(receipt["blockNumber"])["timestamp"]
    assert oracle.functions.roundInfo(5).call() == [ROOT, posted_at, False]
    assert oracle.latest(3) == oracle.record(5)
    assert oracle.latest(9).up_seconds == 0
    assert oracle.functions.latestRecord(4).call() == (0,) * 7


@pytest.mark.parametrize("silent", range(5))
def test_any_three_of_five_suffice(oracle: OracleBench, send: Any, silent: int) -> None:
    signers = [oracle.keys[(silent + offset) % 5] for offset in (1, 2, 4)]
    send(oracle.signed(1, ROOT, signers=signers))
    assert oracle.functions.latestRound().call() == 1


def test_rounds_may_be_left_out(oracle: OracleBench) -> None:
    oracle.report(1, {1: oracle.record(1)})
    oracle.report(5, {1: oracle.record(5)})
    assert oracle.functions.latestRound().call() == 5
    assert oracle.functions.roundInfo(3).call() == [NO_ROOT, 0, False]


def test_a_stale_round_is_refused(oracle: OracleBench, send: Any, reverts: Any) -> None:
    send(oracle.signed(4))
    for stale in (4, 3, 0):
        with reverts("TelemetryOracle_StaleRound", stale, 4):
            send(oracle.signed(stale))


def test_a_window_must_have_ended(oracle: OracleBench, reverts: Any) -> None:
    end = oracle.window_end(6)
    local.advance(oracle.w3, end - 1 - local.chain_time(oracle.w3))
    with reverts("TelemetryOracle_WindowNotEnded", 6, end, end - 1):
        oracle.signed(6).call()
    with reverts("TelemetryOracle_WindowNotEnded"):
        oracle.signed(2**24 - 1).call()
    local.advance(oracle.w3, 1)
    oracle.signed(6).call()


def signatures_of(oracle: OracleBench, *keys: LocalAccount) -> list[bytes]:
    """One compact signature each, of round 1 with root ROOT and no records, in the order given."""
    message = oracle.message(1, ROOT, b"")
    return [quorum.compact_signature(key, message) for key in keys]


def test_too_few_and_too_many_signatures_are_refused(oracle: OracleBench, reverts: Any) -> None:
    signatures = signatures_of(oracle, *oracle.keys)
    for count in (0, 2, 4, 5):
        with reverts("Quorum_WrongSignatureLength", 64 * count, 192):
            oracle.functions.report(1, ROOT, EVIDENCE, b"", b"".join(signatures[:count])).call()
    with reverts("Quorum_WrongSignatureLength", 191, 192):
        oracle.functions.report(1, ROOT, EVIDENCE, b"", b"".join(signatures[:3])[:-1]).call()


def test_one_signer_twice_is_refused(oracle: OracleBench, reverts: Any) -> None:
    first, second = signatures_of(oracle, *oracle.keys[:2])
    address = oracle.addresses[1]
    with reverts("Quorum_SignaturesNotAscending", 2, address, address):
        oracle.functions.report(1, ROOT, EVIDENCE, b"", first + second + second).call()


def test_unsorted_signatures_are_refused(oracle: OracleBench, reverts: Any) -> None:
    first, second, third = signatures_of(oracle, *oracle.keys[:3])
    with reverts("Quorum_SignaturesNotAscending", 2, oracle.addresses[2], oracle.addresses[1]):
        oracle.functions.report(1, ROOT, EVIDENCE, b"", first + third + second).call()


def test_a_foreign_signature_is_refused(
    oracle: OracleBench, keys: Mapping[str, LocalAccount], reverts: Any
) -> None:
    ordered = sorted([*oracle.keys[:2], keys["stranger"]], key=lambda key: int(key.address, 16))
    place = ordered.index(keys["stranger"])
    with reverts("Quorum_ForeignSigner", place, keys["stranger"].address):
        oracle.functions.report(1, ROOT, EVIDENCE, b"", b"".join(signatures_of(oracle, *ordered))).call()


def test_an_invalid_signature_is_refused(oracle: OracleBench, reverts: Any) -> None:
    first, second = signatures_of(oracle, *oracle.keys[:2])
    with reverts("Quorum_InvalidSignature", 2):
        oracle.functions.report(1, ROOT, EVIDENCE, b"", first + second + bytes(64)).call()


def refusal_of(message: bytes, signatures: bytes, oracle: OracleBench) -> tuple[Any, ...]:
    """The error that the twin sees: signatures over another message recover to strangers, in any order."""
    with pytest.raises(quorum.QuorumError) as refusal:
        quorum.verify(message, signatures, oracle.addresses, FAULTY)
    assert refusal.value.name in ("Quorum_ForeignSigner", "Quorum_SignaturesNotAscending")
    return refusal.value.name, *refusal.value.values


@pytest.mark.parametrize("change", ["round", "root", "evidence", "records"])
def test_signatures_count_for_what_was_signed_only(oracle: OracleBench, reverts: Any, change: str) -> None:
    signatures = b"".join(signatures_of(oracle, *oracle.keys[:3]))
    oracle.functions.report(1, ROOT, EVIDENCE, b"", signatures).call()
    told = {
        "round": (2, ROOT, EVIDENCE, b""),
        "root": (1, ROOT[::-1], EVIDENCE, b""),
        "evidence": (1, ROOT, EVIDENCE[::-1], b""),
        "records": (1, ROOT, EVIDENCE, pack_entries({1: oracle.record(1)})),
    }[change]
    number, root, evidence, entries = told
    with reverts(*refusal_of(oracle.message(number, root, entries, evidence), signatures, oracle)):
        oracle.functions.report(*told, signatures).call()


def test_signatures_die_with_their_configuration(
    oracle: OracleBench, send: Any, actors: Mapping[str, str], reverts: Any
) -> None:
    signatures = quorum.sign(oracle.message(1, ROOT, b""), oracle.keys[:3])
    call = oracle.functions.report(1, ROOT, EVIDENCE, b"", signatures)
    call.call()
    send(oracle.functions.setReporters(oracle.addresses, FAULTY), sender=actors["owner"])
    with reverts(*refusal_of(oracle.message(1, ROOT, b""), signatures, oracle)):
        call.call()
    send(oracle.signed(1, ROOT))


def test_a_dismissed_reporter_counts_no_more(
    oracle: OracleBench, send: Any, actors: Mapping[str, str], reverts: Any
) -> None:
    send(oracle.functions.setReporters(oracle.addresses[1:], FAULTY), sender=actors["owner"])
    with reverts("Quorum_ForeignSigner", 0, oracle.addresses[0]):
        oracle.signed(1, ROOT).call()
    send(oracle.signed(1, ROOT, signers=oracle.keys[1:4]))


def test_signatures_do_not_travel_between_oracles(oracle: OracleBench, deploy: Any, reverts: Any) -> None:
    signatures = quorum.sign(oracle.message(1, ROOT, b""), oracle.keys[:3])
    oracle.functions.report(1, ROOT, EVIDENCE, b"", signatures).call()
    other = oracle.elsewhere(deploy)
    with reverts(*refusal_of(other.message(1, ROOT, b""), signatures, other)):
        other.functions.report(1, ROOT, EVIDENCE, b"", signatures).call()


def test_the_ring_forgets(oracle: OracleBench) -> None:
    oracle.report(2, {1: oracle.record(2)})
    assert oracle.functions.roundInfo(2).call()[1] > 0
    oracle.report(2 + RING_ROUNDS, {1: oracle.record(2 + RING_ROUNDS)})
    assert oracle.functions.roundInfo(2).call() == [NO_ROOT, 0, False]
    assert oracle.functions.roundInfo(2 + RING_ROUNDS).call()[0] == oracle.trees[2 + RING_ROUNDS].root


def test_other_contracts_ask_for_the_reporters_quorum(
    oracle: OracleBench, keys: Mapping[str, LocalAccount], reverts: Any
) -> None:
    message = bytes(range(32))
    ask = oracle.functions.requireQuorum
    ask(message, quorum.sign(message, oracle.keys[1:4])).call()
    with reverts("Quorum_WrongSignatureLength", 128, 192):
        ask(message, quorum.sign(message, oracle.keys[:2])).call()
    with reverts("Quorum_ForeignSigner"):
        ask(message, quorum.sign(message, [*oracle.keys[:2], keys["stranger"]])).call()

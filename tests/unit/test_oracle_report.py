"""Commit, reveal, draft, re-check, sign: what a liar, a thief of names and a silent reporter can and cannot do."""

from __future__ import annotations

import dataclasses

import pytest
from eth_account.signers.local import LocalAccount
from eth_hash.auto import keccak

from wellhead.chain.keys import local_account
from wellhead.errors import Refused
from wellhead.oracle.draft import Basis, OracleConfig, draft
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.pushing import MAX_REPORTED
from wellhead.oracle.report import Report, co_sign
from wellhead.oracle.review import Tolerance, objections
from wellhead.oracle.round import TimeScale, first_record
from wellhead.oracle.sealed import Revealed, commitment_hash, fault_of_reveal, seal
from wellhead.reference.merkle import verify
from wellhead.reference.quorum import SIGNATURE_BYTES, signer_of
from wellhead.reference.record import ENTRY_BYTES

START = 1_700_000_000
ROUND = 4
STATES = "UUUUDDUUUU"
WINDOW = Window(100, len(STATES), 1000)
HONEST = Counters(tokens=500_000, busy_micros=6_000_000, energy_microjoules=0)
ACCOUNTS = [local_account(f"reporter-{number}") for number in range(5)]
STRANGER = local_account("operator")
CONFIG = OracleConfig(
    chain_id=31337,
    contract="0x5FbDB2315678afecb367f032d93F642f64180aa3",
    config_digest=b"\x11" * 32,
    reporters=tuple(sorted(account.address for account in ACCOUNTS)),
    quorum=3,
)


def evidence_of(account: LocalAccount) -> bytes:
    return keccak(account.address.encode())


def reveal(account: LocalAccount, states: str = STATES, gained: Counters = HONEST) -> Revealed:
    window = dataclasses.replace(WINDOW, slots=len(states))
    seen = Observation(account.address, 7, window, states, gained)
    return seal(account, CONFIG.config_digest, ROUND, {7: seen}, evidence_of(account), account.key)


def basis(*revealed: Revealed) -> Basis:
    return Basis(CONFIG, ROUND, START + 60, WINDOW, revealed, {7: first_record(START, 1)}, TimeScale(1000))


def fault(revealed: Revealed) -> str:
    return fault_of_reveal(revealed, CONFIG.config_digest, ROUND, WINDOW, CONFIG.reporters)


def honest(count: int) -> list[Revealed]:
    return [reveal(account) for account in ACCOUNTS[:count]]


def figures_of(report: Report) -> list[tuple[bool, str]]:
    return [(entry.signed, entry.objection) for entry in report.figures]


def test_four_observe_one_is_silent_and_k_signatures_come_in_order() -> None:
    report = co_sign(basis(*honest(4)), ACCOUNTS)
    record = report.records[7]
    assert (record.covered_seconds, record.up_seconds, record.busy_gpu_seconds) == (10, 8, 6)
    assert record.work_units == 500_000
    assert figures_of(report) == [(True, "")] * 4 + [(False, "silent")]
    assert len(report.signatures) == 3 * SIGNATURE_BYTES
    message = report.draft.message_hash(CONFIG)
    signers = [
        signer_of(report.signatures[start : start + SIGNATURE_BYTES], message)
        for start in range(0, len(report.signatures), SIGNATURE_BYTES)
    ]
    assert signers == sorted(signers, key=str.lower)
    assert set(signers) <= set(CONFIG.reporters)


def test_the_report_proves_its_records() -> None:
    report = co_sign(basis(*honest(3)), ACCOUNTS)
    reading = report.reading(7)
    assert verify(report.root, 7, reading.record, reading.proof)
    told = report.draft.evidence_hash, report.draft.entries, report.signatures
    assert report.arguments == (4, report.root, *told)
    assert len(report.root) == 23


def test_a_liar_changes_nothing_and_does_not_find_its_lie_confirmed() -> None:
    liar = reveal(ACCOUNTS[3], "U" * 10, Counters(10**15, 10**15, 0))
    report = co_sign(basis(*honest(3), liar), ACCOUNTS)
    assert report.records == co_sign(basis(*honest(3)), ACCOUNTS).records
    assert "tokens is 500000 by the median" in report.figures[3].objection


def test_a_reporter_declines_what_it_saw_otherwise() -> None:
    # Three agree that the node was down for long; the fourth saw it up, and does not sign.
    others = [reveal(account, "UUDDDDDDUU") for account in ACCOUNTS[:3]]
    report = co_sign(basis(*others, reveal(ACCOUNTS[3])), ACCOUNTS)
    assert report.figures[3].objection == "node 7: I saw 4 of 10 samples the other way round"
    assert sum(entry.signed for entry in report.figures) == 3


def test_differences_at_the_edges_are_tolerated() -> None:
    shifted = reveal(ACCOUNTS[2], "UUUUUDDUUU", dataclasses.replace(HONEST, tokens=505_000))
    report = co_sign(basis(*honest(2), shifted), ACCOUNTS)
    assert [entry.signed for entry in report.figures] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("tokens", "declines"), [(1_000_000 + 1_000 + 50_000, False), (1_000_000 + 1_000 + 50_001, True)]
)
def test_the_tolerance_is_exact(tokens: int, declines: bool) -> None:
    """1,000 absolute and 5 % of the median of a million."""
    gain = Counters(1_000_000, 0, 0)
    others = [reveal(account, gained=gain) for account in ACCOUNTS[:3]]
    own = reveal(ACCOUNTS[3], gained=dataclasses.replace(gain, tokens=tokens))
    gathered = basis(*others, own)
    tolerance = Tolerance(slots=0, counter_bps=500, absolute=Counters(1_000, 0, 0))
    assert bool(objections(gathered, own, draft(gathered), tolerance)) == declines


def test_who_was_cut_off_signs_with_the_others_when_the_figures_agree() -> None:
    cut_off = reveal(ACCOUNTS[3], "?" * 10, Counters(0, 0, 0))
    report = co_sign(basis(*honest(3), cut_off), ACCOUNTS)
    assert report.figures[3].signed
    assert report.draft.aggregates[7].observers == 3


def test_too_few_signatures_give_no_report_but_everyones_reasons() -> None:
    with pytest.raises(Refused, match=r"0 of the 3 signatures .*: node 7: tokens.*silent"):
        co_sign(
            basis(
                *honest(3)[:1],
                *(
                    reveal(a, gained=Counters(n * 10**9, 0, 0))
                    for n, a in ((1, ACCOUNTS[1]), (2, ACCOUNTS[2]))
                ),
            ),
            [ACCOUNTS[0], ACCOUNTS[2], ACCOUNTS[4]],
        )


def test_too_few_observations_give_no_report() -> None:
    with pytest.raises(Refused, match="no registered node was observed by 3 reporters"):
        co_sign(basis(*honest(2)), ACCOUNTS)


def test_a_draft_that_does_not_follow_is_not_signed() -> None:
    gathered = basis(*honest(3))
    proposed = draft(gathered)
    forged = dataclasses.replace(proposed, round=5)
    assert objections(gathered, gathered.revealed[0], forged, Tolerance()) == [
        "the draft does not follow from what was revealed"
    ]
    assert objections(basis(*gathered.revealed[1:]), gathered.revealed[0], proposed, Tolerance()) == [
        "my own observation is missing"
    ]


def test_a_commitment_cannot_be_changed_after_the_others_are_seen() -> None:
    first = reveal(ACCOUNTS[0])
    changed = dataclasses.replace(first, observations=reveal(ACCOUNTS[0], "U" * 10).observations)
    assert fault(changed) == "reveals something else than it committed to"
    other_evidence = dataclasses.replace(first, evidence_hash=b"\xef" * 32)
    assert fault(other_evidence) == "reveals something else than it committed to"
    assert commitment_hash(first.observations, first.evidence_hash, b"\x00" * 32) != first.commitment.hash


def test_a_commitment_is_worth_nothing_in_another_round_or_configuration() -> None:
    good = reveal(ACCOUNTS[0])
    assert fault(good) == ""
    reporters = CONFIG.reporters
    assert "did not sign" in fault_of_reveal(good, CONFIG.config_digest, ROUND + 1, WINDOW, reporters)
    assert "did not sign" in fault_of_reveal(good, b"\x12" * 32, ROUND, WINDOW, reporters)


def test_a_foreign_or_unsigned_commitment_does_not_count() -> None:
    stranger = reveal(STRANGER)
    assert fault(stranger) == "is no reporter of this oracle"
    good = honest(1)[0]
    for signature in (b"\x01" * 64, b"", reveal(STRANGER).commitment.signature):
        foreign = dataclasses.replace(
            good, commitment=dataclasses.replace(good.commitment, signature=signature)
        )
        assert "did not sign" in fault(foreign)


def test_a_fault_silences_its_author_alone() -> None:
    short = reveal(ACCOUNTS[3], "UU")
    report = co_sign(basis(*honest(3), short), ACCOUNTS[:3])
    assert report.records == co_sign(basis(*honest(3)), ACCOUNTS).records
    assert "Window" in report.draft.dropped[ACCOUNTS[3].address]


def test_nobody_is_dropped_by_what_others_send_in_his_name() -> None:
    victim = honest(1)[0]
    forged = dataclasses.replace(victim, salt=b"\x00" * 32)
    again = dataclasses.replace(victim)
    report = co_sign(basis(forged, *honest(3), again, forged), ACCOUNTS)
    assert report.draft.dropped == {}
    assert report.draft.aggregates[7].observers == 3


def test_two_commitments_by_one_reporter_drop_both() -> None:
    other = reveal(ACCOUNTS[3], "D" * 10)
    report = co_sign(basis(*honest(4), other), ACCOUNTS[:3])
    assert report.draft.dropped == {ACCOUNTS[3].address: "committed to 2 different observations"}
    assert report.draft.aggregates[7].observers == 3


def test_notes_and_carried_energy_come_out() -> None:
    gain = Counters(0, 20_000_000, 3_700_000_000)
    report = co_sign(basis(*(reveal(account, gained=gain) for account in ACCOUNTS[:3])), ACCOUNTS)
    assert report.notes == ("node 7: 20 GPU-seconds busy, but 1 GPU up for 8 s give 8",)
    assert report.carried_microjoules == {7: 100_000_000}
    assert report.records[7].energy_wh == 1


@pytest.mark.parametrize("moved", [-1, 1])
def test_bytes_cannot_move_between_salt_and_evidence(moved: int) -> None:
    good = reveal(ACCOUNTS[0])
    joined = good.salt + good.evidence_hash
    torn = dataclasses.replace(good, salt=joined[: 32 + moved], evidence_hash=joined[32 + moved :])
    assert f"{32 + moved} bytes of salt" in fault(torn)


def test_the_report_names_the_evidence_of_every_reporter_that_counts() -> None:
    short = reveal(ACCOUNTS[3], "UU")
    report = co_sign(basis(*honest(3), short), ACCOUNTS[:3])
    counted = sorted((bytes.fromhex(one.reporter[2:]), one) for one in honest(3))
    expected = keccak(b"".join(who + one.evidence_hash + one.commitment.hash for who, one in counted))
    assert report.draft.evidence_hash == report.arguments[2] == expected
    third = honest(3)[2]
    other = seal(ACCOUNTS[2], CONFIG.config_digest, ROUND, third.observations, bytes(32), third.salt)
    assert draft(basis(*honest(2), other)).evidence_hash != expected


def test_the_report_names_what_each_reporter_revealed_even_where_it_reports_the_same() -> None:
    """Or the one who leads could count himself otherwise at one reporter than at another."""
    others = honest(3)
    near = reveal(ACCOUNTS[3], gained=dataclasses.replace(HONEST, tokens=HONEST.tokens + 1))
    far = reveal(ACCOUNTS[3], gained=dataclasses.replace(HONEST, tokens=HONEST.tokens + 10**9))
    drafts = [draft(basis(*others, one)) for one in (near, far)]
    assert drafts[0].tree.root == drafts[1].tree.root
    assert drafts[0].evidence_hash != drafts[1].evidence_hash


@pytest.mark.parametrize(("nodes", "pushed"), [(MAX_REPORTED, MAX_REPORTED), (MAX_REPORTED + 1, 0)])
def test_of_too_many_nodes_a_report_names_the_root_alone(nodes: int, pushed: int) -> None:
    def seen_by(account: LocalAccount) -> Revealed:
        seen = {n: Observation(account.address, n, WINDOW, STATES, HONEST) for n in range(1, nodes + 1)}
        return seal(account, CONFIG.config_digest, ROUND, seen, evidence_of(account), account.key)

    given = basis(*(seen_by(account) for account in ACCOUNTS[:3]))
    previous = {node: first_record(START, 1) for node in range(1, nodes + 1)}
    drafted = draft(dataclasses.replace(given, previous=previous))
    assert len(drafted.entries) == pushed * ENTRY_BYTES
    assert len(drafted.records) == nodes

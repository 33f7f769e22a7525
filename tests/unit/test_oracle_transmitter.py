"""What is agreed is brought until the chain has it, never twice, and never on top of what was vetoed."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from wellhead.chain.contracts.telemetry_oracle import Round
from wellhead.chain.keys import local_account
from wellhead.chain.outbox.fees import Fees
from wellhead.chain.outbox.journal import DROPPED, FINAL, REVERTED, Call, Entry, Signed
from wellhead.chain.outbox.sender import Decision, UnderWay
from wellhead.chain.revert import ContractRefused
from wellhead.oracle.daemon import transmitter as module
from wellhead.oracle.daemon.store import StoredReport
from wellhead.oracle.daemon.transmitter import Transmitter
from wellhead.reference.merkle import Branch

ACCOUNT = local_account("transmitter-0")
REPORT = StoredReport(4, 3, b"\x01" * 23, b"\x02" * 32, b"\x03" * 36, b"\x04" * 192, ACCOUNT.address)
ROOT = b"\x05" * 23
PART = Branch(b"\x07" * 72, [])
PUSH = "records of round 3, of 2 nodes"


class StandInOutbox:
    """One entry at a time; the test decides what becomes of it."""

    def __init__(self) -> None:
        self.problem = ""
        self.submitted: list[str] = []
        self.closed: list[tuple[str, str]] = []
        self.open: Entry | None = None
        self.fate = ""

    def advance(self) -> UnderWay | Decision | None:
        if self.open is None:
            return None
        if not self.fate:
            return UnderWay(self.open, self.open.newest, mined=False)
        return Decision(self.open, self.fate, None, "")

    def close(self, decision: Decision) -> None:
        self.closed.append((decision.entry.call.subject, decision.state))
        self.open, self.fate = None, ""

    def submit(self, call: Call) -> UnderWay:
        assert self.open is None
        self.submitted.append(call.subject)
        signed = Signed(b"\x06" * 32, b"", Fees(1, 1), 0)
        self.open = Entry(len(self.submitted), 0, call, "open", [signed])
        return UnderWay(self.open, signed, mined=False)


class Stage:
    """A transmitter between them and a chain of which the test says what it has and refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds = {3: Round(ROOT, 1, False)}
        self.refusal: ContractRefused | None = None
        self.outbox = StandInOutbox()
        self.function = SimpleNamespace(_encode_transaction_data=lambda: "0x00", address="0x" + "5f" * 20)
        oracle = SimpleNamespace(w3=None, report=lambda *_: self.function, push=lambda *_: self.function)
        view: Any = SimpleNamespace(
            oracle=oracle, latest_round=lambda: max(self.rounds), posted=self.rounds.get
        )
        monkeypatch.setattr(module, "Sender", lambda *_: SimpleNamespace(simulate=self._simulate))
        self.transmitter = Transmitter(view, ACCOUNT, self.outbox)  # type: ignore[arg-type]

    def _simulate(self, _function: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return SimpleNamespace(gas=60_000)


class Errand:
    """To be brought until the test says that it is done."""

    def __init__(self, stage: Stage, subject: str) -> None:
        self._stage, self.subject, self.done = stage, subject, False

    def is_done(self) -> bool:
        return self.done

    def call(self) -> Any:
        return self._stage.function


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_it_is_sent_once_while_it_is_under_way_and_not_again_when_it_counts(stage: Stage) -> None:
    stage.transmitter.transmit(REPORT)
    stage.transmitter.transmit(REPORT)
    stage.transmitter.advance()
    stage.outbox.fate, stage.rounds[4] = FINAL, Round(REPORT.root, 2, False)
    stage.transmitter.advance()
    stage.transmitter.advance()
    assert stage.outbox.submitted == ["round 4"]


def test_what_was_dropped_is_sent_again(stage: Stage) -> None:
    stage.transmitter.transmit(REPORT)
    stage.outbox.fate = DROPPED
    stage.transmitter.advance()
    assert stage.outbox.submitted == ["round 4", "round 4"]


def test_what_was_paid_for_and_reverted_is_not(stage: Stage) -> None:
    stage.transmitter.transmit(REPORT)
    stage.outbox.fate = REVERTED
    stage.transmitter.advance()
    assert stage.outbox.submitted == ["round 4"]


def test_what_a_lagging_node_refuses_waits(stage: Stage) -> None:
    stage.refusal = ContractRefused("TelemetryOracle_WindowNotEnded", {}, "the window has not ended")
    stage.transmitter.transmit(REPORT)
    assert stage.outbox.submitted == []
    assert stage.transmitter.problem == "the window has not ended"
    stage.refusal = None
    stage.transmitter.advance()
    assert stage.outbox.submitted == ["round 4"]
    assert stage.transmitter.problem == ""


def test_a_successor_takes_the_place_of_what_never_got_there(stage: Stage) -> None:
    stage.transmitter.transmit(REPORT)
    stage.transmitter.transmit(REPORT._replace(round=5))
    stage.outbox.fate = DROPPED
    stage.transmitter.advance()
    stage.transmitter.transmit(REPORT)
    assert stage.outbox.submitted == ["round 4", "round 5"]


def test_what_goes_on_from_a_vetoed_round_is_not_sent(stage: Stage) -> None:
    """Its counters hold the vetoed ones."""
    stage.rounds[3] = Round(ROOT, 1, True)
    stage.transmitter.transmit(REPORT)
    stage.transmitter.advance()
    assert stage.outbox.submitted == []


def test_a_push_that_is_under_way_gives_way_to_a_report(stage: Stage) -> None:
    stage.transmitter.push(3, PART)
    stage.transmitter.transmit(REPORT)
    assert stage.outbox.submitted == [PUSH, "round 4"]
    assert stage.outbox.closed == [(PUSH, DROPPED)]


def test_so_does_one_that_an_earlier_process_left(stage: Stage) -> None:
    stage.outbox.submit(Call("0x", b"", 0, PUSH))
    stage.transmitter.transmit(REPORT)
    assert stage.outbox.submitted == [PUSH, "round 4"]


def test_nothing_is_pushed_while_anything_else_is_under_way_or_waits(stage: Stage) -> None:
    stage.transmitter.push(3, PART)
    stage.transmitter.push(3, PART)
    assert stage.outbox.submitted == [PUSH]
    assert not stage.transmitter.is_idle
    stage.outbox.fate = FINAL
    stage.transmitter.advance()
    assert stage.transmitter.is_idle
    stage.refusal = ContractRefused("TelemetryOracle_WindowNotEnded", {}, "the window has not ended")
    stage.transmitter.transmit(REPORT)
    stage.refusal = None
    stage.transmitter.push(3, PART)
    assert stage.outbox.submitted == [PUSH, "round 4"]


def test_a_push_that_reverts_stands_in_no_reports_way(stage: Stage) -> None:
    stage.transmitter.push(3, PART)
    stage.outbox.fate = REVERTED
    stage.transmitter.transmit(REPORT)
    assert stage.outbox.submitted == [PUSH, "round 4"]


def test_what_is_refused_is_not_pushed(stage: Stage) -> None:
    stage.refusal = ContractRefused("TelemetryOracle_RoundVetoed", {}, "round 3 was vetoed")
    with pytest.raises(ContractRefused, match="round 3 was vetoed"):
        stage.transmitter.push(3, PART)
    assert stage.transmitter.is_idle


def test_an_errand_too_gives_way_to_a_report_and_comes_after_it_if_it_is_given_again(stage: Stage) -> None:
    errand = Errand(stage, "scores")
    stage.transmitter.bring(errand)
    stage.transmitter.transmit(REPORT)
    assert stage.outbox.submitted == ["scores", "round 4"]
    stage.transmitter.bring(errand)
    assert not stage.transmitter.is_idle
    stage.outbox.fate, stage.rounds[4] = FINAL, Round(REPORT.root, 2, False)
    stage.transmitter.advance()
    assert stage.outbox.submitted == ["scores", "round 4", "scores"]


def test_an_errand_that_is_done_or_refused_is_not_sent_and_no_reports_refusal(stage: Stage) -> None:
    errand, done = Errand(stage, "scores"), Errand(stage, "others")
    done.done = True
    stage.refusal = ContractRefused("ReporterScores_RoundNotFinal", {}, "the round is not final")
    stage.transmitter.bring(errand)
    stage.refusal = None
    stage.transmitter.bring(done)
    stage.transmitter.advance()
    assert stage.outbox.submitted == []
    assert stage.transmitter.problem == ""
    for times in (1, 2):
        stage.transmitter.bring(errand)
        stage.outbox.fate = DROPPED
        stage.transmitter.advance()
        assert stage.outbox.submitted == ["scores"] * times

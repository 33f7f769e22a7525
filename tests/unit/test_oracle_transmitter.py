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

ACCOUNT = local_account("transmitter-0")
REPORT = StoredReport(4, 3, b"\x01" * 23, b"\x02" * 32, b"\x03" * 36, b"\x04" * 192, ACCOUNT.address)
ROOT = b"\x05" * 23


class StandInOutbox:
    """One entry at a time; the test decides what becomes of it."""

    def __init__(self) -> None:
        self.problem = ""
        self.submitted: list[str] = []
        self.open: Entry | None = None
        self.fate = ""

    def advance(self) -> UnderWay | Decision | None:
        if self.open is None:
            return None
        if not self.fate:
            return UnderWay(self.open, self.open.newest, mined=False)
        return Decision(self.open, self.fate, None, "")

    def close(self, _decision: Decision) -> None:
        self.open, self.fate = None, ""

    def submit(self, call: Call) -> None:
        assert self.open is None
        self.submitted.append(call.subject)
        signed = Signed(b"\x06" * 32, b"", Fees(1, 1), 0)
        self.open = Entry(len(self.submitted), 0, call, "open", [signed])


class Stage:
    """A transmitter between them and a chain of which the test says what it has and refuses."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.rounds = {3: Round(ROOT, 1, False)}
        self.refusal: ContractRefused | None = None
        self.outbox = StandInOutbox()
        function = SimpleNamespace(_encode_transaction_data=lambda: "0x00")
        oracle = SimpleNamespace(w3=None, address="0x" + "5f" * 20, report=lambda *_: function)
        view: Any = SimpleNamespace(
            oracle=oracle, latest_round=lambda: max(self.rounds), posted=self.rounds.get
        )
        monkeypatch.setattr(module, "Sender", lambda *_: SimpleNamespace(simulate=self._simulate))
        self.transmitter = Transmitter(view, ACCOUNT, self.outbox)  # type: ignore[arg-type]

    def _simulate(self, _function: Any) -> Any:
        if self.refusal is not None:
            raise self.refusal
        return SimpleNamespace(gas=60_000)


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

"""Brings agreed reports to the chain, and between them what else is agreed on: at most one in flight, none that the
chain has already. Blocking."""

from __future__ import annotations

import logging
import threading
from typing import Protocol

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from web3 import Web3
from web3.contract.contract import ContractFunction

from wellhead.chain.outbox.journal import DROPPED, FINAL, REVERTED, Call
from wellhead.chain.outbox.sender import Decision, Outbox
from wellhead.chain.revert import ContractRefused
from wellhead.chain.transact import Sender
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.store import StoredReport
from wellhead.reference.merkle import Branch
from wellhead.reference.record import ENTRY_BYTES

GAS_MARGIN_PERCENT = 25
# How the subjects of reports begin, in the journal too: what else an earlier process left is known by its lack.
_REPORT = "round "
_log = logging.getLogger(__name__)


class Errand(Protocol):
    """Something besides reports that is to come to the chain. Questions to the chain raise what web3 raises."""

    @property
    def subject(self) -> str:
        """What it is, for people."""

    def is_done(self) -> bool:
        """Whether the chain has it, or something that stands in its place."""

    def call(self) -> ContractFunction:
        """What is to be sent."""


class Transmitter:
    """The gas key. Any thread may call."""

    def __init__(self, view: ChainView, account: LocalAccount, outbox: Outbox) -> None:
        self._view, self._outbox, self._sender = view, outbox, Sender(view.oracle.w3, account)
        self._lock = threading.Lock()
        # The newest report that the chain does not have yet, as far as is known.
        self._waiting: StoredReport | None = None
        self._refusal = ""
        self._under_way = False
        self._errand: Errand | None = None

    @property
    def address(self) -> ChecksumAddress:
        """Who pays."""
        return self._sender.address

    @property
    def is_idle(self) -> bool:
        """Whether nothing was under way or waited when it was last looked after."""
        return self._waiting is None and not self._under_way

    @property
    def problem(self) -> str:
        """What stands in the way, for people; empty if nothing does."""
        return self._outbox.problem or self._refusal

    def balance_wei(self) -> int:
        """What is left for gas."""
        return int(self._view.oracle.w3.eth.get_balance(self._sender.address))

    def transmit(self, report: StoredReport) -> None:
        """Send it now, or when what is under way is decided; unless the chain has the round by then."""
        with self._lock:
            if self._waiting is None or self._waiting.round < report.round:
                self._waiting, self._refusal = report, ""
            self._advance()

    def bring(self, errand: Errand) -> None:
        """Send it once, when nothing is under way or waits, in place of an errand that was not sent yet; a report that
        comes later takes its place. Whoever gives it does so again while it is not done."""
        with self._lock:
            self._errand = errand
            self._advance()

    def advance(self) -> None:
        """Look after what is under way or waits. Raises what web3 and the database raise."""
        with self._lock:
            self._advance()

    def push(self, round_number: int, part: Branch) -> None:
        """Send a part of a reported round's records, if nothing is under way or waits; a report that comes later takes
        its place. Raises ContractRefused."""
        with self._lock:
            self._advance()
            if self.is_idle:
                subject = f"records of round {round_number}, of {len(part.entries) // ENTRY_BYTES} nodes"
                self._bring(self._view.oracle.push(round_number, *part), subject)

    def _advance(self) -> None:
        while isinstance(now := self._outbox.advance(), Decision):
            if now.state == FINAL:
                _log.info("%s counts, in block %s", now.entry.call.subject, now.block)
            else:
                _log.warning("%s %s: %s", now.entry.call.subject, now.state, now.reason)
            if now.state == REVERTED and self._is_of_waiting(now.entry.call):
                self._waiting = None  # it was paid for; the next round's report covers it too
            self._outbox.close(now)
        if now is not None and self._waiting is not None and not now.entry.call.subject.startswith(_REPORT):
            # The report goes first, on the same nonce. Is the push or errand mined all the same, no harm is done; is it
            # not, it is missing and given anew.
            self._outbox.close(Decision(now.entry, DROPPED, None, "a report takes its place"))
            now = None
        self._under_way = now is not None
        if now is None and self._waiting is not None:
            self._submit(self._waiting)
        if self.is_idle and self._errand is not None:
            errand, self._errand = self._errand, None
            try:
                if not errand.is_done():
                    self._bring(errand.call(), errand.subject)
            except ContractRefused as refused:
                _log.warning("%s: not taken: %s", errand.subject, refused)

    def _is_of_waiting(self, call: Call) -> bool:
        return self._waiting is not None and call.subject == _subject(self._waiting)

    def _submit(self, report: StoredReport) -> None:
        """It waits on until the chain has the round: what was dropped or refused may pass a moment later."""
        if self._view.latest_round() >= report.round:
            self._waiting, self._refusal = None, ""
            return
        before = self._view.posted(report.since) if report.since else None
        if before is not None and before.vetoed:
            _log.warning("round %s is not sent: round %s before it was vetoed", report.round, report.since)
            self._waiting = None
            return
        arguments = (report.round, report.root, report.evidence_hash, report.pushed, report.signatures)
        try:
            self._bring(self._view.oracle.report(*arguments), _subject(report))
            self._refusal = ""
        except (
            ContractRefused
        ) as refused:  # somebody was faster, the reporters have changed, or the node lags
            if self._refusal != str(refused):
                _log.warning("round %s is not taken: %s", report.round, refused)
            self._refusal = str(refused)

    def _bring(self, function: ContractFunction, subject: str) -> None:
        gas = self._sender.simulate(function).gas * (100 + GAS_MARGIN_PERCENT) // 100
        data = Web3.to_bytes(hexstr=function._encode_transaction_data())
        self._under_way = self._outbox.submit(Call(function.address, data, gas, subject)) is not None


def _subject(report: StoredReport) -> str:
    return f"{_REPORT}{report.round}"

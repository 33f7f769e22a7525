"""Brings agreed reports to the chain: at most one in flight, none that the chain has already. Blocking."""

from __future__ import annotations

import logging
import threading

from eth_account.signers.local import LocalAccount
from web3 import Web3

from wellhead.chain.outbox.journal import FINAL, REVERTED, Call
from wellhead.chain.outbox.sender import Decision, Outbox
from wellhead.chain.revert import ContractRefused
from wellhead.chain.transact import Sender
from wellhead.oracle.daemon.chain_view import ChainView
from wellhead.oracle.daemon.store import StoredReport

GAS_MARGIN_PERCENT = 25
_log = logging.getLogger(__name__)


class Transmitter:
    """The gas key. Any thread may call."""

    def __init__(self, view: ChainView, account: LocalAccount, outbox: Outbox) -> None:
        self._view, self._outbox, self._sender = view, outbox, Sender(view.oracle.w3, account)
        self._lock = threading.Lock()
        # The newest report that the chain does not have yet, as far as is known.
        self._waiting: StoredReport | None = None
        self._refusal = ""

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

    def advance(self) -> None:
        """Look after what is under way or waits. Raises what web3 and the database raise."""
        with self._lock:
            self._advance()

    def _advance(self) -> None:
        while isinstance(now := self._outbox.advance(), Decision):
            if now.state == FINAL:
                _log.info("%s counts, in block %s", now.entry.call.subject, now.block)
            else:
                _log.warning("%s %s: %s", now.entry.call.subject, now.state, now.reason)
            if now.state == REVERTED:
                self._waiting = None  # it was paid for; the next round's report covers it too
            self._outbox.close(now)
        if now is None and self._waiting is not None:
            self._submit(self._waiting)

    def _submit(self, report: StoredReport) -> None:
        """It waits on until the chain has the round: what was dropped or refused may pass a moment later."""
        oracle = self._view.oracle
        if self._view.latest_round() >= report.round:
            self._waiting, self._refusal = None, ""
            return
        before = self._view.posted(report.since) if report.since else None
        if before is not None and before.vetoed:
            _log.warning("round %s is not sent: round %s before it was vetoed", report.round, report.since)
            self._waiting = None
            return
        arguments = (report.round, report.root, report.evidence_hash, report.pushed, report.signatures)
        function = oracle.report(*arguments)
        try:
            gas = self._sender.simulate(function).gas * (100 + GAS_MARGIN_PERCENT) // 100
            data = Web3.to_bytes(hexstr=function._encode_transaction_data())
            self._outbox.submit(Call(oracle.address, data, gas, f"round {report.round}"))
            self._refusal = ""
        except (
            ContractRefused
        ) as refused:  # somebody was faster, the reporters have changed, or the node lags
            if self._refusal != str(refused):
                _log.warning("round %s is not taken: %s", report.round, refused)
            self._refusal = str(refused)

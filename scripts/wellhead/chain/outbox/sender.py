"""One call at a time, from its signature until the chain can no longer take it back.

Written down first, then sent: whenever the process dies, the next one finds what may be on its way, looks at the
chain, and goes on with the same bytes. Every transaction of an entry has the same nonce, so at most one of them is
mined.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.types import TxReceipt

from wellhead.chain.local import chain_time
from wellhead.chain.outbox.account import Found, PayingAccount
from wellhead.chain.outbox.fees import Fees, raised_fees
from wellhead.chain.outbox.journal import (
    DROPPED,
    FINAL,
    REVERTED,
    Beside,
    Call,
    Entry,
    OutboxJournal,
    Signed,
    nothing_beside,
)
from wellhead.chain.outbox.policy import SendingPolicy
from wellhead.chain.outbox.verdict import Mined, Sight, Verdict, is_behind, judge
from wellhead.chain.revert import ContractRefused
from wellhead.errors import Refused

_log = logging.getLogger(__name__)


class UnderWay(NamedTuple):
    """An entry that the chain has not decided about for good, and the transaction that stands for it now."""

    entry: Entry
    signed: Signed
    mined: bool

    @property
    def transaction(self) -> str:
        """Its hash, 0x-prefixed."""
        return Web3.to_hex(self.signed.hash)


class Decision(NamedTuple):
    """What became of an entry: `state` is FINAL, REVERTED or DROPPED."""

    entry: Entry
    state: str
    # None if it was dropped.
    receipt: TxReceipt | None
    # Why it is no success, for people; empty if it is one.
    reason: str

    @property
    def block(self) -> int | None:
        """The block that decided, if one did."""
        return None if self.receipt is None else self.receipt["blockNumber"]


class Outbox:
    """What one account sends. Nothing else may use its key. Not for use by several threads at once.

    Whoever uses it calls `advance` again and again, acts on each decision and then closes it:

        while isinstance(now := outbox.advance(), Decision):
            act(now)
            outbox.close(now)

    A process that dies before it closes is told the same again; and what was final may be told again, as final or as
    dropped, after a reorganisation. So acting twice must do no harm.
    """

    def __init__(
        self,
        w3: Web3,
        account: LocalAccount,
        journal: OutboxJournal,
        policy: SendingPolicy,
        clock: Callable[[], float],
    ) -> None:
        """`journal` is the account's on this chain; `clock` tells seconds, the journal's too."""
        self._w3, self._journal, self._policy, self._clock = w3, journal, policy, clock
        self._account = PayingAccount(w3, account, policy.max_fee_wei, clock)
        # What an earlier process signed gets its patience anew, so that its own bytes go out first.
        self._patient_since = clock()
        # What stands in the way, for people; empty if nothing does.
        self.problem = ""

    def is_open(self, subject: str) -> bool:
        """Whether something with this subject is not decided yet. Reads the journal alone."""
        return self._journal.is_open(subject)

    # A new call -------------------------------------------------------------------------------------

    def submit(self, call: Call, beside: Beside = nothing_beside) -> UnderWay | None:
        """Sign, write down and send; None if it cannot be paid for now, and `problem` says why.

        `beside` writes what belongs to it in the same database transaction. Raises ContractRefused if it would revert,
        Refused while another call is open, and what the journal's guard or the database raises: nothing was sent then.
        """
        self._account.try_out(call)
        nonce = self._account.used("latest")
        before = self._journal.signed_at(nonce)
        if before:  # something of ours may still wait with this nonce: outbid it
            fees = self._outbidding(before)
        else:
            nonce, fees = self._account.used("pending"), self._account.suggested_fees()
        if fees is None:
            self._complain(f"nonce {nonce} waits at the highest fee allowed, {self._policy.max_fee_wei} wei")
            return None
        needed, has = call.gas * fees.max_fee_wei, self._account.balance_wei()
        if has < needed:
            self._complain(
                f"{self._account.address} has {has} wei for gas, {call.subject} needs up to {needed}: fund it"
            )
            return None
        signed = self._account.sign(nonce, call, fees)
        entry = self._journal.open(nonce, call, signed, beside)
        self._send(signed)
        _log.info("%s: transaction %s, nonce %s", call.subject, Web3.to_hex(signed.hash), nonce)
        return UnderWay(entry, signed, mined=False)

    def _outbidding(self, before: list[Signed]) -> Fees | None:
        wanted = self._account.suggested_fees()
        highest = Fees(*map(max, zip(*(one.fees for one in before), strict=True)))
        fees = raised_fees(highest, wanted, self._policy.max_fee_wei)
        if fees is None and not any(self._account.knows(one) for one in before):
            return wanted  # at the highest fee allowed it was forgotten: nothing is left to outbid
        return fees

    # What is under way ------------------------------------------------------------------------------

    def advance(self) -> UnderWay | Decision | None:
        """Do what is needed now; what is under way then, or what was decided, or None if there is nothing.

        Raises what web3 raises when the node does not answer, and Refused when it is far behind what was seen before;
        then nothing was decided.
        """
        head = int(self._w3.eth.block_number)
        self._refuse_behind(head)
        used = self._account.used("latest")
        entry = self._lowest(head, used)
        if entry is None:
            return None
        found = self._account.mined(entry.transactions)
        verdict = judge(entry.nonce, self._sight(entry, head, used, found), self._policy.confirmations)
        return self._follow(entry, found, verdict)

    def close(self, decision: Decision) -> None:
        """It was acted on. Until then `advance` goes on telling it."""
        self._journal.close(decision.entry, decision.state, decision.block)

    def _refuse_behind(self, head: int) -> None:
        newest = self._journal.newest_block()
        if is_behind(head, newest, self._policy.watched_blocks):
            self._complain(
                f"the node is at block {head}, but {self._account.address} had something in block {newest}: it lags, "
                "or it is another chain, which needs a journal of its own"
            )
            raise Refused(self.problem)

    def _lowest(self, head: int, used: int) -> Entry | None:
        """The entry whose turn it is. What counted and that the chain has taken back is open again."""
        entries = self._journal.open_entries()
        for final in self._journal.final_since(head - self._policy.watched_blocks):
            # Its receipt is asked for if its nonce is free again, or while nothing else is to be done.
            doubtful = final.nonce >= used or not entries
            if doubtful and self._account.mined(final.transactions) is None:
                _log.warning("%s is no longer in the chain: bringing it again", final.call.subject)
                self._journal.reopen(final)
                self._patient_since = self._clock()
                entries.append(final)
        return min(entries, key=lambda entry: entry.nonce, default=None)

    def _sight(self, entry: Entry, head: int, used: int, found: Found | None) -> Sight:
        """Further questions only where the answer matters."""
        mined, used_for_good, used_soon = None, used, used
        if found is not None:
            mined = Mined(found.receipt["blockNumber"], found.receipt["status"] == 1)
        elif used > entry.nonce:
            used_for_good = self._account.used(max(0, head - self._policy.confirmations + 1))
        elif used < entry.nonce:
            used_soon = self._account.used("pending")
        return Sight(head, mined, used, used_for_good, used_soon)

    def _follow(self, entry: Entry, found: Found | None, verdict: Verdict) -> UnderWay | Decision:
        if found is not None and verdict is Verdict.FINAL:
            self.problem = ""
            return Decision(entry, FINAL, found.receipt, "")
        if found is not None and verdict is Verdict.REVERTED:
            self._complain(
                f"transaction {Web3.to_hex(found.transaction.hash)} reverted: the chain moved before it"
            )
            return Decision(entry, REVERTED, found.receipt, self.problem)
        if verdict is Verdict.OUTRUN:
            return Decision(entry, DROPPED, None, self._who_outran(entry))
        if verdict is Verdict.STRANDED:
            return Decision(entry, DROPPED, None, f"nothing came at the nonce before its own, {entry.nonce}")
        if verdict is Verdict.PUSH:
            return self._push(entry)
        return UnderWay(entry, found.transaction if found else entry.newest, mined=found is not None)

    def _who_outran(self, entry: Entry) -> str:
        if self._account.mined(self._journal.signed_at(entry.nonce)) is not None:
            return f"an earlier transaction of nonce {entry.nonce} was mined in its place"
        self._complain(
            f"nonce {entry.nonce} of {self._account.address} was used elsewhere: "
            "give this account a key that nothing else uses"
        )
        return self.problem

    def _push(self, entry: Entry) -> UnderWay | Decision:
        """Its turn has come and it is not mined: send it again if it got lost, with a higher fee if it is stuck."""
        try:
            self._account.try_out(entry.call)
        except ContractRefused as refused:
            # If it was mined since we looked, it stands in its own way.
            if self._account.used("latest") > entry.nonce or self._account.mined(entry.transactions):
                return UnderWay(entry, entry.newest, mined=False)
            return Decision(entry, DROPPED, None, f"it would revert by now: {refused}")
        raised = self._raise_fee(entry) if self._is_stuck(entry) else entry
        if raised is None:
            refusal = "" if self._account.knows(entry.newest) else self._account.send(entry.newest)
            most = entry.newest.fees.max_fee_wei
            self._complain(
                f"nonce {entry.nonce} is not mined at the highest fee allowed, {most} wei"
                + (f", and the node does not take it: {refusal}" if refusal else "")
            )
            return UnderWay(entry, entry.newest, mined=False)
        entry = raised
        if not self._account.knows(entry.newest):
            self._send(entry.newest)
        return UnderWay(entry, entry.newest, mined=False)

    def _is_stuck(self, entry: Entry) -> bool:
        waited = self._clock() - max(entry.newest.signed_at, self._patient_since)
        urgent_at = entry.call.urgent_at
        urgent = urgent_at is not None and chain_time(self._w3) >= urgent_at
        return self._policy.is_stuck(waited, urgent=urgent)

    def _raise_fee(self, entry: Entry) -> Entry | None:
        """None if what is paid for it must not rise any more."""
        fees = raised_fees(entry.newest.fees, self._account.suggested_fees(), self._policy.max_fee_wei)
        if fees is None:
            return None
        signed = self._account.sign(entry.nonce, entry.call, fees)
        _log.warning("nonce %s is stuck: %s takes its place", entry.nonce, Web3.to_hex(signed.hash))
        return self._journal.replace(entry, signed)

    def _send(self, signed: Signed) -> None:
        refusal = self._account.send(signed)
        if refusal:
            self._complain(f"the node does not take {Web3.to_hex(signed.hash)}: {refusal}")
        else:
            self.problem = ""

    def _complain(self, problem: str) -> None:
        """Once per problem in the log, and for whoever asks."""
        if problem != self.problem:
            _log.error("%s", problem)
        self.problem = problem

"""A NodeShare's books: who holds what, what they have earned, and where every atomic unit is.

Each step returns the share after it. A step that the contract would revert raises ShareRefusedError; rules that
concern no money (eligibility, freezing, roles) are the contract's alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import IntEnum

from wellhead.reference.reservoir import MAX_ACCOUNTED_USD6, Reservoir

BPS = 10_000
SYNC_QUANTUM_USD6 = 10_000
MIN_SUPPLY_UNITS = 10**6
MAX_SUPPLY_UNITS = 1 << 48


class ShareRefusedError(Exception):
    """The contract would revert."""


class Phase(IntEnum):
    """INodeShare.Phase."""

    SALE = 0
    LIVE = 1
    FAILED = 2


@dataclass(frozen=True)
class Account:
    """One slot of a NodeShare, without its flags."""

    balance_units: int = 0
    accrued_x16: int = 0
    index_x48: int = 0

    def accrue_down(self, index_x48: int) -> Account:
        """What the balance has earned since the account's own index is added."""
        earned_x16 = self.balance_units * (index_x48 - self.index_x48) >> 32
        return replace(self, accrued_x16=self.accrued_x16 + earned_x16, index_x48=index_x48)


@dataclass(frozen=True)
class Share:
    """`balance_usd6` is what the stablecoin says the share holds; everything else is the share's own state."""

    tau_seconds: int
    operator_cut_bps: int
    protocol_cut_bps: int
    phase: Phase = Phase.SALE
    supply_units: int = 0
    operator_credit_usd6: int = 0
    protocol_credit_usd6: int = 0
    balance_usd6: int = 0
    reservoir: Reservoir = field(default_factory=Reservoir)
    accounts: Mapping[str, Account] = field(default_factory=dict)

    def account(self, name: str) -> Account:
        """An account never heard of is empty."""
        return self.accounts.get(name, Account())

    def index_at(self, time: int) -> int:
        """Zero before the share is live."""
        return self.reservoir.index_at(time, self.tau_seconds)

    def claimable_usd6(self, name: str, time: int) -> int:
        """What `name` could claim at `time`."""
        return self.account(name).accrue_down(self.index_at(time)).accrued_x16 >> 16

    def unsynced_usd6(self) -> int:
        """Stablecoins that no sync has accounted for."""
        return max(0, self.balance_usd6 - self.reservoir.accounted_usd6)

    # Shares -------------------------------------------------------------------------------------------

    def mint(self, to: str, units: int) -> Share:
        """New shares, before the share is live."""
        supply = self.supply_units + units
        if self.phase != Phase.SALE or supply > MAX_SUPPLY_UNITS:
            raise ShareRefusedError("mint")
        holder = self.account(to)
        holder = replace(holder, balance_units=holder.balance_units + units)
        return replace(self, supply_units=supply, accounts={**self.accounts, to: holder})

    def go_live(self, time: int) -> Share:
        """Sale -> Live."""
        if self.phase != Phase.SALE or self.supply_units < MIN_SUPPLY_UNITS:
            raise ShareRefusedError("go live")
        return replace(self, phase=Phase.LIVE, reservoir=self.reservoir.checkpoint(time, self.tau_seconds))

    def fail(self) -> Share:
        """Sale -> Failed."""
        if self.phase != Phase.SALE:
            raise ShareRefusedError("fail")
        return replace(self, phase=Phase.FAILED)

    def transfer(self, sender: str, to: str, units: int, time: int) -> Share:
        """Moves shares; what they have earned so far stays with the sender."""
        if self.phase != Phase.LIVE or units > self.account(sender).balance_units:
            raise ShareRefusedError("transfer")
        if units == 0 or sender == to:
            return self
        index = self.index_at(time)
        giver, taker = self.account(sender).accrue_down(index), self.account(to).accrue_down(index)
        moved = {
            sender: replace(giver, balance_units=giver.balance_units - units),
            to: replace(taker, balance_units=taker.balance_units + units),
        }
        return replace(self, accounts={**self.accounts, **moved})

    def burn(self, holder: str, units: int, time: int) -> Share:
        """What the burned shares have earned stays claimable, what is not released goes to the others."""
        if units > self.account(holder).balance_units:
            raise ShareRefusedError("burn")
        supply = self.supply_units - units
        reservoir = self.reservoir
        if self.phase == Phase.LIVE:
            reservoir = reservoir.checkpoint(time, self.tau_seconds)
            reservoir, _ = reservoir.respread_down(self.supply_units, supply)
        account = self.account(holder).accrue_down(reservoir.index_x48)
        account = replace(account, balance_units=account.balance_units - units)
        return replace(
            self, supply_units=supply, reservoir=reservoir, accounts={**self.accounts, holder: account}
        )

    # Income -------------------------------------------------------------------------------------------

    def receive(self, amount_usd6: int) -> Share:
        """Stablecoins arrive."""
        return replace(self, balance_usd6=self.balance_usd6 + amount_usd6)

    def sync(self, time: int) -> tuple[Share, int]:
        """New stablecoins are accounted for; also how many."""
        if self.phase == Phase.SALE:
            return self, 0
        reservoir = self.reservoir
        fresh = min(self.unsynced_usd6(), MAX_ACCOUNTED_USD6 - reservoir.accounted_usd6)
        if self.phase == Phase.FAILED or self.supply_units == 0:
            synced = operator = fresh
            protocol = 0
        else:
            reservoir = reservoir.checkpoint(time, self.tau_seconds)
            quanta = fresh // SYNC_QUANTUM_USD6
            holders_bps = BPS - self.operator_cut_bps - self.protocol_cut_bps
            room = reservoir.room_usd6_down(self.supply_units)
            if quanta == 0:
                return self, 0
            if holders_bps > room:  # not a cent fits any more
                synced = operator = quanta * SYNC_QUANTUM_USD6
                protocol = 0
            else:
                if quanta * holders_bps > room:
                    quanta = room // holders_bps
                synced = quanta * SYNC_QUANTUM_USD6
                operator = quanta * self.operator_cut_bps
                protocol = quanta * self.protocol_cut_bps
                reservoir = reservoir.absorb_down(quanta * holders_bps, self.supply_units)
        if synced == 0:
            return self, 0
        after = replace(
            self,
            reservoir=replace(reservoir, accounted_usd6=reservoir.accounted_usd6 + synced),
            operator_credit_usd6=self.operator_credit_usd6 + operator,
            protocol_credit_usd6=self.protocol_credit_usd6 + protocol,
        )
        return after, synced

    def claim(self, name: str, time: int) -> tuple[Share, int]:
        """Whole atomic units are paid, the fraction stays accrued; also how many."""
        account = self.account(name).accrue_down(self.index_at(time))
        paid = account.accrued_x16 >> 16
        if paid == 0:
            raise ShareRefusedError("nothing to claim")
        account = replace(account, accrued_x16=account.accrued_x16 & 0xFFFF)
        return replace(self._pay(paid), accounts={**self.accounts, name: account}), paid

    def claim_operator_credit(self) -> tuple[Share, int]:
        """The operator's cuts are paid; also how much."""
        paid = self.operator_credit_usd6
        if paid == 0:
            raise ShareRefusedError("nothing to claim")
        return replace(self._pay(paid), operator_credit_usd6=0), paid

    def claim_protocol_credit(self) -> tuple[Share, int]:
        """The protocol's cuts are paid; also how much."""
        paid = self.protocol_credit_usd6
        if paid == 0:
            raise ShareRefusedError("nothing to claim")
        return replace(self._pay(paid), protocol_credit_usd6=0), paid

    def _pay(self, amount_usd6: int) -> Share:
        reservoir = replace(self.reservoir, accounted_usd6=self.reservoir.accounted_usd6 - amount_usd6)
        return replace(self, balance_usd6=self.balance_usd6 - amount_usd6, reservoir=reservoir)

    def dust_x48(self) -> int:
        """Accounted for and owed to nobody, atomic units scaled by 2^48: what floors have left behind.

        Never negative. Grows by less than 2^48 per sync, 2 * 2^48 per burn, and 2^32 each time that an account
        accrues; never with time alone.
        """
        reservoir = self.reservoir
        owed = reservoir.pending_x48 * self.supply_units
        owed += self.operator_credit_usd6 + self.protocol_credit_usd6 << 48
        for account in self.accounts.values():
            owed += account.accrued_x16 << 32
            owed += account.balance_units * (reservoir.index_x48 - account.index_x48)
        return (reservoir.accounted_usd6 << 48) - owed

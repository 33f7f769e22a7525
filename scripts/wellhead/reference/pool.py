"""A pool of nodes in integers: what ComputePool and PoolReservoir compute on-chain, equal to the unit.

Money is atomic stablecoin units (usd6), work is tokens (units), time is seconds since the epoch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from wellhead.reference.exp_decay import released_x64_down
from wellhead.reference.offering import RefusedError
from wellhead.reference.pool_receipt import Receipt

MAX_ACCOUNTED_USD6 = (1 << 64) - 1
STAYING = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Schedule:
    """A pool's terms. Period p, counted from 1, is [start + (p - 1) * period_seconds, start + p * period_seconds)."""

    start: int
    period_seconds: int
    tau_seconds: int
    wait_seconds: int

    @property
    def whole_x64(self) -> int:
        """What drains in a whole period, scaled by 2^64, rounded down."""
        return released_x64_down(self.period_seconds, self.tau_seconds)

    def rest_x64(self, time: int) -> int:
        """What drains from `time` to the end of its period, scaled by 2^64, rounded down."""
        period = self.period_at(time)
        if period == 0:
            return self.whole_x64
        return released_x64_down(self.end_of(period) - time, self.tau_seconds)

    def period_at(self, time: int) -> int:
        """The period of `time`; 0 before the first."""
        return 0 if time < self.start else (time - self.start) // self.period_seconds + 1

    def end_of(self, period: int) -> int:
        return self.start + period * self.period_seconds

    def distributable_at(self, period: int) -> int:
        return self.end_of(period) + self.wait_seconds


@dataclass(frozen=True, slots=True)
class Flow:
    """PoolFlow: money that no period has released yet."""

    accounted_usd6: int = 0
    level_usd6: int = 0
    fresh_usd6: int = 0
    period: int = 0
    open_period: int = 0
    unripe_usd6: int = 0
    unripe_before_usd6: int = 0

    def enter(self, period: int) -> Flow:
        """Moved on to `period`."""
        if period == self.period:
            return self
        before = self.unripe_usd6 if period == self.period + 1 else 0
        return replace(self, period=period, fresh_usd6=0, unripe_usd6=0, unripe_before_usd6=before)

    def absorb_up(self, amount_usd6: int, whole_x64: int, rest_x64: int) -> Flow:
        """Money came in when `rest_x64` of it would drain until the period's end; unripe is rounded up."""
        return replace(
            self,
            accounted_usd6=self.accounted_usd6 + amount_usd6,
            level_usd6=self.level_usd6 + amount_usd6,
            fresh_usd6=self.fresh_usd6 + amount_usd6,
            unripe_usd6=self.unripe_usd6 - (-amount_usd6 * (whole_x64 - rest_x64) >> 64),
        )

    def released_down(self, whole_x64: int) -> int:
        """What the period before `period` releases if it has work."""
        whole = (self.level_usd6 - self.fresh_usd6) * whole_x64 >> 64
        return max(0, whole - self.unripe_before_usd6)


@dataclass(frozen=True, slots=True)
class PeriodBook:
    """PoolPeriod: what is left of a period for those whose shares are not set apart."""

    left_usd6: int = 0
    left_work_units: int = 0


@dataclass(frozen=True, slots=True)
class Account:
    """PoolAccount: a node's work and money."""

    period: int = 0
    work_units: int = 0
    owed_usd6: int = 0
    counted_to_units: int = 0
    gateway_count: int = 0


@dataclass(frozen=True, slots=True)
class Membership:
    """PoolMembership without the share: a member from `first_period` up to, not including, `end_period`."""

    first_period: int = 0
    end_period: int = 0
    admitted: bool = False

    def covers(self, period: int) -> bool:
        return self.first_period <= period < self.end_period


@dataclass(frozen=True, slots=True)
class Pool:
    """A pool's state and the steps between them; each step gives the next pool, or raises RefusedError."""

    schedule: Schedule
    flow: Flow = Flow()
    gateway_count: int = 1
    periods: Mapping[int, PeriodBook] = field(default_factory=dict)
    accounts: Mapping[int, Account] = field(default_factory=dict)
    memberships: Mapping[int, Membership] = field(default_factory=dict)

    # Members --------------------------------------------------------------------------------------------

    def membership(self, node: int) -> Membership:
        return self.memberships.get(node, Membership())

    def admit(self, node: int) -> Pool:
        return self._with_membership(node, replace(self.membership(node), admitted=True))

    def dismiss(self, node: int, time: int) -> Pool:
        """The owner's: out from the next period on, and not admitted."""
        held = self.membership(node)
        if not held.admitted:
            raise RefusedError("ComputePool_NotAdmitted", node)
        end = self.schedule.period_at(time) + 1 if held.end_period == STAYING else held.end_period
        return self._with_membership(node, replace(held, admitted=False, end_period=end))

    def join(self, node: int, time: int) -> Pool:
        """The operator's, of a node that is fit for the pool: in from the next period on."""
        held, following = self.membership(node), self.schedule.period_at(time) + 1
        if not held.admitted:
            raise RefusedError("ComputePool_NotAdmitted", node)
        if held.end_period == STAYING:
            raise RefusedError("ComputePool_AlreadyMember", node)
        if held.end_period and following <= held.end_period + 1:
            raise RefusedError("ComputePool_StillLeaving", node, held.end_period)
        return self._with_membership(node, Membership(following, STAYING, admitted=True))

    def resign(self, node: int, time: int) -> Pool:
        """The operator's: out from the next period on."""
        held = self.membership(node)
        if held.end_period != STAYING:
            raise RefusedError("ComputePool_NotMember", node)
        end = self.schedule.period_at(time) + 1
        return self._with_membership(node, replace(held, end_period=end))

    def set_gateway(self) -> Pool:
        return replace(self, gateway_count=self.gateway_count + 1)

    # Money and work -------------------------------------------------------------------------------------

    def sync(self, balance_usd6: int, time: int) -> tuple[Pool, int]:
        """The pool once what is new of its balance is accounted for, and how much that was."""
        fresh = min(balance_usd6, MAX_ACCOUNTED_USD6) - self.flow.accounted_usd6
        if fresh <= 0:
            return self, 0
        entered = self.flow.enter(self.schedule.period_at(time))
        flow = entered.absorb_up(fresh, self.schedule.whole_x64, self.schedule.rest_x64(time))
        return replace(self, flow=flow), fresh

    def record(self, receipt: Receipt, served_units: int, time: int) -> tuple[Pool, int]:
        """The pool once the node's work of the period is recorded, and how much that is."""
        node, period, billed_from, billed_to = receipt
        start, until = self.schedule.end_of(period), self.schedule.distributable_at(period)
        if period == 0 or not start <= time < until:
            raise RefusedError("ComputePool_NotCollecting", period, start, until)
        if not self.membership(node).covers(period):
            raise RefusedError("ComputePool_NotMemberIn", node, period)
        account = self.accounts.get(node, Account())
        recorded = account.work_units if account.period == period else 0
        if billed_to < billed_from:
            raise RefusedError("ComputePool_BilledWentBack", node, billed_from, billed_to)
        if account.gateway_count == self.gateway_count:
            counted = account.counted_to_units - recorded
            if billed_from < counted:
                raise RefusedError("ComputePool_BilledTwice", node, billed_from, counted)
        work = min(served_units, billed_to - billed_from)
        if work <= recorded:
            raise RefusedError("ComputePool_NothingMore", node, period, work, recorded)
        pool = self if self.flow.open_period == period else self._opened(period)
        if account.period != period:
            pool, account = pool._set_apart(account)
        book = pool.periods.get(period, PeriodBook())
        book = replace(book, left_work_units=book.left_work_units + work - recorded)
        account = Account(period, work, account.owed_usd6, billed_from + work, self.gateway_count)
        return pool._with_book(period, book)._with_account(node, account), work

    def distribute(self, period: int, time: int) -> tuple[Pool, int]:
        """The pool once `period` is distributed, and what it released."""
        if time < self.schedule.distributable_at(period):
            raise RefusedError("ComputePool_StillCollecting", period, self.schedule.distributable_at(period))
        if period == 0 or self.flow.open_period != period:
            return self, 0
        return self._distributed(), self.periods[period].left_usd6

    def claim(self, node: int) -> tuple[Pool, int]:
        """The pool once the node's share is paid what it is owed, and how much that was."""
        account = self.accounts.get(node, Account())
        pool = self
        if account.period != self.flow.open_period:
            pool, account = self._set_apart(account)
        paid = account.owed_usd6
        if paid == 0:
            raise RefusedError("ComputePool_NothingToClaim", node)
        flow = replace(pool.flow, accounted_usd6=pool.flow.accounted_usd6 - paid)
        return replace(pool._with_account(node, replace(account, owed_usd6=0)), flow=flow), paid

    def claimable_usd6(self, node: int) -> int:
        """What `claim` would pay now."""
        try:
            return self.claim(node)[1]
        except RefusedError:
            return 0

    # Parts of steps -------------------------------------------------------------------------------------

    def _opened(self, period: int) -> Pool:
        pool = self._distributed() if self.flow.open_period else self
        released = pool.flow.enter(period + 1).released_down(self.schedule.whole_x64)
        opened = replace(pool, flow=replace(pool.flow, open_period=period))
        return opened._with_book(period, PeriodBook(released))

    def _distributed(self) -> Pool:
        released = self.periods[self.flow.open_period].left_usd6
        return replace(
            self, flow=replace(self.flow, level_usd6=self.flow.level_usd6 - released, open_period=0)
        )

    def _set_apart(self, account: Account) -> tuple[Pool, Account]:
        if account.work_units == 0:
            return self, account
        book = self.periods[account.period]
        earned = book.left_usd6 * account.work_units // book.left_work_units
        left = PeriodBook(book.left_usd6 - earned, book.left_work_units - account.work_units)
        account_then = replace(account, work_units=0, owed_usd6=account.owed_usd6 + earned)
        return self._with_book(account.period, left), account_then

    def _with_membership(self, node: int, membership: Membership) -> Pool:
        return replace(self, memberships={**self.memberships, node: membership})

    def _with_account(self, node: int, account: Account) -> Pool:
        return replace(self, accounts={**self.accounts, node: account})

    def _with_book(self, period: int, book: PeriodBook) -> Pool:
        return replace(self, periods={**self.periods, period: book})

"""Income that drains to the holders of shares: the integers of Reservoir.sol."""

from __future__ import annotations

from dataclasses import dataclass, replace

from wellhead.reference.exp_decay import released_x64_down

MAX_PER_UNIT_X48 = (1 << 80) - 1
MAX_ACCOUNTED_USD6 = (1 << 56) - 1
LAST_TIME = (1 << 32) - 1


@dataclass(frozen=True)
class Reservoir:
    """One slot of a NodeShare; `updated_at` is 0 until the share is live."""

    accounted_usd6: int = 0
    updated_at: int = 0
    pending_x48: int = 0
    index_x48: int = 0

    def released_x48_down(self, time: int, tau_seconds: int) -> int:
        """What has drained of `pending_x48` by `time`, not before `updated_at`."""
        return (self.pending_x48 * released_x64_down(time - self.updated_at, tau_seconds)) >> 64

    def index_at(self, time: int, tau_seconds: int) -> int:
        """Income released per share unit by `time`, atomic stablecoin units scaled by 2^48."""
        return self.index_x48 + self.released_x48_down(time, tau_seconds)

    def rate_usd6_per_day(self, supply_units: int, time: int, tau_seconds: int) -> int:
        """What the holders of `supply_units` earn per day at the rate of `time`, rounded down. For display."""
        pending = self.pending_x48 - self.released_x48_down(time, tau_seconds)
        return (pending * supply_units * 86_400 // tau_seconds) >> 48

    def checkpoint(self, time: int, tau_seconds: int) -> Reservoir:
        """What has drained is moved into the index."""
        released = self.released_x48_down(time, tau_seconds)
        return replace(
            self,
            updated_at=min(time, LAST_TIME),
            pending_x48=self.pending_x48 - released,
            index_x48=self.index_x48 + released,
        )

    def room_usd6_down(self, supply_units: int) -> int:
        """The most income that `absorb_down` can spread over `supply_units`."""
        return ((MAX_PER_UNIT_X48 - self.pending_x48 - self.index_x48) * supply_units) >> 48

    def absorb_down(self, holders_usd6: int, supply_units: int) -> Reservoir:
        """Income is spread over the shares; less than one atomic unit of it becomes dust."""
        return replace(self, pending_x48=self.pending_x48 + (holders_usd6 << 48) // supply_units)

    def respread_down(self, old_supply_units: int, new_supply_units: int) -> tuple[Reservoir, int]:
        """What is pending is spread over fewer shares; also what no longer fits and is accounted for no more."""
        unreleased_x48 = self.pending_x48 * old_supply_units
        per_unit_x48 = unreleased_x48 // new_supply_units if new_supply_units else 0
        per_unit_x48 = min(per_unit_x48, MAX_PER_UNIT_X48 - self.index_x48)
        excess_usd6 = (unreleased_x48 - per_unit_x48 * new_supply_units) >> 48
        accounted_usd6 = self.accounted_usd6 - excess_usd6
        return replace(self, accounted_usd6=accounted_usd6, pending_x48=per_unit_x48), excess_usd6

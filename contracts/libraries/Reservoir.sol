// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PENDING_SHIFT, ReservoirWord, packReservoir} from "../types/ReservoirWord.sol";
import {ExpDecay} from "./ExpDecay.sol";

/// @notice Income that drains to the holders of shares, exponentially, counted per share unit.
///
/// Two bounds keep every sum inside its field: `pendingX48 + indexX48` and `accountedUsd6` never pass
/// `MAX_PER_UNIT_X48` and `MAX_ACCOUNTED_USD6`. And one law keeps it solvent: what is pending for all share
/// units together, `pendingX48 * supply`, is never more than the income put in, because it is floored.
library Reservoir {
    /// Lifetime income per share unit: 2^32 atomic stablecoin units, so $4.29 billion per whole share.
    uint256 internal constant MAX_PER_UNIT_X48 = type(uint80).max;
    /// So that what one account has accrued, at most all of it, fits 72 bits when scaled by 2^16.
    uint256 internal constant MAX_ACCOUNTED_USD6 = type(uint56).max;

    using Reservoir for ReservoirWord;

    /// @notice The index at `time`, not before `updatedAt`. Never falls as time goes on.
    function indexAt(ReservoirWord self, uint256 time, uint256 tauSeconds) internal pure returns (uint256) {
        // Unchecked: at most MAX_PER_UNIT_X48.
        unchecked {
            return self.indexX48() + self.releasedX48Down(time, tauSeconds);
        }
    }

    /// @notice What has drained of `pendingX48` by `time`. Rounded down: the rest stays pending.
    function releasedX48Down(ReservoirWord self, uint256 time, uint256 tauSeconds)
        internal
        pure
        returns (uint256)
    {
        // Unchecked: time has not gone back since `updatedAt`; 80 bits times at most 2^64.
        unchecked {
            return (self.pendingX48() * ExpDecay.releasedX64Down(time - self.updatedAt(), tauSeconds)) >> 64;
        }
    }

    /// @notice Moves what has drained into the index. With nothing pending it only starts the clock.
    function checkpoint(ReservoirWord self, uint256 time, uint256 tauSeconds)
        internal
        pure
        returns (ReservoirWord)
    {
        uint256 released = self.releasedX48Down(time, tauSeconds);
        // The clock stands still at 2^32 - 1 (February 2106): from then on income drains faster, never wrongly.
        if (time > type(uint32).max) time = type(uint32).max;
        // Unchecked: the fraction released is at most one, and the sum of both fields does not change.
        unchecked {
            return packReservoir(
                self.accountedUsd6(), time, self.pendingX48() - released, self.indexX48() + released
            );
        }
    }

    /// @notice The most income that still fits, in atomic stablecoin units for all holders together. Rounded
    /// down, so that `absorbDown` stays inside the bound.
    function roomUsd6Down(ReservoirWord self, uint256 supplyUnits) internal pure returns (uint256) {
        // Unchecked: pending + index <= MAX_PER_UNIT_X48; 80 bits times 49.
        unchecked {
            return ((MAX_PER_UNIT_X48 - self.pendingX48() - self.indexX48()) * supplyUnits) >> 48;
        }
    }

    /// @notice Spreads `holdersUsd6` over `supplyUnits`, after `checkpoint`. Rounded down: less than one
    /// atomic unit for all holders together stays behind as dust.
    /// @param holdersUsd6 At most `roomUsd6Down(supplyUnits)`.
    /// @param supplyUnits 1 to 2^48.
    function absorbDown(ReservoirWord self, uint256 holdersUsd6, uint256 supplyUnits)
        internal
        pure
        returns (ReservoirWord)
    {
        // Unchecked: (room * supply / 2^48) * 2^48 / supply <= room, so the field never carries.
        unchecked {
            uint256 perUnitX48 = (holdersUsd6 << 48) / supplyUnits;
            return ReservoirWord.wrap(ReservoirWord.unwrap(self) + (perUnitX48 << PENDING_SHIFT));
        }
    }

    /// @notice Spreads what is pending over fewer units, after `checkpoint`. Rounded down: dust below one
    /// atomic unit stays behind, and what passes the bound (all, when no unit is left) is handed back.
    /// @return next Accounts for `excessUsd6` less.
    /// @return excessUsd6 Income that is pending no more and waits to be synced again. Rounded down.
    function respreadDown(ReservoirWord self, uint256 oldSupplyUnits, uint256 newSupplyUnits)
        internal
        pure
        returns (ReservoirWord next, uint256 excessUsd6)
    {
        // Unchecked: 80 bits times 49; `perUnit * newSupplyUnits` is at most what it was divided from; what is
        // pending for all units together was accounted for.
        unchecked {
            uint256 unreleasedX48 = self.pendingX48() * oldSupplyUnits;
            uint256 perUnitX48 = newSupplyUnits == 0 ? 0 : unreleasedX48 / newSupplyUnits;
            uint256 roomX48 = MAX_PER_UNIT_X48 - self.indexX48();
            if (perUnitX48 > roomX48) perUnitX48 = roomX48;
            // Where all fits this is the remainder of the division, below 2^48, and so zero.
            // slither-disable-next-line divide-before-multiply
            excessUsd6 = (unreleasedX48 - perUnitX48 * newSupplyUnits) >> 48;
            next = packReservoir(
                self.accountedUsd6() - excessUsd6, self.updatedAt(), perUnitX48, self.indexX48()
            );
        }
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PoolFlow} from "../types/PoolTypes.sol";

/// @notice What each period releases of a pool's money. Pure rules.
///
/// Money drains exponentially while there is work; a period without work releases nothing, as if its time had not
/// passed. Over a whole period the fraction F of what is there drains; of what came in its course, the smaller
/// fraction g over the time that was left. With the level L at the period's end, arrivals a included:
///
///     released = F * (L - sum a) + sum a * g = F * L - sum a * (F - g)
///
/// so the last sum, `unripe`, is all that must be kept of the arrivals. Where claims are settled within a period, and
/// in how many pieces, changes nothing but rounding: each arrival may release one unit less, which stays in the level.
library PoolReservoir {
    /// @notice Moves on to `period`, not before `flow.period`.
    function enter(PoolFlow memory flow, uint32 period) internal pure {
        if (period == flow.period) return;
        flow.unripeBeforeUsd6 = period == flow.period + 1 ? flow.unripeUsd6 : 0;
        flow.unripeUsd6 = 0;
        flow.freshUsd6 = 0;
        flow.period = period;
    }

    /// @notice `amountUsd6` comes in, after `enter`. Unripe rounds up, so that nothing is released before its time.
    /// @param amountUsd6 At most what is missing of `accountedUsd6` to 2^64 - 1.
    /// @param wholeX64 What drains in a whole period, the F above, at most 2^64.
    /// @param restX64 What drains in the rest of this one, the g above, at most `wholeX64`.
    function absorbUp(PoolFlow memory flow, uint256 amountUsd6, uint256 wholeX64, uint256 restX64)
        internal
        pure
    {
        // Unchecked and casts: every part of what is accounted for fits 64 bits as that does, and one unit more of
        // each arrival is at most the arrival. 64 bits times 65.
        unchecked {
            flow.accountedUsd6 += uint64(amountUsd6);
            flow.levelUsd6 += uint64(amountUsd6);
            flow.freshUsd6 += uint64(amountUsd6);
            flow.unripeUsd6 += uint64((amountUsd6 * (wholeX64 - restX64) + type(uint64).max) >> 64);
        }
    }

    /// @notice What the period before `flow.period` releases if it has work. Rounded down: the rest stays.
    function releasedDown(PoolFlow memory flow, uint256 wholeX64) internal pure returns (uint64) {
        // Unchecked and cast: what is fresh is part of the level; the product is 64 bits times 65, and a part of
        // the level when shifted.
        unchecked {
            uint256 wholeUsd6 = (uint256(flow.levelUsd6 - flow.freshUsd6) * wholeX64) >> 64;
            return wholeUsd6 > flow.unripeBeforeUsd6 ? uint64(wholeUsd6 - flow.unripeBeforeUsd6) : 0;
        }
    }
}

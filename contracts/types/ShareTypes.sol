// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice The income of a NodeShare that drains to its holders; one slot.
struct ReservoirState {
    /// Stablecoins accounted for: income of holders, paid out or not yet released, and credits. At most 2^56 - 1.
    uint64 accountedUsd6;
    /// When `indexX48` was last moved, seconds since the epoch; 0 until the share is live.
    uint32 updatedAt;
    /// Income not yet released at `updatedAt`, atomic stablecoin units per share unit, scaled by 2^48.
    uint80 pendingX48;
    /// Income released until `updatedAt` since the share went live, per share unit, scaled by 2^48.
    uint80 indexX48;
}

/// @notice What a NodeShare keeps of one account; one slot.
struct ShareAccount {
    /// Shares, 6 decimals. At most 2^48.
    uint64 balanceUnits;
    /// Income up to `indexX48`, not yet claimed, atomic stablecoin units scaled by 2^16.
    uint72 accruedX16;
    /// The reservoir's index up to which `accruedX16` counts.
    uint80 indexX48;
    /// Bit 0: part of the balance is frozen. Bit 1: a payout address is set. Bit 2: part is locked by the sale.
    uint40 flags;
}

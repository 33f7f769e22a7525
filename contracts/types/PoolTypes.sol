// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {GpuClass, NodeId} from "./NodeTypes.sol";

/// @notice What a pool is, fixed when it is made.
struct PoolTerms {
    /// Nodes of this class alone may join.
    GpuClass gpuClass;
    /// Time constant with which income drains, 7 to 90 days.
    uint32 tauSeconds;
    /// Oracle windows in a period. A period is at most a seventh of tau.
    uint24 periodRounds;
    /// Time to record work, from when a period's last round can be final. At least 6 hours; with the oracle's
    /// finality delay at most a period.
    uint32 collectingSeconds;
}

/// @notice What the pool's gateway signs, once for a node and a period: its counter of tokens that this node served
/// and customers were billed for, as it stood at the period's start and at its end.
struct Receipt {
    NodeId node;
    uint32 period;
    uint64 billedFromUnits;
    uint64 billedToUnits;
}

/// @notice Money that no period has released yet, and the arrivals that count less for their period.
struct PoolFlow {
    // slot 0
    /// Stablecoins accounted for: `levelUsd6`, and what was distributed and not paid out.
    uint64 accountedUsd6;
    /// Not distributed.
    uint64 levelUsd6;
    /// The part of the level that came in `period`.
    uint64 freshUsd6;
    /// The period of the newest arrival.
    uint32 period;
    /// The period with recorded work that is not distributed; 0: none.
    uint32 openPeriod;
    // slot 1
    /// By how much `period` releases less because money came in its course; see PoolReservoir.
    uint64 unripeUsd6;
    /// The same of the period before.
    uint64 unripeBeforeUsd6;
}

/// @notice A period with recorded work; one slot. Both fall as members' shares are set apart for them.
struct PoolPeriod {
    uint64 leftUsd6;
    uint96 leftWorkUnits;
}

/// @notice What the pool keeps of a node's work; one slot.
struct PoolAccount {
    /// The period of `workUnits`.
    uint32 period;
    /// Work of `period` whose money is not yet set apart.
    uint64 workUnits;
    /// Set apart and not yet paid.
    uint64 owedUsd6;
    /// Up to where the gateway's counter has been counted.
    uint64 countedToUnits;
    /// Which of the pool's gateways that counter belongs to.
    uint32 gatewayCount;
}

/// @notice From `firstPeriod` up to, not including, `endPeriod` the node is a member.
struct PoolMembership {
    /// Where the node's money goes.
    address share;
    uint32 firstPeriod;
    /// 2^32 - 1 while the node stays; 0 if it never joined.
    uint32 endPeriod;
    /// The owner lets the node join.
    bool admitted;
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice What a node has done since it was first measured: absolute counters that only rise.
/// A consumer takes two records of a node and subtracts.
struct NodeRecord {
    /// End of the last window counted, seconds since the epoch.
    uint40 windowEnd;
    /// Seconds in which enough reporters were able to measure.
    uint32 coveredSeconds;
    /// Covered seconds in which the node served. Never more than `coveredSeconds`.
    uint32 upSeconds;
    /// GPU-seconds busy. Never more than `upSeconds` times `gpuCount`.
    uint40 busyGpuSeconds;
    /// Energy drawn, watt-hours.
    uint40 energyWh;
    /// Tokens served.
    uint64 workUnits;
    /// GPUs of the node, 1 to 255.
    uint8 gpuCount;
}

/// @notice A NodeRecord in one word, first field in the highest bits.
/// windowEnd 40 | covered 32 | up 32 | busy 40 | energy 40 | work 64 | gpus 8.
type PackedRecord is bytes32;

/// @notice What a node did between two records. up <= covered <= elapsed; busy <= up * gpuCount.
/// Seconds elapsed but not covered are unknown: neither up nor down.
struct NodeDelta {
    uint40 elapsedSeconds;
    uint32 coveredSeconds;
    uint32 upSeconds;
    uint40 busyGpuSeconds;
    uint40 energyWh;
    uint64 workUnits;
    uint8 gpuCount;
}

/// @notice A record with the proof that it belongs to a round's root.
struct Reading {
    /// The round whose root the proof leads to.
    uint24 round;
    PackedRecord record;
    /// Merkle path from leaf to root, pairs sorted before hashing.
    bytes32[] proof;
}

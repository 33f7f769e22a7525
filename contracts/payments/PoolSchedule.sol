// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {FixedPointMathLib} from "solady/src/utils/FixedPointMathLib.sol";

import {IComputePool} from "../interfaces/IComputePool.sol";
import {INodeShareFactory} from "../interfaces/INodeShareFactory.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";
import {ExpDecay} from "../libraries/ExpDecay.sol";
import {GpuClass} from "../types/NodeTypes.sol";
import {PoolTerms} from "../types/PoolTypes.sol";

/// @notice A pool's terms, fixed when it is made, and its periods, which follow the oracle's windows.
abstract contract PoolSchedule is IComputePool {
    /* CONSTANTS */

    uint256 private constant MIN_TAU_SECONDS = 7 days;
    uint256 private constant MAX_TAU_SECONDS = 90 days;
    /// So that no period releases more than 1 - e^(-1/7) = 13.4% of what is there.
    uint256 private constant MIN_PERIODS_PER_TAU = 7;
    uint256 private constant MIN_COLLECTING_SECONDS = 6 hours;

    /* IMMUTABLES */

    /// @inheritdoc IComputePool
    INodeRegistry public immutable registry;
    /// @inheritdoc IComputePool
    INodeShareFactory public immutable factory;
    /// @inheritdoc IComputePool
    ITelemetryOracle public immutable oracle;
    /// @inheritdoc IComputePool
    address public immutable asset;
    /// @inheritdoc IComputePool
    GpuClass public immutable gpuClass;
    /// @inheritdoc IComputePool
    uint32 public immutable tauSeconds;
    /// @inheritdoc IComputePool
    uint24 public immutable periodRounds;
    /// @inheritdoc IComputePool
    uint256 public immutable periodSeconds;
    /// @inheritdoc IComputePool
    uint32 public immutable collectingSeconds;
    /// @inheritdoc IComputePool
    uint24 public immutable startRound;
    /// @inheritdoc IComputePool
    uint64 public immutable wholeX64;

    /// @dev The end of `startRound`. The oracle's schedule never changes, so nothing depends on asking for it again.
    uint256 private immutable _start;
    /// @dev From a period's end until it may be distributed; at most a period.
    uint256 private immutable _waitSeconds;

    /* CONSTRUCTOR */

    constructor(INodeShareFactory factory_, ITelemetryOracle oracle_, PoolTerms memory terms) {
        // Check: every term within its bounds.
        uint256 tau = terms.tauSeconds;
        require(
            tau >= MIN_TAU_SECONDS && tau <= MAX_TAU_SECONDS,
            ComputePool_TauOutOfBounds(tau, MIN_TAU_SECONDS, MAX_TAU_SECONDS)
        );
        uint256 window = oracle_.windowSeconds();
        uint256 period = window * terms.periodRounds;
        uint256 finality = oracle_.finalityDelaySeconds();
        uint256 leastPeriod = finality + MIN_COLLECTING_SECONDS;
        uint256 mostPeriod =
            FixedPointMathLib.min(tau / MIN_PERIODS_PER_TAU, window * oracle_.ringRounds() / 2);
        require(
            period >= leastPeriod && period <= mostPeriod,
            ComputePool_PeriodOutOfBounds(period, leastPeriod, mostPeriod)
        );
        require(
            terms.collectingSeconds >= MIN_COLLECTING_SECONDS && terms.collectingSeconds <= period - finality,
            ComputePool_CollectingOutOfBounds(
                terms.collectingSeconds, MIN_COLLECTING_SECONDS, period - finality
            )
        );

        // Effect
        factory = factory_;
        registry = factory_.registry();
        asset = factory_.asset();
        oracle = oracle_;
        gpuClass = terms.gpuClass;
        tauSeconds = terms.tauSeconds;
        periodRounds = terms.periodRounds;
        periodSeconds = period;
        collectingSeconds = terms.collectingSeconds;
        _waitSeconds = finality + terms.collectingSeconds;
        // Safe cast: at most a seventh of tau drains, less than all.
        wholeX64 = uint64(ExpDecay.releasedX64Down(period, tau));
        uint256 genesis = oracle_.genesis();
        uint256 begun = block.timestamp < genesis ? 1 : (block.timestamp - genesis) / window + 1;
        // Safe cast: the oracle's own rounds are 24 bits.
        startRound = uint24(begun);
        _start = genesis + begun * window;
    }

    /* PERIODS */

    /// @inheritdoc IComputePool
    function periodAt(uint256 timestamp) public view returns (uint32) {
        if (timestamp < _start) return 0;
        // Safe cast: periods of hours, 2^32 of them are a million years.
        return uint32((timestamp - _start) / periodSeconds + 1);
    }

    /// @inheritdoc IComputePool
    function periodEndOf(uint32 period) public view returns (uint256) {
        return _start + period * periodSeconds;
    }

    /// @inheritdoc IComputePool
    function roundsOf(uint32 period) public view returns (uint256 baseRound, uint256 endRound) {
        endRound = startRound + uint256(period) * periodRounds;
        baseRound = endRound - periodRounds;
    }

    /// @inheritdoc IComputePool
    function distributableAt(uint32 period) public view returns (uint256) {
        return periodEndOf(period) + _waitSeconds;
    }

    /// @dev The first period that a decision of now can concern.
    function _nextPeriod() internal view returns (uint32) {
        return periodAt(block.timestamp) + 1;
    }

    /// @dev What drains from now to the end of the period, scaled by 2^64; before the first, as if that began now.
    function _restX64() internal view returns (uint256) {
        if (block.timestamp < _start) return wholeX64;
        return ExpDecay.releasedX64Down(periodEndOf(periodAt(block.timestamp)) - block.timestamp, tauSeconds);
    }

    function _requireCollecting(uint32 period) internal view {
        uint256 from = periodEndOf(period);
        uint256 until = from + _waitSeconds;
        require(
            period != 0 && block.timestamp >= from && block.timestamp < until,
            ComputePool_NotCollecting(period, from, until)
        );
    }
}

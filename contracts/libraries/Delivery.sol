// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeRecords} from "./NodeRecords.sol";
import {NodeDelta, NodeRecord} from "../types/NodeRecord.sol";

/// @notice Whether a node has delivered, shown by two of its records, `base` and `end`. Pure rules.
///
/// Known time is `base.windowEnd` plus the seconds covered since: the clock that stands still while nobody can
/// measure, so unknown seconds move the due date. Over any stretch up <= covered <= time.
///
/// Of one node only one can ever be shown, as its records over unvetoed rounds are one history (see
/// ITelemetryOracle.report). Suppose both were, delivered by (b, e) and missed by (B, E); then
/// B <= from <= b and known(B, E) >= deliverBy >= known(b, e).
///  - E >= e: the stretch from B to E contains that from b to e, so up(B, E) >= up(b, e) >= required: not missed.
///  - E < b: known(B, E) <= E < b <= known(b, e) contradicts the second line.
///  - b <= E < e: up to the same end a later base knows no less, as the time between the bases counts in full
///    for it, so known(b, E) >= known(B, E) >= known(b, e): nothing was covered between E and e, hence nothing
///    up, and up(B, E) >= up(b, E) = up(b, e) >= required: not missed.
/// Neither can be shown if the last needed second of uptime fell into the very window in which known time
/// passed `deliverBy`, or if too little is known: then the sale expires. An earlier base never weakens a
/// confirmation; a later end never weakens a failure while the node stays short.
library Delivery {
    struct Rule {
        /// Uptime counts from here.
        uint256 from;
        uint256 requiredSeconds;
        uint256 deliverBy;
        uint256 hardLimit;
    }

    error Delivery_BaseTooEarly(uint256 baseEnd, uint256 from);
    error Delivery_BaseTooLate(uint256 baseEnd, uint256 from);
    /// @notice Not up for long enough between the two records.
    error Delivery_UpTooShort(uint256 upSeconds, uint256 requiredSeconds);
    /// @notice Up for long enough: not missed.
    error Delivery_UpLongEnough(uint256 upSeconds, uint256 requiredSeconds);
    /// @notice Even without its unknown seconds the time runs past the due date.
    error Delivery_TooLate(uint256 knownTime, uint256 deliverBy);
    error Delivery_PastHardLimit(uint256 endEnd, uint256 hardLimit);
    /// @notice Without its unknown seconds the time has not reached the due date.
    error Delivery_NotDue(uint256 knownTime, uint256 deliverBy);

    /// @notice End of the first window that does not end before `time`. Windows follow each other from `genesis`.
    function windowEndUp(uint256 time, uint256 genesis, uint256 windowSeconds)
        internal
        pure
        returns (uint256)
    {
        if (time <= genesis) return genesis;
        // Whole windows, rounded up: dividing first is the point.
        // slither-disable-next-line divide-before-multiply
        return genesis + (time - genesis + windowSeconds - 1) / windowSeconds * windowSeconds;
    }

    /// @notice The record of a node before anybody measured it: zero, at the start of the window in which it was
    /// registered. True of every node, so whatever this record shows as a base is shown by the node's own.
    /// @param gpuCount That of the record it is compared with.
    function zeroRecord(uint256 registeredAt, uint256 genesis, uint256 windowSeconds, uint8 gpuCount)
        internal
        pure
        returns (NodeRecord memory record)
    {
        // Safe cast: no later than the registration, or the genesis that the oracle keeps in 40 bits.
        record.windowEnd = uint40(
            registeredAt <= genesis ? genesis : registeredAt - (registeredAt - genesis) % windowSeconds
        );
        record.gpuCount = gpuCount;
    }

    /// @notice Reverts unless the records show that the node delivered in time.
    function requireDelivered(Rule memory rule, NodeRecord memory base, NodeRecord memory end)
        internal
        pure
        returns (uint32 upSeconds, uint256 knownTime)
    {
        if (base.windowEnd < rule.from) revert Delivery_BaseTooEarly(base.windowEnd, rule.from);
        (upSeconds, knownTime) = _measure(base, end);
        if (upSeconds < rule.requiredSeconds) revert Delivery_UpTooShort(upSeconds, rule.requiredSeconds);
        if (knownTime > rule.deliverBy) revert Delivery_TooLate(knownTime, rule.deliverBy);
        if (end.windowEnd > rule.hardLimit) revert Delivery_PastHardLimit(end.windowEnd, rule.hardLimit);
    }

    /// @notice Reverts unless the records show that the node did not deliver in time.
    function requireMissed(Rule memory rule, NodeRecord memory base, NodeRecord memory end)
        internal
        pure
        returns (uint32 upSeconds, uint256 knownTime)
    {
        if (base.windowEnd > rule.from) revert Delivery_BaseTooLate(base.windowEnd, rule.from);
        (upSeconds, knownTime) = _measure(base, end);
        if (upSeconds >= rule.requiredSeconds) revert Delivery_UpLongEnough(upSeconds, rule.requiredSeconds);
        if (knownTime < rule.deliverBy) revert Delivery_NotDue(knownTime, rule.deliverBy);
    }

    function _measure(NodeRecord memory base, NodeRecord memory end) private pure returns (uint32, uint256) {
        NodeDelta memory delta = NodeRecords.difference(base, end);
        return (delta.upSeconds, uint256(base.windowEnd) + delta.coveredSeconds);
    }
}

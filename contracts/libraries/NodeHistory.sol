// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";
import {NodeRecords} from "./NodeRecords.sol";
import {NodeDelta, NodeRecord, Reading} from "../types/NodeRecord.sol";
import {NodeId} from "../types/NodeTypes.sol";

/// @notice How contracts read the oracle: what a node did between two final rounds, and how much of it nobody knows.
/// Always elapsed = up + down + unknown. Nothing is rounded.
///
/// Which two rounds is the consumer's matter, and its danger: who brings the readings chooses among all that its rules
/// allow. Name the windows that they must begin and end in, or show that no choice gains anything (see Delivery).
/// Rounds may be missing; counters are cumulative, so a longer stretch holds all that a shorter one does.
library NodeHistory {
    /// @notice From the record of `base` to that of `end`. Reverts as `provenRecord` does unless both are of final,
    /// unvetoed rounds, and as NodeRecords does unless `end` follows `base`.
    function between(ITelemetryOracle oracle, NodeId node, Reading calldata base, Reading calldata end)
        internal
        view
        returns (NodeDelta memory)
    {
        return NodeRecords.difference(oracle.provenRecord(node, base), oracle.provenRecord(node, end));
    }

    /// @notice From a record that was proven before, and kept, to that of `end`. Reverts as `between` does.
    function since(ITelemetryOracle oracle, NodeId node, NodeRecord memory base, Reading calldata end)
        internal
        view
        returns (NodeDelta memory)
    {
        return NodeRecords.difference(base, oracle.provenRecord(node, end));
    }

    /// @notice Seconds in which too few reporters could measure: neither up nor down.
    function unknownSeconds(NodeDelta memory delta) internal pure returns (uint256) {
        // Unchecked: covered <= elapsed in every difference.
        unchecked {
            return uint256(delta.elapsedSeconds) - delta.coveredSeconds;
        }
    }

    /// @notice Seconds in which the node did not serve although enough reporters could measure it.
    function downSeconds(NodeDelta memory delta) internal pure returns (uint256) {
        // Unchecked: up <= covered in every difference.
        unchecked {
            return uint256(delta.coveredSeconds) - delta.upSeconds;
        }
    }
}

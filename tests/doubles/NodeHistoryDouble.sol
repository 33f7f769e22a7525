// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ITelemetryOracle} from "../../contracts/interfaces/ITelemetryOracle.sol";
import {NodeHistory} from "../../contracts/libraries/NodeHistory.sol";
import {NodeDelta, NodeRecord, Reading} from "../../contracts/types/NodeRecord.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";

/// @notice Test double that opens NodeHistory's functions, as a consumer of an oracle.
contract NodeHistoryDouble {
    ITelemetryOracle private immutable _oracle;

    constructor(ITelemetryOracle oracle) {
        _oracle = oracle;
    }

    function between(NodeId node, Reading calldata base, Reading calldata end)
        external
        view
        returns (NodeDelta memory delta, uint256 unknownSeconds, uint256 downSeconds)
    {
        delta = NodeHistory.between(_oracle, node, base, end);
        return (delta, NodeHistory.unknownSeconds(delta), NodeHistory.downSeconds(delta));
    }

    function since(NodeId node, NodeRecord calldata base, Reading calldata end)
        external
        view
        returns (NodeDelta memory)
    {
        return NodeHistory.since(_oracle, node, base, end);
    }
}

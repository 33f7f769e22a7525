// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ITelemetryOracle} from "../interfaces/ITelemetryOracle.sol";
import {NodeRecord, Reading} from "../types/NodeRecord.sol";
import {NodeId} from "../types/NodeTypes.sol";

/// @notice Measures what proving a record costs a contract that needs one: `oracle_prove` of the gas table.
contract ProofConsumer {
    event ProofConsumed(NodeId indexed node, uint24 indexed round, uint40 windowEnd, uint256 gasUsed);

    /// @notice Proves a record as a lease or a sale does and tells the gas of that call, encoding included.
    function consume(ITelemetryOracle oracle, NodeId node, Reading calldata reading) external {
        uint256 gasBefore = gasleft();
        NodeRecord memory record = oracle.provenRecord(node, reading);
        uint256 gasUsed = gasBefore - gasleft();
        emit ProofConsumed(node, reading.round, record.windowEnd, gasUsed);
    }
}

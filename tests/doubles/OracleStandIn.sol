// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {NodeRecord, Reading} from "../../contracts/types/NodeRecord.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";

/// @notice Test double of the TelemetryOracle for its consumers: it calls final whatever it was told, and knows
/// neither signatures nor proofs.
contract OracleStandIn {
    uint40 public immutable genesis;
    uint32 public immutable windowSeconds;
    uint32 public immutable finalityDelaySeconds;
    uint24 public immutable ringRounds;

    mapping(NodeId node => mapping(uint24 round => bytes32 record)) private _final;

    error OracleStandIn_NotFinal(NodeId node, uint24 round);

    constructor(uint40 genesis_, uint32 windowSeconds_, uint32 finalityDelaySeconds_, uint24 ringRounds_) {
        genesis = genesis_;
        windowSeconds = windowSeconds_;
        finalityDelaySeconds = finalityDelaySeconds_;
        ringRounds = ringRounds_;
    }

    function callFinal(NodeId node, Reading calldata reading) external {
        _final[node][reading.round] = keccak256(abi.encode(reading.record));
    }

    function provenRecord(NodeId node, Reading calldata reading) external view returns (NodeRecord memory) {
        require(
            _final[node][reading.round] == keccak256(abi.encode(reading.record)),
            OracleStandIn_NotFinal(node, reading.round)
        );
        return NodeRecords.unpack(reading.record);
    }
}

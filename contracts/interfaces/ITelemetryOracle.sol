// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";
import {NodeRecord, Reading} from "../types/NodeRecord.sol";

interface ITelemetryOracle {
    function report(uint24 round, bytes23 root, bytes calldata records, bytes calldata signatures) external;
    function veto(uint24 round) external;
    function restore(NodeId node, Reading calldata reading) external;
    function setReporters(address[] calldata reporters, uint8 faulty) external;
    function setGuardian(address guardian) external;

    /// The record of `node` in a round that is final and unvetoed. Reverts otherwise: money may depend on it.
    function provenRecord(NodeId node, Reading calldata reading) external view returns (NodeRecord memory);
    /// The pushed record: the newest, not final, zero if none was pushed. For display and the price curve.
    function latestRecord(NodeId node) external view returns (NodeRecord memory);

    function isFinal(uint24 round) external view returns (bool);
    function roundInfo(uint24 round) external view returns (bytes23 root, uint40 postedAt, bool vetoed);
    function latestRound() external view returns (uint24);
    /// First second after the window of `round`: genesis + round * windowSeconds.
    function windowEndOf(uint24 round) external view returns (uint40);
    /// The last round whose window has ended at `timestamp`; 0 if none.
    function roundEndedBy(uint40 timestamp) external view returns (uint24);
    function genesis() external view returns (uint40);
    function windowSeconds() external view returns (uint32);
    function finalityDelaySeconds() external view returns (uint32);
    function ringRounds() external view returns (uint24);
    function reporters() external view returns (address[] memory);
    /// Signatures that a report needs: k = 2f + 1.
    function quorum() external view returns (uint8);
    function configDigest() external view returns (bytes32);
    function guardian() external view returns (address);
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeRecords} from "../../contracts/libraries/NodeRecords.sol";
import {RecordTree} from "../../contracts/libraries/RecordTree.sol";
import {NodeDelta, NodeRecord, PackedRecord} from "../../contracts/types/NodeRecord.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";

/// @notice The pure rules of records, callable from tests.
contract NodeRecordsDouble {
    function pack(NodeRecord calldata record) external pure returns (PackedRecord) {
        return NodeRecords.pack(record);
    }

    function unpack(PackedRecord packed) external pure returns (NodeRecord memory) {
        return NodeRecords.unpack(packed);
    }

    function check(PackedRecord packed) external pure {
        NodeRecords.check(packed);
    }

    function requireFollows(PackedRecord earlier, PackedRecord later) external pure {
        NodeRecords.requireFollows(earlier, later);
    }

    function difference(NodeRecord calldata earlier, NodeRecord calldata later)
        external
        pure
        returns (NodeDelta memory)
    {
        return NodeRecords.difference(earlier, later);
    }

    function rootFrom(NodeId node, PackedRecord record, bytes32[] calldata proof)
        external
        pure
        returns (bytes23)
    {
        return RecordTree.rootFrom(RecordTree.leafOf(node, record), proof);
    }

    function branchRootFrom(bytes calldata entries, bytes32[] calldata proof)
        external
        pure
        returns (bytes23)
    {
        return RecordTree.rootFrom(RecordTree.branchOf(entries), proof);
    }
}

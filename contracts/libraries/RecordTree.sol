// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";
import {PackedRecord} from "../types/NodeRecord.sol";

/// @notice The Merkle tree over all nodes' records of a round. A leaf hashes 36 bytes (node id, record), an
/// inner node 64 (two hashes, the smaller first), so that neither can be taken for the other.
/// @dev A round keeps the first 23 bytes of the root: 184 bits against a second tree for a given root, 92 bits
/// against two trees found together, which only helps whoever makes honest reporters sign records of his choice.
library RecordTree {
    /// @notice The leaf of a node's record.
    function leafOf(NodeId node, PackedRecord record) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(NodeId.unwrap(node), PackedRecord.unwrap(record)));
    }

    /// @notice The root that `proof` leads to from `leaf`, cut to what a round keeps.
    function rootFrom(bytes32 leaf, bytes32[] calldata proof) internal pure returns (bytes23) {
        bytes32 node = leaf;
        for (uint256 i; i < proof.length; ++i) {
            node = _parentOf(node, proof[i]);
        }
        // Safe cast: the last 9 bytes are dropped on purpose, see above.
        return bytes23(node);
    }

    function _parentOf(bytes32 left, bytes32 right) private pure returns (bytes32 parent) {
        if (left > right) (left, right) = (right, left);
        // abi.encodePacked would take fresh memory at every one of up to 20 levels; scratch space is free.
        assembly ("memory-safe") {
            mstore(0x00, left)
            mstore(0x20, right)
            parent := keccak256(0x00, 0x40)
        }
    }
}

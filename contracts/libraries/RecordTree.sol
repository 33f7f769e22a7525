// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";
import {PackedRecord} from "../types/NodeRecord.sol";

/// @dev What a leaf hashes, and how records are pushed: node id (4 bytes), record (32).
uint256 constant ENTRY_BYTES = 36;

/// @notice The Merkle tree over all nodes' records of a round. A leaf hashes 36 bytes (node id, record), an
/// inner node 64 (two hashes, the smaller first), so that neither can be taken for the other.
/// @dev A round keeps the first 23 bytes of the root: 184 bits against a second tree for a given root, 92 bits
/// against two trees found together, which only helps whoever makes honest reporters sign records of his choice.
library RecordTree {
    /// @notice The leaf of a node's record.
    function leafOf(NodeId node, PackedRecord record) internal pure returns (bytes32) {
        return keccak256(abi.encodePacked(NodeId.unwrap(node), PackedRecord.unwrap(record)));
    }

    /// @notice The branch above the leaves of `entries` (node id 4 bytes, record 32; at least one): hashed pair by
    /// pair, an odd one moves up unchanged, as in the whole tree. So it is a branch of a tree that holds exactly
    /// these leaves in a row from a place that is a multiple of the power of two next above or at their number.
    function branchOf(bytes calldata entries) internal pure returns (bytes32) {
        uint256 count = entries.length / ENTRY_BYTES;
        bytes32[] memory level = new bytes32[](count);
        // Bounds that are checked once per word would cost as much as the hashing.
        assembly ("memory-safe") {
            let first := add(level, 0x20)
            for { let i := 0 } lt(i, count) { i := add(i, 1) } {
                calldatacopy(0x00, add(entries.offset, mul(i, ENTRY_BYTES)), ENTRY_BYTES)
                mstore(add(first, shl(5, i)), keccak256(0x00, ENTRY_BYTES))
            }
        }
        for (; count > 1; count = (count + 1) / 2) {
            _raise(level, count);
        }
        return level[0];
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

    /// @dev Puts the level above the first `count` hashes of `level` in their place.
    function _raise(bytes32[] memory level, uint256 count) private pure {
        assembly ("memory-safe") {
            let to := add(level, 0x20)
            let from := to
            for { let end := add(to, shl(5, and(count, not(1)))) } lt(from, end) { from := add(from, 0x40) } {
                let left := mload(from)
                let right := mload(add(from, 0x20))
                let swap := gt(left, right)
                mstore(shl(5, swap), left)
                mstore(shl(5, iszero(swap)), right)
                mstore(to, keccak256(0x00, 0x40))
                to := add(to, 0x20)
            }
            if and(count, 1) { mstore(to, mload(from)) }
        }
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

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {RecordTree} from "../../contracts/libraries/RecordTree.sol";
import {PackedRecord} from "../../contracts/types/NodeRecord.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";
import {Property} from "./Property.sol";

/// @notice The tree of an oracle's model: five leaves, so that one is promoted twice.
abstract contract OracleTree is Property {
    uint256 public constant NODES = 5;
    /// Nodes whose leaves are always honest; the last one's may be bad.
    uint256 public constant HONEST = 4;
    /// The leaves, the pairs over the first two and the next two, the one over these, the root.
    uint256 internal constant BRANCHES = 9;

    function _node(uint256 place) internal pure returns (NodeId) {
        return NodeId.wrap(uint32([uint256(1), 2, 700, 701, 4_294_967_295][place]));
    }

    /// The entries of those leaves whose bits are set in `which`.
    function _entries(PackedRecord[5] memory records, uint256 which)
        internal
        pure
        returns (bytes memory entries)
    {
        for (uint256 i; i < NODES; ++i) {
            if (which >> i & 1 == 1) {
                entries = abi.encodePacked(entries, NodeId.unwrap(_node(i)), PackedRecord.unwrap(records[i]));
            }
        }
    }

    function _rootOf(PackedRecord[5] memory records) internal pure returns (bytes23) {
        (bytes32[3] memory inner, bytes32[5] memory leaves) = _tree(records);
        return bytes23(_parent(inner[2], leaves[4]));
    }

    function _leavesBelow(uint256 branch) internal pure returns (uint256 first, uint256 end) {
        if (branch < NODES) return (branch, branch + 1);
        if (branch == NODES) return (0, 2);
        if (branch == NODES + 1) return (2, 4);
        return (0, branch == NODES + 2 ? HONEST : NODES);
    }

    function _pathOf(PackedRecord[5] memory records, uint256 branch)
        internal
        pure
        returns (bytes32[] memory path)
    {
        (bytes32[3] memory inner, bytes32[5] memory leaves) = _tree(records);
        if (branch < HONEST) {
            path = new bytes32[](3);
            path[0] = leaves[branch ^ 1];
            path[1] = inner[branch < 2 ? 1 : 0];
            path[2] = leaves[4];
        } else if (branch == HONEST) {
            path = new bytes32[](1);
            path[0] = inner[2];
        } else if (branch < NODES + 2) {
            path = new bytes32[](2);
            path[0] = inner[branch == NODES ? 1 : 0];
            path[1] = leaves[4];
        } else if (branch == NODES + 2) {
            path = new bytes32[](1);
            path[0] = leaves[4];
        }
    }

    /// The inner nodes: over leaves 0 and 1, over 2 and 3, over those two.
    function _tree(PackedRecord[5] memory records)
        private
        pure
        returns (bytes32[3] memory inner, bytes32[5] memory leaves)
    {
        for (uint256 i; i < NODES; ++i) {
            leaves[i] = RecordTree.leafOf(_node(i), records[i]);
        }
        inner[0] = _parent(leaves[0], leaves[1]);
        inner[1] = _parent(leaves[2], leaves[3]);
        inner[2] = _parent(inner[0], inner[1]);
    }

    function _parent(bytes32 a, bytes32 b) private pure returns (bytes32) {
        return a < b ? keccak256(abi.encode(a, b)) : keccak256(abi.encode(b, a));
    }
}

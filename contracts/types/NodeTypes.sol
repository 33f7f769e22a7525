// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice A node's number in the NodeRegistry, counted from 1; 0 names no node.
type NodeId is uint32;

/// @notice A GPU class as left-aligned ASCII, e.g. "H100-SXM-80GB".
type GpuClass is bytes16;

using {equals as ==, differs as !=} for NodeId global;

function equals(NodeId a, NodeId b) pure returns (bool) {
    return NodeId.unwrap(a) == NodeId.unwrap(b);
}

function differs(NodeId a, NodeId b) pure returns (bool) {
    return NodeId.unwrap(a) != NodeId.unwrap(b);
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {GpuClass, NodeId} from "../../contracts/types/NodeTypes.sol";

/// @notice Test double: what a pool asks of a share factory and of its registry, set by hand.
contract PoolWorldDouble {
    address public immutable asset;

    mapping(NodeId node => INodeRegistry.Node) private _nodes;
    mapping(NodeId node => address) public shareOf;

    constructor(address asset_) {
        asset = asset_;
    }

    function set(NodeId node, address operator, INodeRegistry.Status status, GpuClass gpuClass, address share)
        external
    {
        _nodes[node].operator = operator;
        _nodes[node].status = status;
        _nodes[node].spec.gpuClass = gpuClass;
        shareOf[node] = share;
    }

    function registry() external view returns (address) {
        return address(this);
    }

    function nodeOf(NodeId node) external view returns (INodeRegistry.Node memory) {
        return _nodes[node];
    }

    function operatorOf(NodeId node) external view returns (address) {
        return _nodes[node].operator;
    }

    function statusOf(NodeId node) external view returns (INodeRegistry.Status) {
        return _nodes[node].status;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "../../contracts/interfaces/INodeRegistry.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";

/// @notice What the share factory asks of a NodeRegistry, set by hand.
contract ShareRegistryDouble {
    mapping(NodeId node => address) public operatorOf;
    mapping(NodeId node => INodeRegistry.Status) public statusOf;

    function set(NodeId node, address operator, INodeRegistry.Status status) external {
        operatorOf[node] = operator;
        statusOf[node] = status;
    }
}

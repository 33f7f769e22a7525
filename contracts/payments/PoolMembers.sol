// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Guarded} from "../access/Guarded.sol";
import {IComputePool} from "../interfaces/IComputePool.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {GpuClass, NodeId} from "../types/NodeTypes.sol";
import {PoolMembership} from "../types/PoolTypes.sol";
import {PoolSchedule} from "./PoolSchedule.sol";

/// @notice Who belongs to a pool, and when: both sides must agree, and each can end it from the next period on.
abstract contract PoolMembers is PoolSchedule, Guarded {
    uint32 private constant STAYING = type(uint32).max;

    mapping(NodeId node => PoolMembership) internal _memberships;

    /* MEMBERS */

    /// @inheritdoc IComputePool
    function admit(NodeId node) external onlyOwner {
        _memberships[node].admitted = true;
        emit AdmitNode(node, msg.sender);
    }

    /// @inheritdoc IComputePool
    function dismiss(NodeId node) external onlyOwner {
        PoolMembership storage membership = _memberships[node];
        require(membership.admitted, ComputePool_NotAdmitted(node));
        membership.admitted = false;
        if (membership.endPeriod == STAYING) membership.endPeriod = _nextPeriod();
        emit DismissNode(node, msg.sender, membership.endPeriod);
    }

    /// @inheritdoc IComputePool
    function join(NodeId node) external whenNotPaused {
        // Check: both sides agree, the last membership is collected, and the node is what the pool is for.
        PoolMembership storage membership = _memberships[node];
        require(msg.sender == registry.operatorOf(node), ComputePool_NotOperator(node, msg.sender));
        require(membership.admitted, ComputePool_NotAdmitted(node));
        uint32 endPeriod = membership.endPeriod;
        require(endPeriod != STAYING, ComputePool_AlreadyMember(node));
        uint32 next = _nextPeriod();
        require(endPeriod == 0 || next > endPeriod + 1, ComputePool_StillLeaving(node, endPeriod));
        INodeRegistry.Node memory known = registry.nodeOf(node);
        require(known.status == INodeRegistry.Status.Active, ComputePool_NodeNotActive(node, known.status));
        GpuClass class = known.spec.gpuClass;
        require(
            GpuClass.unwrap(class) == GpuClass.unwrap(gpuClass), ComputePool_WrongClass(node, class, gpuClass)
        );
        address share = factory.shareOf(node);
        require(share != address(0), ComputePool_NoShare(node));

        // Effect
        (membership.share, membership.firstPeriod, membership.endPeriod) = (share, next, STAYING);
        emit JoinPool(node, msg.sender, share, next);
    }

    /// @inheritdoc IComputePool
    function resign(NodeId node) external {
        require(msg.sender == registry.operatorOf(node), ComputePool_NotOperator(node, msg.sender));
        emit LeavePool(node, msg.sender, _end(node));
    }

    /// @inheritdoc IComputePool
    function expel(NodeId node) external {
        require(registry.statusOf(node) != INodeRegistry.Status.Active, ComputePool_NodeActive(node));
        emit ExpelNode(node, msg.sender, _end(node));
    }

    function _end(NodeId node) private returns (uint32 endPeriod) {
        // STAYING is a mark, not a time that somebody could arrange.
        // slither-disable-next-line incorrect-equality
        require(_memberships[node].endPeriod == STAYING, ComputePool_NotMember(node));
        endPeriod = _nextPeriod();
        _memberships[node].endPeriod = endPeriod;
    }

    /* VIEWS */

    /// @inheritdoc IComputePool
    function membershipOf(NodeId node) external view returns (PoolMembership memory) {
        return _memberships[node];
    }

    /// @inheritdoc IComputePool
    function isMemberIn(NodeId node, uint32 period) public view returns (bool) {
        PoolMembership storage membership = _memberships[node];
        return membership.firstPeriod <= period && period < membership.endPeriod;
    }
}

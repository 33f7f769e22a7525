// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {GpuClass, NodeId} from "../types/NodeTypes.sol";

interface INodeRegistry {
    enum Status {
        None,
        Registered,
        Attested,
        Active,
        Suspended,
        Retired
    }

    /// What an operator states of a node; the full spec is JSON, addressed by `specHash`.
    struct NodeSpec {
        GpuClass gpuClass;
        uint8 gpuCount;
        /// ISO 3166-2, left-aligned ASCII, e.g. "US-TX".
        bytes8 region;
        uint32 powerWatts;
        /// Promised availability in basis points, at most 10,000.
        uint16 slaBps;
        /// sha256 of the canonical JSON spec.
        bytes32 specHash;
    }

    struct Node {
        address operator;
        Status status;
        NodeSpec spec;
        uint40 registeredAt;
        uint64 bondUsd6;
        /// Retiring waits until this time (service term of a sale, later leases).
        uint40 committedUntil;
        /// Open obligations that forbid retiring: undecided sales, later running leases.
        uint16 holds;
    }

    function register(NodeSpec calldata spec, string calldata specUri) external returns (NodeId node);
    /// Quorum-signed attestation of the spec; anyone may bring it. Registered -> Attested.
    function attest(NodeId node, bytes calldata signatures) external;
    /// Operator: Attested -> Active, given the required bond; Suspended (by the operator) -> Active.
    function activate(NodeId node) external;
    function suspend(NodeId node) external;
    function retire(NodeId node) external;

    function depositBond(NodeId node, uint64 amountUsd6) external;
    function requestBondWithdrawal(NodeId node, uint64 amountUsd6) external;
    function withdrawBond(NodeId node, address to) external returns (uint64 amountUsd6);

    /// Markets (named by the owner) put obligations on a node and lift them.
    function hold(NodeId node) external;
    function release(NodeId node) external;
    function commitUntil(NodeId node, uint40 time) external;

    function nodeOf(NodeId node) external view returns (Node memory);
    function operatorOf(NodeId node) external view returns (address);
    function statusOf(NodeId node) external view returns (Status);
    function nodeCount() external view returns (uint32);
}

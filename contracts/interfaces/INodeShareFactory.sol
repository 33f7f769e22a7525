// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {NodeId} from "../types/NodeTypes.sol";

interface INodeShareFactory {
    struct ShareTerms {
        string name;
        string symbol;
        /// Time constant of the reservoir, seconds: 1 hour to 90 days.
        uint32 tauSeconds;
        /// The operator's part of each dollar of income, basis points.
        uint16 operatorCutBps;
        /// Eligibility module, or zero for none.
        address eligibility;
        /// The Offering that sells the shares, or zero: then `supplyUnits` go to the operator, live at once.
        address issuer;
        /// Without an issuer: 10^6 to 2^48 units. With one: 0.
        uint64 supplyUnits;
    }

    /// Operator of the node only, once per node.
    function create(NodeId node, ShareTerms calldata terms) external returns (address share);
    function shareOf(NodeId node) external view returns (address);
    /// Claims of `account` on several nodes; skips those with nothing to claim.
    function claimMany(NodeId[] calldata nodes, address account) external returns (uint256 paidUsd6);
    /// Who may freeze and force transfers on every share of this factory.
    function enforcer() external view returns (address);
    /// Where the protocol's cut is paid.
    function treasury() external view returns (address);
}

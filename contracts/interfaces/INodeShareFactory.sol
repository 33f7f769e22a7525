// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "./INodeRegistry.sol";
import {NodeId} from "../types/NodeTypes.sol";

/// @notice Creates the share token of a node, one per node, and names the roles that all of them share.
/// Roles: a node's operator creates its share; the owner sets enforcer, treasury, cut and issuers.
interface INodeShareFactory {
    struct ShareTerms {
        /// 1 to 64 bytes.
        string name;
        /// 1 to 16 bytes.
        string symbol;
        /// Time constant of the reservoir, seconds: 1 hour to 90 days.
        uint32 tauSeconds;
        /// The operator's part of each dollar of income, basis points, at most 9,000.
        uint16 operatorCutBps;
        /// Eligibility module, or zero for none.
        address eligibility;
        /// The Offering that sells the shares, or zero: then `supplyUnits` go to the operator, live at once.
        address issuer;
        /// Without an issuer: 10^6 to 2^48 units. With one: 0.
        uint64 supplyUnits;
    }

    event ShareCreated(
        NodeId indexed node, address indexed share, address indexed operator, ShareTerms terms
    );
    event EnforcerSet(address indexed enforcer);
    event TreasurySet(address indexed treasury);
    /// @notice The protocol's part of income, for shares created from now on.
    event ProtocolCutSet(uint256 protocolCutBps);
    event IssuerSet(address indexed issuer, bool allowed);

    error NodeShareFactory_AlreadyCreated(NodeId node, address share);
    error NodeShareFactory_IssuerNotAllowed(address issuer);
    error NodeShareFactory_LabelOutOfBounds(string label, uint256 maxBytes);
    error NodeShareFactory_NodeNotReady(NodeId node, INodeRegistry.Status status);
    error NodeShareFactory_NotOperator(NodeId node, address caller);
    error NodeShareFactory_NoShare(NodeId node);
    error NodeShareFactory_ProtocolCutTooHigh(uint256 protocolCutBps, uint256 maxBps);
    error NodeShareFactory_ZeroTreasury();

    /// @notice Operator of an attested, active or suspended node only, once per node. The terms, and the
    /// protocol's cut of this moment, are fixed for good.
    /// Errors: NodeShareFactory_NotOperator, _NodeNotReady, _AlreadyCreated, _IssuerNotAllowed,
    /// _LabelOutOfBounds; of the share NodeShare_TauOutOfBounds, NodeShare_OperatorCutTooHigh,
    /// NodeShare_SupplyOutOfBounds, NodeShare_EligibilityWithoutCode, ERC7943CannotReceive.
    function create(NodeId node, ShareTerms calldata terms) external returns (address share);
    /// @notice Zero where there is none.
    function shareOf(NodeId node) external view returns (address);
    /// @notice Claims of `account` on several nodes, each paid to its payout address there; skips those with
    /// nothing to claim. All or nothing: where one payout address is refused, leave its node out.
    /// Anyone may call. Errors: NodeShareFactory_NoShare.
    function claimMany(NodeId[] calldata nodes, address account) external returns (uint256 paidUsd6);

    /// @notice Who may freeze and force transfers on every share of this factory; zero: nobody.
    function enforcer() external view returns (address);
    /// @notice Where the protocol's cut is paid.
    function treasury() external view returns (address);
    /// @notice The protocol's part of income for shares created now, basis points, at most 1,000.
    function protocolCutBps() external view returns (uint16);
    /// @notice Whether shares may be created for `issuer` to sell.
    function isIssuer(address issuer) external view returns (bool);
    function asset() external view returns (address);
    function registry() external view returns (INodeRegistry);

    // Owner only -------------------------------------------------------------------------------------
    function setEnforcer(address enforcer) external;
    /// @notice Errors: NodeShareFactory_ZeroTreasury.
    function setTreasury(address treasury) external;
    /// @notice Errors: NodeShareFactory_ProtocolCutTooHigh.
    function setProtocolCut(uint16 protocolCutBps) external;
    function setIssuer(address issuer, bool allowed) external;
}

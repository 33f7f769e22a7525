// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Ownable} from "solady/src/auth/Ownable.sol";
import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {INodeShare} from "../interfaces/INodeShare.sol";
import {INodeShareFactory} from "../interfaces/INodeShareFactory.sol";
import {NodeId} from "../types/NodeTypes.sol";
import {NodeShare} from "./NodeShare.sol";

/// @notice Creates NodeShares. Each is a contract of its own, not a clone: a clone would cost every transfer
/// 2,700 gas for ever, to save once.
contract NodeShareFactory is INodeShareFactory, Ownable {
    uint256 private constant MAX_PROTOCOL_CUT_BPS = 1_000;
    uint256 private constant MAX_NAME_BYTES = 64;
    uint256 private constant MAX_SYMBOL_BYTES = 16;

    /// @inheritdoc INodeShareFactory
    INodeRegistry public immutable registry;
    /// @inheritdoc INodeShareFactory
    address public immutable asset;

    /// @inheritdoc INodeShareFactory
    address public enforcer;
    /// @inheritdoc INodeShareFactory
    address public treasury;
    /// @inheritdoc INodeShareFactory
    uint16 public protocolCutBps;
    /// @inheritdoc INodeShareFactory
    mapping(address issuer => bool) public isIssuer;
    /// @inheritdoc INodeShareFactory
    mapping(NodeId node => address share) public shareOf;

    constructor(
        address owner,
        INodeRegistry registry_,
        address asset_,
        address enforcer_,
        address treasury_,
        uint16 protocolCutBps_
    ) {
        _initializeOwner(owner);
        registry = registry_;
        asset = asset_;
        _setEnforcer(enforcer_);
        _setTreasury(treasury_);
        _setProtocolCut(protocolCutBps_);
    }

    // Shares -----------------------------------------------------------------------------------------

    /// @inheritdoc INodeShareFactory
    function create(NodeId node, ShareTerms calldata terms) external returns (address share) {
        // Check
        if (registry.operatorOf(node) != msg.sender) revert NodeShareFactory_NotOperator(node, msg.sender);
        INodeRegistry.Status status = registry.statusOf(node);
        if (status < INodeRegistry.Status.Attested || status == INodeRegistry.Status.Retired) {
            revert NodeShareFactory_NodeNotReady(node, status);
        }
        if (shareOf[node] != address(0)) revert NodeShareFactory_AlreadyCreated(node, shareOf[node]);
        if (terms.issuer != address(0) && !isIssuer[terms.issuer]) {
            revert NodeShareFactory_IssuerNotAllowed(terms.issuer);
        }
        _checkLabel(terms.name, MAX_NAME_BYTES);
        _checkLabel(terms.symbol, MAX_SYMBOL_BYTES);
        // Effect: the share's constructor calls nobody but the eligibility module, as a view.
        share = address(new NodeShare(node, asset, msg.sender, protocolCutBps, terms));
        shareOf[node] = share;
        emit ShareCreated(node, share, msg.sender, terms);
    }

    /// @inheritdoc INodeShareFactory
    function claimMany(NodeId[] calldata nodes, address account) external returns (uint256 paidUsd6) {
        for (uint256 i = 0; i < nodes.length; ++i) {
            INodeShare share = INodeShare(shareOf[nodes[i]]);
            if (address(share) == address(0)) revert NodeShareFactory_NoShare(nodes[i]);
            if (share.claimableUsd6(account) != 0) paidUsd6 += share.claimFor(account);
        }
    }

    function _checkLabel(string calldata label, uint256 maxBytes) private pure {
        uint256 length = bytes(label).length;
        if (length == 0 || length > maxBytes) revert NodeShareFactory_LabelOutOfBounds(label, maxBytes);
    }

    // Owner ------------------------------------------------------------------------------------------

    /// @inheritdoc INodeShareFactory
    function setEnforcer(address enforcer_) external onlyOwner {
        _setEnforcer(enforcer_);
    }

    /// @inheritdoc INodeShareFactory
    function setTreasury(address treasury_) external onlyOwner {
        _setTreasury(treasury_);
    }

    /// @inheritdoc INodeShareFactory
    function setProtocolCut(uint16 protocolCutBps_) external onlyOwner {
        _setProtocolCut(protocolCutBps_);
    }

    /// @inheritdoc INodeShareFactory
    function setIssuer(address issuer, bool allowed) external onlyOwner {
        isIssuer[issuer] = allowed;
        emit IssuerSet(issuer, allowed);
    }

    function _setEnforcer(address enforcer_) private {
        enforcer = enforcer_;
        emit EnforcerSet(enforcer_);
    }

    function _setTreasury(address treasury_) private {
        if (treasury_ == address(0)) revert NodeShareFactory_ZeroTreasury();
        treasury = treasury_;
        emit TreasurySet(treasury_);
    }

    function _setProtocolCut(uint16 protocolCutBps_) private {
        if (protocolCutBps_ > MAX_PROTOCOL_CUT_BPS) {
            revert NodeShareFactory_ProtocolCutTooHigh(protocolCutBps_, MAX_PROTOCOL_CUT_BPS);
        }
        protocolCutBps = protocolCutBps_;
        emit ProtocolCutSet(protocolCutBps_);
    }
}

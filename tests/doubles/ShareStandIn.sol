// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeShare} from "../../contracts/interfaces/INodeShare.sol";
import {NodeId} from "../../contracts/types/NodeTypes.sol";

/// @notice Test double: a factory that is its own only share, in whatever phase, for whatever issuer.
contract ShareStandIn {
    INodeShare.Phase public phase;
    address public issuer;
    address public asset;

    constructor(INodeShare.Phase phase_) {
        phase = phase_;
    }

    function setIssuer(address issuer_) external {
        issuer = issuer_;
    }

    function shareOf(NodeId) external view returns (address) {
        return address(this);
    }
}

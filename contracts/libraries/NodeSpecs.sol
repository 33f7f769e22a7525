// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {INodeRegistry} from "../interfaces/INodeRegistry.sol";
import {GpuClass} from "../types/NodeTypes.sol";

/// @notice What a node's spec may say, and the digest by which attestors vouch for it.
library NodeSpecs {
    uint32 internal constant MAX_POWER_WATTS = 1_000_000;
    uint16 internal constant MAX_SLA_BPS = 10_000;

    /// @notice Not left-aligned printable ASCII without spaces, or empty.
    error NodeSpecs_InvalidGpuClass(GpuClass gpuClass);
    error NodeSpecs_NoGpus();
    /// @notice Not of the form of an ISO 3166-2 code: two capital letters, or these, a hyphen and one to
    /// three capital letters or digits, left-aligned.
    error NodeSpecs_InvalidRegion(bytes8 region);
    error NodeSpecs_PowerOutOfBounds(uint32 powerWatts, uint32 limitWatts);
    error NodeSpecs_SlaTooHigh(uint16 slaBps, uint16 limitBps);
    error NodeSpecs_NoSpecHash();

    /// @notice Reverts, naming the value, unless every field is within its bounds.
    function check(INodeRegistry.NodeSpec calldata spec) internal pure {
        require(_isName(GpuClass.unwrap(spec.gpuClass)), NodeSpecs_InvalidGpuClass(spec.gpuClass));
        require(spec.gpuCount != 0, NodeSpecs_NoGpus());
        require(_isRegion(spec.region), NodeSpecs_InvalidRegion(spec.region));
        require(
            spec.powerWatts != 0 && spec.powerWatts <= MAX_POWER_WATTS,
            NodeSpecs_PowerOutOfBounds(spec.powerWatts, MAX_POWER_WATTS)
        );
        require(spec.slaBps <= MAX_SLA_BPS, NodeSpecs_SlaTooHigh(spec.slaBps, MAX_SLA_BPS));
        require(spec.specHash != 0, NodeSpecs_NoSpecHash());
    }

    /// @notice Covers the operator too: after a reorganization of the chain the same number may name a node
    /// of somebody else, and a signature for the first must not vouch for the second.
    function digest(address operator, INodeRegistry.NodeSpec memory spec) internal pure returns (bytes32) {
        return keccak256(abi.encode(operator, spec));
    }

    /// @dev Visible ASCII, then nothing but zeros, so that a class has exactly one spelling.
    function _isName(bytes16 text) private pure returns (bool) {
        uint256 length;
        while (length < 16 && text[length] > 0x20 && text[length] < 0x7f) ++length;
        return length != 0 && (length == 16 || text << (8 * length) == 0);
    }

    function _isRegion(bytes8 text) private pure returns (bool) {
        if (!_isCapital(text[0]) || !_isCapital(text[1])) return false;
        if (text << 16 == 0) return true;
        if (text[2] != "-") return false;
        uint256 length = 3;
        while (length < 6 && (_isCapital(text[length]) || _isDigit(text[length]))) ++length;
        return length != 3 && text << (8 * length) == 0;
    }

    function _isCapital(bytes1 character) private pure returns (bool) {
        return character >= "A" && character <= "Z";
    }

    function _isDigit(bytes1 character) private pure returns (bool) {
        return character >= "0" && character <= "9";
    }
}

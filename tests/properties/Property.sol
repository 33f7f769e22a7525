// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {Vm} from "./Vm.sol";

/// @notice Base of property tests and handlers: cheat codes, bounds, labelled assertions.
abstract contract Property {
    Vm internal constant vm = Vm(address(uint160(uint256(keccak256("hevm cheat code")))));

    error Property_Broken(string what, uint256 left, uint256 right);

    /// @dev Deploys `name` as it ships: properties are compiled by faster settings, contracts by the product's.
    function shipped(string memory name, bytes memory arguments) internal returns (address) {
        return vm.deployCode(string.concat("build/forge/out/", name, ".sol/", name, ".json"), arguments);
    }

    /// @dev Maps `value` into [low, high], keeping values that are inside as they are.
    function bound(uint256 value, uint256 low, uint256 high) internal pure returns (uint256) {
        if (value >= low && value <= high) return value;
        uint256 size = high - low + 1;
        return size == 0 ? value : low + value % size;
    }

    function holds(bool condition, string memory what) internal pure {
        if (!condition) revert Property_Broken(what, 0, 0);
    }

    function equal(uint256 left, uint256 right, string memory what) internal pure {
        if (left != right) revert Property_Broken(what, left, right);
    }

    function atMost(uint256 left, uint256 right, string memory what) internal pure {
        if (left > right) revert Property_Broken(what, left, right);
    }

    function atLeast(uint256 left, uint256 right, string memory what) internal pure {
        if (left < right) revert Property_Broken(what, left, right);
    }
}

/// @notice Base of invariants over random histories. The steps are all functions of one handler but those left out.
abstract contract HistoryProperty is Property {
    /// A forge convention: functions of a target.
    struct FuzzSelector {
        address addr;
        bytes4[] selectors;
    }

    address private _handler;
    bytes4[] private _leftOut;

    function _play(address handler) internal {
        _handler = handler;
    }

    function _leaveOut(bytes4 function_) internal {
        _leftOut.push(function_);
    }

    function targetContracts() external view returns (address[] memory targets) {
        targets = new address[](1);
        targets[0] = _handler;
    }

    function excludeSelectors() external view returns (FuzzSelector[] memory excluded) {
        excluded = new FuzzSelector[](1);
        excluded[0] = FuzzSelector(_handler, _leftOut);
    }
}

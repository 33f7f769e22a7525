// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Who may hold shares. A NodeShare asks it on every transfer when one is set.
interface IEligibility {
    /// @notice Whether `account` may send and receive shares. Never reverts.
    function isEligible(address account) external view returns (bool);
}

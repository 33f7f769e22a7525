// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Who may hold shares. A NodeShare that names a module asks it for both sides of every transfer,
/// with 100,000 gas; an answer that fails, or is not exactly `true`, means no.
interface IEligibility {
    /// @notice Whether `account` may send and receive shares. Never reverts.
    function isEligible(address account) external view returns (bool);
}

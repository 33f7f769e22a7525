// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice ERC-7943 (uRWA) for fungible tokens, final text; ERC-165 id 0x3edbb4c4.
interface IERC7943 {
    /// @notice `amount` was moved by the enforcer, without the holder's consent.
    event ForcedTransfer(address indexed from, address indexed to, uint256 amount);
    /// @notice From now on `amount` of the account's tokens is frozen, be it more than its balance.
    event Frozen(address indexed account, uint256 amount);

    error ERC7943CannotSend(address account);
    error ERC7943CannotReceive(address account);
    error ERC7943CannotTransfer(address from, address to, uint256 amount);
    /// @notice The amount is within the balance, but not within its part that may move.
    error ERC7943InsufficientUnfrozenBalance(address account, uint256 amount, uint256 unfrozen);

    /// @notice Moves tokens past a freeze. Enforcer only; emits `Frozen` first where it eats into the freeze.
    function forcedTransfer(address from, address to, uint256 amount) external returns (bool result);
    /// @notice Overwrites how much of `account` is frozen. Enforcer only.
    function setFrozenTokens(address account, uint256 amount) external returns (bool result);

    /// @notice Whether `account` may send tokens. Never reverts.
    function canSend(address account) external view returns (bool allowed);
    /// @notice Whether `account` may be given tokens. Never reverts.
    function canReceive(address account) external view returns (bool allowed);
    function getFrozenTokens(address account) external view returns (uint256 amount);
    /// @notice Whether the rules allow the transfer now; asks for neither balance nor allowance. Never reverts.
    function canTransfer(address from, address to, uint256 amount) external view returns (bool allowed);
}

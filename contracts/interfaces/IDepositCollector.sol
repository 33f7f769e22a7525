// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Brings a deposit from a payer to the settlement contract that asks for it.
interface IDepositCollector {
    /// @notice Moves exactly `amount` of `token` from `payer` to the caller, which must be the settlement
    /// contract. The payer's consent, bound to `channelId`, is in `collectorData`.
    function collect(
        address payer,
        address token,
        uint256 amount,
        bytes32 channelId,
        bytes calldata collectorData
    ) external;
}

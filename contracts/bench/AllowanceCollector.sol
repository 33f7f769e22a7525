// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {IDepositCollector} from "../interfaces/IDepositCollector.sol";

/// @notice Bench stand-in for a deposit collector: takes from an allowance, so that a dollar without EIP-3009 can be
/// deposited. It hands any allowance to any caller; never deployed where value is at stake.
contract AllowanceCollector is IDepositCollector {
    /// @inheritdoc IDepositCollector
    function collect(address payer, address token, uint256 amount, bytes32, bytes calldata) external {
        // slither-disable-next-line arbitrary-send-erc20
        SafeTransferLib.safeTransferFrom(token, payer, msg.sender, amount);
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {SafeTransferLib} from "solady/src/utils/SafeTransferLib.sol";

import {IDepositCollector} from "../interfaces/IDepositCollector.sol";
import {IERC3009} from "../interfaces/IERC3009.sol";

/// @notice Brings deposits by EIP-3009: the payer signs, anyone sends, and the money passes through within the call.
/// @dev The authorization's nonce is keccak256(abi.encode(channelId, salt)), so a signature is for one channel alone.
contract ERC3009DepositCollector is IDepositCollector {
    using SafeTransferLib for address;

    /// The scheme's canonical address of the settlement contract, the only one that is served: a signature does not
    /// name who may bring it here, so from anybody else it would be theft. No immutable, as this code too is put
    /// at its canonical address on local chains.
    address public constant SETTLEMENT = 0x4020074e9dF2ce1deE5A9C1b5c3f541D02a10003;

    error ERC3009DepositCollector_NotSettlement(address caller);

    /// @inheritdoc IDepositCollector
    /// @param collectorData abi.encode(uint256 validAfter, uint256 validBefore, uint256 salt, bytes signature)
    function collect(
        address payer,
        address token,
        uint256 amount,
        bytes32 channelId,
        bytes calldata collectorData
    ) external {
        // Check
        if (msg.sender != SETTLEMENT) revert ERC3009DepositCollector_NotSettlement(msg.sender);
        (uint256 validAfter, uint256 validBefore, uint256 salt, bytes memory signature) =
            abi.decode(collectorData, (uint256, uint256, uint256, bytes));
        bytes32 nonce = keccak256(abi.encode(channelId, salt));

        // Interaction: in, and on to who asked.
        IERC3009(token)
            .receiveWithAuthorization(payer, address(this), amount, validAfter, validBefore, nonce, signature);
        token.safeTransfer(SETTLEMENT, amount);
    }
}

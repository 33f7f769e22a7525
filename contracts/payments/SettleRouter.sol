// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {IBatchSettlement} from "../interfaces/IBatchSettlement.sol";
import {ISettleRouter} from "../interfaces/ISettleRouter.sol";
import {DenseClaims} from "../libraries/DenseClaims.sol";

/// @notice See ISettleRouter. It has no storage.
contract SettleRouter is ISettleRouter {
    using DenseClaims for bytes;

    /// @inheritdoc ISettleRouter
    /// @dev Not the canonical address itself: a network may have the standard elsewhere, and tests have several.
    address public immutable settlement;

    /// @inheritdoc ISettleRouter
    uint256 public constant GAS_PER_CALL = 300_000;

    /// A call keeps back a 64th of what is left, and itself costs less than 3,000.
    uint256 private constant GAS_NEEDED = GAS_PER_CALL + GAS_PER_CALL / 60 + 3_000;

    bytes4 private constant SYNC = bytes4(keccak256("sync()"));

    constructor(address settlement_) {
        if (settlement_.code.length == 0) revert SettleRouter_NoSettlement(settlement_);
        settlement = settlement_;
    }

    /* SETTLE */

    /// @inheritdoc ISettleRouter
    function claimAndSettle(bytes calldata batch, bytes calldata authorizerSignature) external {
        // Check and interaction: the settlement's contract judges every row; its error is ours.
        _claim(batch.expand(authorizerSignature));

        // Interaction: who can be paid is paid, before any receiver's own code runs.
        uint256 receivers = batch.receiverCount();
        address token = batch.token();
        for (uint256 i; i < receivers; ++i) {
            // slither-disable-next-line unused-return
            (address receiver,,) = batch.receiverAt(i);
            bytes memory data = abi.encodeCall(IBatchSettlement.settle, (receiver, token));
            if (!_tryCall(settlement, data)) emit SettleFailed(receiver, token);
        }
        for (uint256 i; i < receivers; ++i) {
            // slither-disable-next-line unused-return
            (address receiver, bool toSync,) = batch.receiverAt(i);
            if (toSync && !_tryCall(receiver, abi.encodePacked(SYNC))) emit SyncFailed(receiver);
        }
    }

    function _claim(bytes memory data) private {
        (bool done, bytes memory result) = settlement.call(data);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }

    /// @dev Promised gas and no more, and its answer is not copied: a receiver can waste no more than that. Without the
    /// promise an estimate of gas would find the least with which calls fail quietly.
    function _tryCall(address target, bytes memory data) private returns (bool done) {
        if (gasleft() < GAS_NEEDED) revert SettleRouter_TooLittleGas(gasleft(), GAS_NEEDED);
        assembly ("memory-safe") {
            done := call(GAS_PER_CALL, target, 0, add(data, 0x20), mload(data), 0, 0)
        }
    }
}

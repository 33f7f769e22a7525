// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Stands in for Multicall3 on local chains, which lack it: the two functions that clients here use, with
/// Multicall3's names and shapes. Deployment puts its code at Multicall3's address where there is none.
contract Multicall3StandIn {
    struct Call {
        address target;
        bytes callData;
    }

    struct Call3 {
        address target;
        bool allowFailure;
        bytes callData;
    }

    struct Result {
        bool success;
        bytes returnData;
    }

    error Multicall3StandIn_CallFailed(uint256 index, bytes returnData);

    /// @notice Makes every call in turn; the first that fails fails all if `requireSuccess`.
    function tryAggregate(bool requireSuccess, Call[] calldata calls)
        external
        returns (Result[] memory results)
    {
        results = new Result[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            results[i] = _call(i, calls[i].target, !requireSuccess, calls[i].callData);
        }
    }

    /// @notice As `tryAggregate`, with each call saying by itself whether it may fail.
    function aggregate3(Call3[] calldata calls) external returns (Result[] memory results) {
        results = new Result[](calls.length);
        for (uint256 i; i < calls.length; ++i) {
            results[i] = _call(i, calls[i].target, calls[i].allowFailure, calls[i].callData);
        }
    }

    function _call(uint256 index, address target, bool allowFailure, bytes calldata data)
        private
        returns (Result memory result)
    {
        // Calling whatever it is told is its job, and it holds nothing.
        // slither-disable-next-line calls-loop,low-level-calls
        (result.success, result.returnData) = target.call(data);
        if (!result.success && !allowFailure) {
            revert Multicall3StandIn_CallFailed(index, result.returnData);
        }
    }
}

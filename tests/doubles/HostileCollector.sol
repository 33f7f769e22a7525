// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";

/// @notice Test double: a deposit collector that calls `target` before it brings `brings`, out of nothing.
contract HostileCollector {
    uint256 public brings;
    address public target;
    bytes public data;
    uint256 public reentered;
    bytes public refusal;

    function set(uint256 brings_, address target_, bytes calldata data_) external {
        (brings, target, data) = (brings_, target_, data_);
    }

    function collect(address, address token, uint256, bytes32, bytes calldata) external {
        if (target != address(0)) {
            address to = target;
            target = address(0); // one level deep
            (bool done, bytes memory result) = to.call(data);
            if (done) ++reentered;
            else refusal = result;
        }
        PlainUSD(token).mint(msg.sender, brings);
    }

    /// @notice Lets it be payer or receiver side of a channel.
    function execute(address to, bytes calldata data_) external {
        (bool done, bytes memory result) = to.call(data_);
        if (!done) {
            assembly ("memory-safe") {
                revert(add(result, 0x20), mload(result))
            }
        }
    }
}

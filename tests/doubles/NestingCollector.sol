// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";

/// @notice Test double: a deposit collector that first calls `target`; where that leads to another collection, it brings
/// `nestedBrings` for it, and then `brings` for the first, out of nothing. A channel's payer too, whose vouchers
/// anybody may sign.
contract NestingCollector {
    uint256 public brings;
    uint256 public nestedBrings;
    address public target;
    bytes public data;
    bool public cameBack;
    bool private nested;

    function set(uint256 brings_, uint256 nestedBrings_, address target_, bytes calldata data_) external {
        (brings, nestedBrings, target, data, cameBack) = (brings_, nestedBrings_, target_, data_, false);
    }

    function collect(address, address token, uint256, bytes32, bytes calldata) external {
        if (nested) return PlainUSD(token).mint(msg.sender, nestedBrings);
        if (target != address(0)) {
            nested = true;
            (cameBack,) = target.call(data);
            nested = false;
        }
        PlainUSD(token).mint(msg.sender, brings);
    }

    function isValidSignature(bytes32, bytes calldata signature) external pure returns (bytes4) {
        return signature.length == 65 ? bytes4(0x1626ba7e) : bytes4(0xffffffff);
    }
}

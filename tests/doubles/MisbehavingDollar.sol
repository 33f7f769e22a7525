// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "solady/src/tokens/ERC20.sol";

/// @notice Test double: a dollar with 6 decimals that anyone may mint. It behaves until it is told to take a
/// fee, to refuse a receiver, to answer `false` and move nothing, or to call out before it moves anything.
contract MisbehavingDollar is ERC20 {
    uint256 public feeUsd6;
    bool public answersFalse;
    mapping(address account => bool) public isRefused;
    address public calls;
    bytes public calldata_;
    bool public didCall;

    error MisbehavingDollar_Refused(address account);

    function mint(address to, uint256 amountUsd6) external {
        _mint(to, amountUsd6);
    }

    function takeFee(uint256 feeUsd6_) external {
        feeUsd6 = feeUsd6_;
    }

    function refuse(address account, bool refused) external {
        isRefused[account] = refused;
    }

    function answerFalse(bool answersFalse_) external {
        answersFalse = answersFalse_;
    }

    /// @notice The next transfer first calls `target` with `data`, as a caller who lets it take all its
    /// dollars; whether that went well is in `didCall`.
    function callOut(address target, bytes calldata data) external {
        calls = target;
        calldata_ = data;
        didCall = false;
    }

    function transfer(address to, uint256 amountUsd6) public override returns (bool) {
        return !answersFalse && super.transfer(to, _before(to, amountUsd6));
    }

    function transferFrom(address from, address to, uint256 amountUsd6) public override returns (bool) {
        return !answersFalse && super.transferFrom(from, to, _before(to, amountUsd6));
    }

    function name() public pure override returns (string memory) {
        return "Misbehaving Dollar";
    }

    function symbol() public pure override returns (string memory) {
        return "mUSD";
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function _before(address to, uint256 amountUsd6) private returns (uint256) {
        require(!isRefused[to], MisbehavingDollar_Refused(to));
        address target = calls;
        if (target != address(0)) {
            calls = address(0);
            _approve(address(this), target, type(uint256).max);
            (didCall,) = target.call(calldata_);
        }
        return amountUsd6 - feeUsd6;
    }

    function _givePermit2InfiniteAllowance() internal pure override returns (bool) {
        return false;
    }
}

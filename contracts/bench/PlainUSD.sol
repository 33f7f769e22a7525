// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ERC20} from "solady/src/tokens/ERC20.sol";

/// @notice Bench stand-in for a stablecoin: a plain ERC-20 with 6 decimals that anyone may mint. Gas figures
/// taken with it compare across systems; never deployed where value is at stake.
contract PlainUSD is ERC20 {
    function mint(address to, uint256 amountUsd6) external {
        _mint(to, amountUsd6);
    }

    function name() public pure override returns (string memory) {
        return "Plain Dollar";
    }

    function symbol() public pure override returns (string memory) {
        return "pUSD";
    }

    function decimals() public pure override returns (uint8) {
        return 6;
    }

    function _givePermit2InfiniteAllowance() internal pure override returns (bool) {
        return false;
    }
}

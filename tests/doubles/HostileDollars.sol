// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {PlainUSD} from "../../contracts/bench/PlainUSD.sol";

/// @notice Refuses to pay whom it has blacklisted.
contract BlacklistingDollar is PlainUSD {
    mapping(address account => bool) public blacklisted;

    error Blacklisted(address account);

    function setBlacklisted(address account, bool on) external {
        blacklisted[account] = on;
    }

    function _beforeTokenTransfer(address from, address to, uint256) internal view override {
        if (blacklisted[from]) revert Blacklisted(from);
        if (blacklisted[to]) revert Blacklisted(to);
    }
}

/// @notice Says `false` instead of reverting while `failing`.
contract FalseDollar is PlainUSD {
    bool public failing;

    function setFailing(bool on) external {
        failing = on;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        return failing ? false : super.transfer(to, amount);
    }
}

/// @notice Keeps a hundredth of what is transferred, and takes another from the sender while `greedy`.
contract FeeDollar is PlainUSD {
    bool public greedy;

    function setGreedy(bool on) external {
        greedy = on;
    }

    function transfer(address to, uint256 amount) public override returns (bool) {
        super.transfer(to, amount - amount / 100);
        _burn(msg.sender, greedy ? amount / 100 * 2 : amount / 100);
        return true;
    }
}

/// @notice Takes money out of an account without asking, or loses its books.
contract ShrinkingDollar is PlainUSD {
    bool public dead;

    function seize(address from, uint256 amount) external {
        _burn(from, amount);
    }

    function setDead(bool on) external {
        dead = on;
    }

    function balanceOf(address account) public view override returns (uint256) {
        if (dead) revert();
        return super.balanceOf(account);
    }
}

/// @notice Calls `target` in the middle of every transfer: before the money has moved, or right after.
contract ReentrantDollar is PlainUSD {
    address public target;
    bytes public before;
    bytes public afterwards;
    uint256 public calls;

    function setCalls(address target_, bytes calldata before_, bytes calldata afterwards_) external {
        (target, before, afterwards) = (target_, before_, afterwards_);
    }

    function _beforeTokenTransfer(address from, address, uint256) internal override {
        if (from != address(0)) _call(before);
    }

    function _afterTokenTransfer(address from, address, uint256) internal override {
        if (from != address(0)) _call(afterwards);
    }

    /// @dev One level deep: what it calls may fail, and may not be called back for ever.
    function _call(bytes memory data) private {
        address to = target;
        if (to == address(0) || data.length == 0) return;
        target = address(0);
        (bool done,) = to.call(data);
        if (done) ++calls;
        target = to;
    }
}

// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice Test double: a receiver of income whose `sync` does what it is told: nothing, revert with more than anyone
/// wants to read, burn all its gas, or call out.
contract HostileReceiver {
    enum Mood {
        Calm,
        Reverting,
        Burning,
        Calling
    }

    Mood public mood;
    address public target;
    bytes public data;
    uint256 public synced;
    uint256 public gasAtSync;
    bool public calledWell;

    function set(Mood mood_, address target_, bytes calldata data_) external {
        (mood, target, data) = (mood_, target_, data_);
    }

    function sync() external returns (uint256) {
        gasAtSync = gasleft();
        ++synced;
        if (mood == Mood.Reverting) {
            assembly ("memory-safe") {
                revert(0, 20000)
            }
        }
        if (mood == Mood.Burning) {
            while (true) {}
        }
        if (mood == Mood.Calling) (calledWell,) = target.call(data);
        return 0;
    }
}

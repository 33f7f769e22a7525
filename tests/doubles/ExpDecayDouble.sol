// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

import {ExpDecay} from "../../contracts/libraries/ExpDecay.sol";

/// @notice Lets a test call the share's exponential by itself, many points at a time.
contract ExpDecayDouble {
    function releasedX64Down(uint256[] calldata elapsedSeconds, uint256 tauSeconds)
        external
        pure
        returns (uint256[] memory released)
    {
        released = new uint256[](elapsedSeconds.length);
        for (uint256 i = 0; i < released.length; ++i) {
            released[i] = ExpDecay.releasedX64Down(elapsedSeconds[i], tauSeconds);
        }
    }
}

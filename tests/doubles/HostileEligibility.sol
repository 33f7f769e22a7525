// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice An eligibility module that answers in every way that an answer can go wrong.
contract HostileEligibility {
    enum Mood {
        Yes,
        No,
        Reverts,
        BurnsGas,
        AnswersThree,
        AnswersShort,
        AnswersLong
    }

    Mood public mood;

    function setMood(Mood mood_) external {
        mood = mood_;
    }

    function isEligible(address) external view returns (bool) {
        Mood now_ = mood;
        if (now_ == Mood.Reverts) revert();
        while (now_ == Mood.BurnsGas) {}
        assembly {
            if eq(now_, 4) {
                mstore(0x00, 3)
                return(0x00, 0x20)
            }
            if eq(now_, 5) {
                mstore(0x00, shl(248, 1))
                return(0x00, 0x01)
            }
            // A yes, followed by far more than anybody asked for.
            if eq(now_, 6) {
                mstore(0x00, 1)
                return(0x00, 0x2000)
            }
        }
        return now_ == Mood.Yes;
    }
}

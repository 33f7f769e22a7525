// SPDX-License-Identifier: MIT
pragma solidity ^0.8.28;

/// @notice How much of a reservoir has drained after a time: 1 - e^(-t/tau), in integers.
///
/// e^-x is the 1024th power of e^(-x/1024): seven terms of a Taylor series, squared ten times, in Q128.
/// Error of the result before it is rounded, in units of 2^-128, for x < 64 (so z = x/1024 < 1/16):
/// - Each of the seven steps floors once (flooring a quotient twice is flooring it once) and shrinks the
///   error before it by z/n < 1/16: below 1.1 altogether. A squaring doubles an error and floors once:
///   below 2^12 after ten.
/// - The series stops before z^8/8!, which ten squarings turn into at most e^-x * 1024 * z^8/8! * e^z. That
///   is largest at x = 8: 1024^-7 * e^-8 * 8^8/8! * 1.01 < 2^-72, hence below 2^56.
/// `SLACK_X128` covers both. The power falls as x rises: a step of x by 2^-64 moves z by 2^54, far more than
/// the 1.1 by which the series may err, and squaring keeps the order. So the fraction never falls with time.
library ExpDecay {
    uint256 internal constant ONE_X64 = 1 << 64;
    uint256 private constant ONE_X128 = 1 << 128;
    uint256 private constant SLACK_X128 = 1 << 57;
    /// From here on e^-x is below 2^-92, less than one unit of what a reservoir can hold: all has drained.
    uint256 private constant DRAINED_X64 = 64 << 64;

    /// @notice 1 - e^(-elapsedSeconds / tauSeconds), scaled by 2^64: 0 when nothing elapsed, 2^64 from
    /// 64 tau on. Rounded down, so that nothing is released before its time; at most 2^-7 + 1 units below
    /// the true value, plus what flooring the exponent to 2^-64 costs.
    /// @param elapsedSeconds Below 2^64.
    /// @param tauSeconds Not zero.
    function releasedX64Down(uint256 elapsedSeconds, uint256 tauSeconds) internal pure returns (uint256) {
        // Unchecked: z < 2^124 and 0 < v <= 2^128, so z * v < 2^252, and no subtraction takes more than 2^124
        // from 2^128. v * v <= 2^256 would overflow only at v = 2^128, which means z = 0, returned before.
        unchecked {
            uint256 xX64 = (elapsedSeconds << 64) / tauSeconds;
            if (xX64 == 0) return 0;
            if (xX64 >= DRAINED_X64) return ONE_X64;
            uint256 z = xX64 << 54;
            uint256 v = ONE_X128 - z / 7;
            v = ONE_X128 - ((z * v) >> 128) / 6;
            v = ONE_X128 - ((z * v) >> 128) / 5;
            v = ONE_X128 - ((z * v) >> 128) / 4;
            v = ONE_X128 - ((z * v) >> 128) / 3;
            v = ONE_X128 - ((z * v) >> 128) / 2;
            v = ONE_X128 - ((z * v) >> 128);
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            v = (v * v) >> 128;
            return v + SLACK_X128 > ONE_X128 ? 0 : (ONE_X128 - SLACK_X128 - v) >> 64;
        }
    }
}

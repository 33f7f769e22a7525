"""How much of a reservoir has drained after a time: the integers of ExpDecay.sol, line by line."""

from __future__ import annotations

ONE_X64 = 1 << 64
ONE_X128 = 1 << 128
SLACK_X128 = 1 << 57
DRAINED_X64 = 64 << 64


def released_x64_down(elapsed_seconds: int, tau_seconds: int) -> int:
    """1 - e^(-elapsed/tau) scaled by 2^64, rounded down: 0 when nothing elapsed, 2^64 from 64 tau on."""
    x_x64 = (elapsed_seconds << 64) // tau_seconds
    if x_x64 == 0:
        return 0
    if x_x64 >= DRAINED_X64:
        return ONE_X64
    z = x_x64 << 54  # x / 1024 in Q128
    v = ONE_X128
    for n in (7, 6, 5, 4, 3, 2, 1):
        v = ONE_X128 - ((z * v) >> 128) // n
    for _ in range(10):
        v = (v * v) >> 128
    return max(0, ONE_X128 - SLACK_X128 - v) >> 64

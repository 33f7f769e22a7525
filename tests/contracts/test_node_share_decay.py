"""The contract's exponential is its twin's, bit by bit; the twin's own tests hold that to the true one."""

from __future__ import annotations

import random

from wellhead.reference.exp_decay import released_x64_down

HOUR, DAY = 3_600, 86_400


def test_release__is_the_twins_to_the_bit(deploy):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    rng = random.Random(seed)
    decay = deploy("ExpDecayDouble")
    for tau in (HOUR, DAY, 90 * DAY, *(rng.randint(HOUR, 90 * DAY) for _ in range(20))):
        elapsed = [0, 1, 2, tau, 64 * tau - 1, 64 * tau, 64 * tau + 1, 2**40]
        elapsed += [rng.randint(0, rng.choice((100, tau, 64 * tau))) for _ in range(200)]
        expected = [released_x64_down(seconds, tau) for seconds in elapsed]
        assert decay.functions.releasedX64Down(elapsed, tau).call() == expected

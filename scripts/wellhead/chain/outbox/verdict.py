"""What to do about one transaction, given what the chain says. Pure."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple


class Mined(NamedTuple):
    """Where one of an entry's transactions is in the chain."""

    block: int
    succeeded: bool


class Sight(NamedTuple):
    """What a node says of one entry. `used…` are the sender's nonces that are used, counted from 0."""

    # The newest block; asked first, so that everything else is at least as new.
    head: int
    mined: Mined | None
    # By the newest block.
    used: int
    # By the newest of those that count.
    used_for_good: int
    # With what waits in the node, as far as it could be mined now.
    used_soon: int


class Verdict(Enum):
    """What follows for the entry."""

    FINAL = "it counts"
    REVERTED = "it was mined and reverted, for good"
    OUTRUN = "its nonce was used by something else, for good"
    STRANDED = "a nonce before its own is missing, and nothing that could fill it is on its way"
    PUSH = "its turn has come, and it is not mined"
    WAIT = "nothing to do yet"


def judge(nonce: int, sight: Sight, confirmations: int) -> Verdict:
    """About the entry with `nonce`, that counts once it is `confirmations` blocks deep, its own included."""
    if sight.mined is not None:
        if sight.head - sight.mined.block + 1 < confirmations:
            return Verdict.WAIT
        return Verdict.FINAL if sight.mined.succeeded else Verdict.REVERTED
    if sight.used > nonce:  # or the node that was asked for the receipt only lags
        return Verdict.OUTRUN if sight.used_for_good > nonce else Verdict.WAIT
    if sight.used < nonce:
        return Verdict.WAIT if sight.used_soon >= nonce else Verdict.STRANDED
    return Verdict.PUSH


def is_behind(head: int, newest: int, watched_blocks: int) -> bool:
    """Whether a node at `head` knows too little to be believed, given that something was decided in block `newest`: no
    reorganisation that is looked out for goes so far back."""
    return head + watched_blocks < newest

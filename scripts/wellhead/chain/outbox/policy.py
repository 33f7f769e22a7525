"""How patiently a transaction is brought into the chain, and what it may cost."""

from __future__ import annotations

from dataclasses import dataclass

from wellhead.errors import Misused

GWEI = 10**9
URGENT_PARTS = 4


@dataclass(frozen=True, slots=True)
class SendingPolicy:
    """How a transaction is brought into the chain. Times in seconds, fees in wei per unit of gas."""

    # Not mined for so long, it is replaced with a higher fee; an urgent one after a quarter of that.
    patience_seconds: float = 60
    max_fee_wei: int = 200 * GWEI
    # Blocks, its own included, after which it counts.
    confirmations: int = 3
    # Blocks for which what counts is still looked after, in case of a deeper reorganisation.
    watched_blocks: int = 64
    # How often the chain is asked about a transaction under way.
    poll_seconds: float = 2

    def __post_init__(self) -> None:
        if self.confirmations < 1 or self.watched_blocks < 0:
            raise Misused(f"{self.confirmations} confirmations: the block itself is the first")
        if self.patience_seconds <= 0 or self.poll_seconds <= 0 or self.max_fee_wei <= 0:
            raise Misused(f"{self}: patience, poll interval and highest fee are above 0")

    def is_stuck(self, waited_seconds: float, *, urgent: bool) -> bool:
        """Whether a transaction that waited so long needs a higher fee."""
        return waited_seconds >= self.patience_seconds / (URGENT_PARTS if urgent else 1)

"""A local chain's clock that goes with this machine's, so many times faster."""

from __future__ import annotations

import threading
import time
from contextlib import suppress

from requests.exceptions import RequestException
from web3 import Web3

from wellhead.chain import local

STEP_SECONDS = 0.25


class FastClock:
    """`factor` chain seconds pass for each one here, from `with` to the end of its block. Others may send meanwhile."""

    def __init__(self, w3: Web3, genesis: int, anchor_ms: int, factor: int) -> None:
        """Wall milliseconds `anchor_ms` stand for chain time `genesis`. A chain that is ahead is waited for."""
        self._w3, self._genesis, self._anchor_ms, self._factor = w3, genesis, anchor_ms, factor
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="fast clock", daemon=True)

    def __enter__(self) -> FastClock:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        """From now on the chain's time passes as it does by itself; harmless when it does."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.wait(STEP_SECONDS):
            due = self._genesis + int((time.time() * 1000 - self._anchor_ms) * self._factor / 1000)
            # A chain too busy to answer is asked again; one that has ended, others miss as well.
            with suppress(RequestException, local.LocalChainError):
                if (ahead := due - local.chain_time(self._w3)) > 0:
                    local.skip(self._w3, ahead)

"""One process at a time for what two would spoil for each other."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wellhead.errors import Refused


@contextmanager
def exclusive(lock: Path, otherwise: str) -> Iterator[None]:
    """Holds the file `lock` while the block lasts. Raises Refused(`otherwise`) if another process holds it.

    The kernel lets go of it when the process ends, however it ends.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Refused(otherwise) from None
        yield

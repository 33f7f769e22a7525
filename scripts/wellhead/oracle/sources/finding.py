"""What one source found out about one node over a window, with what it follows from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import httpx
from eth_hash.auto import keccak

from wellhead.oracle.observation import NOTHING, Counters, Window

HERE = "this machine"


class Exhibit(NamedTuple):
    """A piece of evidence: what was asked, and every byte of what was answered."""

    asked: str
    body: bytes


class Evidence(NamedTuple):
    """All that an observation follows from."""

    exhibits: tuple[Exhibit, ...]

    @property
    def hash(self) -> bytes:
        """32 bytes over every question and every byte of its answer."""
        parts = (part for one in self.exhibits for part in (one.asked.encode(), one.body))
        return keccak(b"".join(len(part).to_bytes(8, "big") + part for part in parts))


@dataclass(frozen=True)
class Finding:
    """One source's account of one node. Slots that are in `answered` were looked at; nothing is known of others."""

    line: str | None
    """What the source reaches the node over. None: it needs no line, and a missing answer is the node's own."""
    answered: Mapping[int, bool]
    gained: Counters = NOTHING
    counts: bool = False
    """Whether counters are read here."""
    exhibits: tuple[Exhibit, ...] = ()
    faults: tuple[str, ...] = ()
    took_ms: tuple[int, ...] = ()
    """How long right answers took, where the source measured that."""


class Source(Protocol):
    """One way of seeing one node, or a canary."""

    async def finding(self, client: httpx.AsyncClient, window: Window) -> Finding:
        """What is known of the window, once it is over. A source in trouble finds nothing, and says so in `faults`."""
        ...


def times(faults: Iterable[str]) -> tuple[str, ...]:
    """Each fault once, in the order in which they came up, with how often it did."""
    counted: dict[str, int] = {}
    for fault in faults:
        counted[fault] = counted.get(fault, 0) + 1
    return tuple(fault if often == 1 else f"{fault} ({often} times)" for fault, often in counted.items())

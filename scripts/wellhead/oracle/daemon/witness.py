"""What one reporter saw of a round, sealed once and for all: on disk before anything of it is said."""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from eth_account.signers.local import LocalAccount

from wellhead.errors import Refused
from wellhead.oracle.daemon.evidence import exhibits_in, hash_of_all, written
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.store import ReporterStore, Sealed
from wellhead.oracle.energy import whole_watt_hours
from wellhead.oracle.exchange.messages import Kind, Message, reveal_body, reveal_in
from wellhead.oracle.fleet import Sighting
from wellhead.oracle.observation import UNKNOWN, Counters, Observation, Window, joined
from wellhead.oracle.schedule import Schedule
from wellhead.oracle.sealed import SALT_BYTES, Revealed, seal
from wellhead.oracle.sources.finding import Evidence

# After a longer time without reports what came before is unknown: windows stay of a size that travels.
MAX_ROUNDS_AT_ONCE = 24
_log = logging.getLogger(__name__)


class Fleet(Protocol):
    """What this reporter measures nodes by."""

    async def run(self) -> None:
        """Look again and again until cancelled."""

    async def observe(self, window: Window) -> Mapping[int, Sighting]:
        """What was seen of each node."""


class Witness:
    """A reporter's eyes and its memory of what they saw."""

    def __init__(self, schedule: Schedule, fleet: Fleet, progress: Progress) -> None:
        self._schedule, self.fleet, self._progress = schedule, fleet, progress

    def window(self, since: int, round_number: int) -> Window:
        """The slots that a report of the round covers, if it goes on from round `since`."""
        return self._schedule.window(max(since, round_number - MAX_ROUNDS_AT_ONCE), round_number)

    async def observe(self, since: int, round_number: int) -> Mapping[int, Sighting]:
        """What was seen of each node over that window."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        sightings = await self.fleet.observe(self.window(since, round_number))
        self._progress.set(observe_seconds=loop.time() - begun)
        for node, sighting in sightings.items():
            for fault in sighting.faults:
                _log.warning("node %s: %s", node, fault)
        return sightings

    async def own(
        self, account: LocalAccount, store: ReporterStore, digest: bytes, since: int, round_number: int
    ) -> Revealed:
        """What `account` says of the round: what it sealed before, if it did. Raises Refused when that followed another
        round, and what the database raises: then nothing was said."""
        sealed = await asyncio.to_thread(store.sealed, digest, round_number)
        if sealed is None:
            sightings = dict(await self.observe(since, round_number))
            sightings |= await self._recalled(store, since, round_number, sightings)
            return await asyncio.to_thread(_seal, account, store, digest, since, round_number, sightings)
        if sealed.since != since:
            raise Refused(f"it was sealed as following round {sealed.since}, and now follows {since}")
        return reveal_in(Message(Kind.REVEAL, digest, round_number, account.address, sealed.reveal, b""))

    async def _recalled(
        self, store: ReporterStore, since: int, round_number: int, sightings: Mapping[int, Sighting]
    ) -> dict[int, Sighting]:
        """Nodes of which more was sealed with an earlier round since then than is known now: that, and what came after.

        Sources that look by themselves forget with the process. A round that was not reported must lose nothing by it.
        """
        last = await asyncio.to_thread(store.last_sealed, since, round_number)
        if last is None:
            return {}
        earlier_round, sealed = last
        said = Message(Kind.REVEAL, b"", earlier_round, "", sealed.reveal, b"")
        known = (await asyncio.to_thread(reveal_in, said)).observations
        forgotten = [
            node for node in sightings.keys() & known if _knows_less(sightings[node].observation, known[node])
        ]
        if not forgotten:
            return {}
        _log.warning(
            "round %s: of %s nodes more was sealed with round %s than is known now; that stands",
            *(round_number, len(forgotten), earlier_round),
        )
        newer = await self.observe(earlier_round, round_number)
        carried = await asyncio.to_thread(store.remainders, since)
        recalled = {}
        for node in forgotten:
            # What was sealed is whole watt-hours: as it was measured, it is counted anew.
            energy = Counters(0, 0, sealed.remainders.get(node, 0) - carried.get(node, 0))
            measured = replace(known[node], gained=known[node].gained + energy)
            kept = await asyncio.to_thread(store.evidence, earlier_round, node)
            exhibits = () if kept is None else exhibits_in(kept[1])
            recalled[node] = replace(
                newer[node],
                observation=joined(measured, newer[node].observation),
                evidence=Evidence((*exhibits, *newer[node].evidence.exhibits)),
            )
        return recalled


def _knows_less(now: Observation, then: Observation) -> bool:
    """Of the slots that `then` is about; where windows have grown too long to begin alike, nothing can be said."""
    if now.window.first_slot != then.window.first_slot:
        return False
    unknown = now.states[: then.window.slots].count(UNKNOWN)
    return then.window.slots - unknown < then.live_slots


def _seal(
    account: LocalAccount,
    store: ReporterStore,
    digest: bytes,
    since: int,
    round_number: int,
    sightings: Mapping[int, Sighting],
) -> Revealed:
    seen = {node: one.observation for node, one in sightings.items()}
    energy = whole_watt_hours(seen, store.remainders(since))
    hashes = {node: one.evidence.hash for node, one in sightings.items()}
    salt = secrets.token_bytes(SALT_BYTES)
    revealed = seal(account, digest, round_number, energy.observations, hash_of_all(hashes), salt)
    kept = {node: (hashes[node], written(sightings[node])) for node in sightings}
    # On disk before anything of it is said: who says two things is caught.
    store.seal(digest, round_number, Sealed(since, reveal_body(revealed), energy.remainders), kept)
    return revealed

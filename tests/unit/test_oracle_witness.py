"""What a reporter says of a round, if what it saw of earlier ones that were not reported is gone."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import virtual_time
from reporter_world import GENESIS, SLOT_MS, SLOTS, WINDOW_SECONDS
from wellhead.chain.keys import local_account
from wellhead.oracle.daemon.evidence import exhibits_in
from wellhead.oracle.daemon.progress import Progress
from wellhead.oracle.daemon.store import ReporterStore
from wellhead.oracle.daemon.witness import Witness
from wellhead.oracle.fleet import Sighting
from wellhead.oracle.observation import Counters, Observation, Window
from wellhead.oracle.round import MICROJOULES_PER_WH
from wellhead.oracle.schedule import Schedule
from wellhead.oracle.sealed import Revealed
from wellhead.oracle.sources.finding import Evidence, Exhibit

ACCOUNT = local_account("reporter-0")
SCHEDULE = Schedule.live(GENESIS, WINDOW_SECONDS, SLOT_MS)
FIRST = GENESIS * 1000 // SLOT_MS
DIGEST = b"\x11" * 32
PER_SLOT = Counters(tokens=3, busy_micros=7, energy_microjoules=MICROJOULES_PER_WH * 2 // 7)


class Eyes:
    """Sees nodes 7 and 8 serve, but for what it forgot; `windows` are those that it was asked for."""

    def __init__(self, forgot_7_before: int = 0) -> None:
        self._known = {7: forgot_7_before, 8: 0}
        self.windows: list[Window] = []

    async def run(self) -> None:
        raise NotImplementedError

    async def observe(self, window: Window) -> Mapping[int, Sighting]:
        self.windows.append(window)
        found = {}
        for node, first in self._known.items():
            slots = range(window.first_slot, window.first_slot + window.slots)
            states = "".join("U" if slot >= FIRST + first else "?" for slot in slots)
            times = states.count("U")
            gained = Counters(
                times * PER_SLOT.tokens, times * PER_SLOT.busy_micros, times * PER_SLOT.energy_microjoules
            )
            seen = Observation(ACCOUNT.address, node, window, states, gained)
            exhibit = Exhibit(f"slots {slots.start - FIRST} to {slots.stop - FIRST}", states.encode())
            found[node] = Sighting(seen, Evidence((exhibit,)), (), ())
        return found


def say(store: ReporterStore, eyes: Eyes, since: int, round_number: int) -> Revealed:
    witness = Witness(SCHEDULE, eyes, Progress(WINDOW_SECONDS, dry=False))
    return virtual_time.run(witness.own(ACCOUNT, store, DIGEST, since, round_number))


def store_in(folder: Path, name: str) -> ReporterStore:
    return ReporterStore(f"sqlite:///{folder / name}.db")


def test_what_is_forgotten_stands_as_it_was_sealed(tmp_path: Path) -> None:
    whole, broken = store_in(tmp_path, "whole"), store_in(tmp_path, "broken")
    always, before, after = Eyes(), Eyes(), Eyes(forgot_7_before=3 * SLOTS)
    for store, eyes in ((whole, always), (broken, before)):
        for since, round_number in ((0, 1), (1, 2), (1, 3)):
            say(store, eyes, since, round_number)
    uninterrupted, again = say(whole, always, 1, 5), say(broken, after, 1, 5)

    assert again.observations == uninterrupted.observations
    states = again.observations[7].states
    assert states == "U" * 4 * SLOTS
    now, then = broken.sealed(DIGEST, 5), whole.sealed(DIGEST, 5)
    assert now is not None
    assert then is not None
    assert now.remainders == then.remainders
    # Asked again from where it was sealed, of the rest only; the evidence of both parts is there.
    assert [(one.first_slot - FIRST) // SLOTS for one in after.windows] == [1, 3]
    kept = {node: broken.evidence(5, node) for node in (7, 8)}
    asked = {node: [one.asked for one in exhibits_in(one[1])] for node, one in kept.items() if one}
    assert asked == {7: ["slots 30 to 90", "slots 90 to 150"], 8: ["slots 30 to 150"]}
    assert kept[7] is not None
    assert Evidence(exhibits_in(kept[7][1])).hash == kept[7][0]


def test_nothing_is_asked_twice_of_who_forgot_nothing_or_saw_nothing(tmp_path: Path) -> None:
    store = store_in(tmp_path, "store")
    blind, later = Eyes(forgot_7_before=2 * SLOTS), Eyes(forgot_7_before=2 * SLOTS)
    say(store, blind, 0, 2)
    assert say(store, later, 0, 3).observations[7].states == "?" * 2 * SLOTS + "U" * SLOTS
    assert len(later.windows) == 1


def test_windows_that_begin_elsewhere_are_not_put_together(tmp_path: Path) -> None:
    """After more rounds than a report covers its window begins later than what was sealed."""
    store = store_in(tmp_path, "store")
    say(store, Eyes(), 0, 20)
    eyes = Eyes(forgot_7_before=25 * SLOTS)
    said = say(store, eyes, 0, 30).observations[7]
    assert said.states == "?" * 19 * SLOTS + "U" * 5 * SLOTS
    assert len(eyes.windows) == 1

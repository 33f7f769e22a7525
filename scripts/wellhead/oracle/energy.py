"""Energy in whole watt-hours, as records count it: what is left below one waits for the reporter's next window. Pure.

Each reporter carries its own remainder: nothing needs to be agreed on but what is observed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from wellhead.oracle.observation import Observation
from wellhead.oracle.round import MICROJOULES_PER_WH


class WholeEnergy(NamedTuple):
    """Observations whose energy is whole watt-hours, and the microjoules left over, by node."""

    observations: dict[int, Observation]
    remainders: dict[int, int]


def whole_watt_hours(observations: Mapping[int, Observation], carried: Mapping[int, int]) -> WholeEnergy:
    """With what was `carried` from before, by node. A node that is not observed keeps its remainder."""
    whole, left = {}, dict(carried)
    for node, seen in observations.items():
        microjoules = seen.gained.energy_microjoules + carried.get(node, 0)
        left[node] = microjoules % MICROJOULES_PER_WH
        whole[node] = replace(seen, gained=replace(seen.gained, energy_microjoules=microjoules - left[node]))
    return WholeEnergy(whole, left)

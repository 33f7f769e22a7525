"""How far each reporter's reveal lies from what the round reports: what its score is counted from. Pure.

Only what was revealed and counts is judged; who withholds or could not measure is no part of the result.

Which reveals count is not for each reporter to say, as some come late here and in time there: it is what the report
names in its evidence hash, reporter by reporter and commitment by commitment, under k signatures on the chain.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from wellhead.oracle.aggregate import Aggregate
from wellhead.oracle.observation import UNKNOWN, Observation
from wellhead.oracle.review import LARGEST_REQUEST
from wellhead.oracle.sealed import Revealed
from wellhead.reference.scores import MAX_DEVIATION_BPS

_COUNTERS = ("tokens", "busy_micros", "energy_microjoules")


def deviations_bps_up(counted: Iterable[Revealed], aggregates: Mapping[int, Aggregate]) -> dict[str, int]:
    """Each reporter's distance in the round, 0 to 10,000 basis points: the mean over the nodes that it could measure.

    `counted` are the reveals that the report names, `aggregates` what they say together. Rounds up, against the
    reporter: whoever is off at all is not at 0.
    """
    found = {}
    for revealed in counted:
        distances = [
            distance
            for node, together in aggregates.items()
            if node in revealed.observations
            and (distance := _distance_bps_up(revealed.observations[node], together)) is not None
        ]
        if distances:
            found[revealed.reporter] = -(-sum(distances) // len(distances))
    return found


def _distance_bps_up(own: Observation, together: Aggregate) -> int | None:
    """The largest part by which any field differs; None where there is nothing to compare.

    States count by the slots that both know. A counter is compared with its median, or with the largest request where
    that is more: two honest samples a moment apart may have one between them.
    """
    known = [pair for pair in zip(own.states, together.states, strict=True) if UNKNOWN not in pair]
    if not known:
        return None
    parts = [(sum(mine != theirs for mine, theirs in known), len(known))]
    for name in _COUNTERS:
        mine, median = getattr(own.gained, name), getattr(together.gained, name)
        parts.append((abs(mine - median), max(median, getattr(LARGEST_REQUEST, name))))
    return min(MAX_DEVIATION_BPS, max(-(-part * MAX_DEVIATION_BPS // whole) for part, whole in parts))

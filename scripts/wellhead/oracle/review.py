"""Before it signs, a reporter computes the report itself and holds it against what it saw. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from eth_account.signers.local import LocalAccount

from wellhead.errors import Refused
from wellhead.oracle.aggregate import Aggregate
from wellhead.oracle.draft import Basis, Draft, draft
from wellhead.oracle.observation import DOWN, UNKNOWN, UP, Counters, Observation
from wellhead.oracle.sealed import Revealed
from wellhead.reference.quorum import compact_signature

FULL_BPS = 10_000
# 128 texts of 256 tokens, in a quarter of a minute at 20 W.
LARGEST_REQUEST = Counters(tokens=128 * 256, busy_micros=15_000_000, energy_microjoules=300_000_000)


@dataclass(frozen=True)
class Tolerance:
    """How far a reporter's own figures may be from the median before it declines to sign.

    Reporters sample at slightly different instants, so a request may fall to either side of an edge:
    `absolute` allows for the largest one, `counter_bps` of the median for the rest.
    """

    slots: int = 2
    counter_bps: int = 500
    absolute: Counters = LARGEST_REQUEST


def objections(own_basis: Basis, own: Revealed, proposed: Draft, tolerance: Tolerance) -> list[str]:
    """Why the reporter of `own` should not sign `proposed`; empty when it should.

    `own_basis` is what that reporter gathered by itself, from the chain and from the others' reveals.
    """
    if own not in own_basis.revealed:
        return ["my own observation is missing"]
    if proposed != draft(own_basis):
        return ["the draft does not follow from what was revealed"]
    found = []
    for node, together in proposed.aggregates.items():
        if node in own.observations:
            found += _differences(own.observations[node], together, tolerance)
    return found


def left_unknown(proposed: Draft, together: Draft, tolerance: Tolerance) -> list[str]:
    """What `proposed` leaves unknown although `together`, over all that was revealed, has it; empty when nothing.

    Any k reveals make a report, so whoever chooses them could choose blind ones: down must not hide as unknown.
    """
    found = []
    for node, known in together.aggregates.items():
        states = (
            proposed.aggregates[node].states if node in proposed.aggregates else UNKNOWN * len(known.states)
        )
        lost = sum(UNKNOWN == here != there for here, there in zip(states, known.states, strict=True))
        if lost > tolerance.slots:
            found.append(
                f"node {node}: {lost} of {len(states)} samples are unknown only because observations are left out"
            )
    return found


def endorse(
    account: LocalAccount, own_basis: Basis, own: Revealed, proposed: Draft, tolerance: Tolerance
) -> bytes:
    """The reporter's compact signature of `proposed`. Raises Refused with its objections."""
    found = objections(own_basis, own, proposed, tolerance)
    if found:
        raise Refused("; ".join(found))
    return compact_signature(account, proposed.message_hash(own_basis.config))


def _differences(own: Observation, together: Aggregate, tolerance: Tolerance) -> list[str]:
    found = []
    pairs = zip(own.states, together.states, strict=True)
    opposite = sum({mine, theirs} == {UP, DOWN} for mine, theirs in pairs)
    if opposite > tolerance.slots:
        found.append(f"node {own.node}: I saw {opposite} of {len(own.states)} samples the other way round")
    if not own.live_slots:
        return found  # able to measure nothing, it has no figures to hold against anyone's
    for name in ("tokens", "busy_micros", "energy_microjoules"):
        mine, median = getattr(own.gained, name), getattr(together.gained, name)
        allowed = getattr(tolerance.absolute, name) + median * tolerance.counter_bps // FULL_BPS
        if abs(mine - median) > allowed:
            found.append(f"node {own.node}: {name} is {median} by the median, {mine} by my count")
    return found

"""From parameters to placements: a pure function, so every address is known before anything is sent."""

from __future__ import annotations

from typing import Any

from wellhead.chain.artifacts import load
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.deploy.parameters import Parameters
from wellhead.deploy.placement import Placement, placement
from wellhead.reference.quorum import ascending

SALT = b"wellhead".ljust(32, b"\0")


class Plan:
    """Placements in the order in which they depend on each other."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.placements: list[Placement] = []
        p = parameters
        usd = p.usd or self._add("MockUSD", p.owner)
        registry = self._add(
            "NodeRegistry",
            *(p.owner, p.guardian, usd, p.bond_usd6_per_gpu, p.bond_delay_seconds),
            *(ascending(p.attestors, p.attestors_faulty), p.attestors_faulty),
        )
        oracle = self._add(
            "TelemetryOracle",
            *(p.genesis, p.window_seconds, p.finality_delay_seconds, p.ring_rounds, p.owner, p.guardian),
            *(ascending(p.reporters, p.reporters_faulty), p.reporters_faulty),
        )
        factory = self._add(
            "NodeShareFactory", p.owner, registry, usd, p.enforcer, p.treasury, p.protocol_cut_bps
        )
        self._add("Offering", p.owner, p.guardian, registry, factory, oracle)
        self._add("SettleRouter", SETTLEMENT.address)
        self._add("ReporterScores", oracle)

    def _add(self, contract: str, *arguments: Any) -> str:
        added = placement(load(contract), list(arguments), SALT)
        self.placements.append(added)
        return added.address

    def address(self, name: str) -> str:
        """Where the contract called `name` is or will be."""
        return next(placed.address for placed in self.placements if placed.name == name)

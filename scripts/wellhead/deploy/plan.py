"""From parameters to placements: a pure function, so every address is known before anything is sent."""

from __future__ import annotations

from typing import Any

from wellhead.chain.artifacts import load
from wellhead.deploy.parameters import Parameters
from wellhead.deploy.placement import Placement, placement

SALT = b"wellhead".ljust(32, b"\0")


class Plan:
    """Placements in the order in which they depend on each other."""

    def __init__(self, parameters: Parameters) -> None:
        self.parameters = parameters
        self.placements: list[Placement] = []
        p = parameters
        usd = p.usd or self._add("MockUSD", p.owner)
        registry = self._add("NodeRegistry", p.owner, usd, p.bond_usd6_per_gpu, p.bond_delay_seconds)
        oracle = self._add(
            "TelemetryOracle",
            *(p.owner, p.genesis, p.window_seconds, p.finality_delay_seconds, p.ring_rounds),
        )
        factory = self._add(
            "NodeShareFactory", p.owner, p.enforcer, p.treasury, usd, registry, p.protocol_cut_bps
        )
        self._add("Offering", p.owner, registry, factory, oracle)

    def _add(self, contract: str, *arguments: Any) -> str:
        added = placement(load(contract), list(arguments), SALT)
        self.placements.append(added)
        return added.address

    def address(self, name: str) -> str:
        """Where the contract called `name` is or will be."""
        return next(placed.address for placed in self.placements if placed.name == name)

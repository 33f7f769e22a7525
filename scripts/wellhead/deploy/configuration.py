"""What the owner sets after placement, each step with a way to see that it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from web3 import Web3
from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.node_share_factory import NodeShareFactory
from wellhead.chain.contracts.offering import Offering
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.deploy.plan import Plan


class Step(NamedTuple):
    """One call of the owner's and whether it is still needed."""

    what: str
    call: ContractFunction
    done: Callable[[], bool]


def steps(w3: Web3, plan: Plan) -> list[Step]:
    """Every step, in order. The contracts must be placed."""
    p = plan.parameters
    registry = NodeRegistry(w3, plan.address("NodeRegistry"))
    oracle = TelemetryOracle(w3, plan.address("TelemetryOracle"))
    factory = NodeShareFactory(w3, plan.address("NodeShareFactory"))
    offering = Offering(w3, plan.address("Offering"))
    reporters, attestors = sorted(p.reporters, key=_number), sorted(p.attestors, key=_number)
    return [
        Step(
            f"{len(reporters)} reporters, {p.reporters_faulty} may be faulty",
            oracle.set_reporters(reporters, p.reporters_faulty),
            lambda: oracle.reporters() == reporters,
        ),
        Step(
            f"{len(attestors)} attestors, {p.attestors_faulty} may be faulty",
            registry.call("setAttestors", attestors, p.attestors_faulty),
            lambda: list(registry.read("attestors")) == attestors,
        ),
        Step(
            "the Offering may put obligations on nodes",
            registry.call("setMarket", offering.address, True),
            lambda: bool(registry.read("isMarket", offering.address)),
        ),
        Step(
            "the Offering may issue shares",
            factory.call("setIssuer", offering.address, True),
            lambda: bool(factory.read("isIssuer", offering.address)),
        ),
        *(_guardian(contract, p.guardian) for contract in (registry, oracle, offering)),
    ]


def _guardian(contract: Wrapper, guardian: str) -> Step:
    return Step(
        f"guardian of {contract.artifact}",
        contract.call("setGuardian", guardian),
        lambda: bool(contract.read("guardian") == guardian),
    )


def _number(address: str) -> int:
    return int(address, 16)

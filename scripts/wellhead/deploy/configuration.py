"""What the owner sets after placement, each step with a way to see that it is done."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from web3 import Web3
from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.node_share_factory import NodeShareFactory
from wellhead.deploy.plan import Plan


class Step(NamedTuple):
    """One call of the owner's and whether it is still needed."""

    what: str
    call: ContractFunction
    done: Callable[[], bool]


def steps(w3: Web3, plan: Plan) -> list[Step]:
    """Every step, in order. The contracts must be placed."""
    registry = NodeRegistry(w3, plan.address("NodeRegistry"))
    factory = NodeShareFactory(w3, plan.address("NodeShareFactory"))
    offering = plan.address("Offering")
    return [
        Step(
            "the Offering may put obligations on nodes",
            registry.call("setMarket", offering, True),
            lambda: bool(registry.read("isMarket", offering)),
        ),
        Step(
            "the Offering may issue shares",
            factory.call("setIssuer", offering, True),
            lambda: bool(factory.read("isIssuer", offering)),
        ),
    ]

"""A command's connection: the network, the manifest, the contracts, who signs, and the options that say so."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property, partial, wraps
from inspect import Signature, signature
from pathlib import Path
from typing import Any, Concatenate, TypeVar

from web3 import Web3

from wellhead.chain import keys, local
from wellhead.chain.contracts.compute_pool import ComputePool
from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.node_share import NodeShare
from wellhead.chain.contracts.node_share_factory import NodeShareFactory
from wellhead.chain.contracts.offering import Offering
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.contracts.usd import MockUsd
from wellhead.chain.networks import Network, find_network
from wellhead.chain.revert import ContractRefused
from wellhead.chain.transact import Call, Sender
from wellhead.cli import render
from wellhead.cli.options import (
    DEFAULT_DEPLOYMENTS,
    DEFAULT_NETWORK,
    AsOption,
    DeploymentsOption,
    DryRunOption,
    JsonOption,
    NetworkOption,
)
from wellhead.deploy import manifest
from wellhead.errors import Misused, Refused
from wellhead.units import format_usd, parse_address


class Session:
    """Connects when made; reads the manifest and wraps contracts when they are first used."""

    def __init__(self, network: str, deployments: Path) -> None:
        """Raises Misused (unknown network) or Refused (no answer, wrong chain)."""
        self.network: Network = find_network(network)
        self.w3: Web3 = self.network.connect()
        self.local = local.is_local(self.w3)
        self.deployments = deployments

    @cached_property
    def manifest(self) -> manifest.Manifest:
        return manifest.require(self.network.chain_id, self.deployments)

    @cached_property
    def usd(self) -> MockUsd:
        return MockUsd(self.w3, self.manifest.usd)

    @cached_property
    def registry(self) -> NodeRegistry:
        return NodeRegistry(self.w3, self.manifest.address("NodeRegistry"))

    @cached_property
    def factory(self) -> NodeShareFactory:
        return NodeShareFactory(self.w3, self.manifest.address("NodeShareFactory"))

    @cached_property
    def offering(self) -> Offering:
        return Offering(self.w3, self.manifest.address("Offering"))

    @cached_property
    def oracle(self) -> TelemetryOracle:
        return TelemetryOracle(self.w3, self.manifest.address("TelemetryOracle"), self.manifest.first_block)

    def share(self, node: int) -> NodeShare:
        """The share of `node`. Raises Misused when the node or its share does not exist."""
        self.registry.node(node)
        return self.factory.share_of(node)

    def pool(self, name: str) -> ComputePool:
        """A pool by its name in the manifest, or by its address. Raises Misused."""
        known = self.manifest.pools.get(name)
        if known is None and not name.startswith("0x"):
            raise Misused(f"no pool {name!r} here; known: {', '.join(self.manifest.pools) or 'none'}")
        address = parse_address(name, "pool") if known is None else known.address
        return ComputePool(self.w3, address, self.manifest.first_block)

    def sender(self, reference: str) -> Sender:
        """Who signs; see `wellhead.chain.keys.load_signer`."""
        return Sender(self.w3, keys.load_signer(reference, local_chain=self.local))

    def address(self, name: str) -> str:
        """An address, or on a local chain a role's. Raises Misused."""
        if self.local and name in keys.LOCAL_ROLES:
            return keys.local_account(name).address
        return parse_address(name, "account")

    def of_this_chain(self, what: str, name: str) -> Path:
        """A file for this chain alone, beside its manifest; a local chain that starts anew is another one."""
        genesis = self.w3.eth.get_block(0)["hash"].hex().removeprefix("0x")[:8]
        return self.deployments / f"{what}-{self.network.chain_id}-{genesis}-{name}"

    def now(self) -> int:
        """Chain time of the latest block."""
        return local.chain_time(self.w3)


def refuse_early(sender: Sender, call: Call, usd: MockUsd, cost_usd6: int) -> None:
    """Refuse what cannot succeed before an allowance is given for it: a refusal must change nothing.

    `call` takes the money after its other checks, so without the allowance it may fail for that alone.
    """
    held_usd6 = usd.balance_of(sender.address)
    try:
        sender.simulate(call)
    except ContractRefused as error:
        if error.name != "TransferFromFailed":
            raise
    if held_usd6 < cost_usd6:
        raise Refused(f"{sender.address} holds {format_usd(held_usd6)}, {format_usd(cost_usd6)} are needed")


# Commands -------------------------------------------------------------------------------------------

T = TypeVar("T")


class Reading:
    """The options of a command that asks the chain, or signs in a way of its own.

    It connects when `session` is first used: what can be refused without a chain is refused before.
    """

    def __init__(
        self,
        network: NetworkOption = DEFAULT_NETWORK,
        deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
        as_json: JsonOption = False,
    ) -> None:
        self.network, self.deployments, self.as_json = network, deployments, as_json

    @cached_property
    def session(self) -> Session:
        """Raises what Session raises."""
        return Session(self.network, self.deployments)


class Sending(Reading):
    """The options of a command that also sends: who signs, and whether in earnest."""

    def __init__(
        self,
        signer: AsOption,
        network: NetworkOption = DEFAULT_NETWORK,
        deployments: DeploymentsOption = DEFAULT_DEPLOYMENTS,
        dry_run: DryRunOption = False,
        as_json: JsonOption = False,
    ) -> None:
        super().__init__(network, deployments, as_json)
        self.signer, self.dry_run = signer, dry_run

    @cached_property
    def sender(self) -> Sender:
        """Who signs; a keystore is opened when this is first used."""
        return self.session.sender(self.signer)

    def perform(self, call: Call, what: str, details: Callable[[Any], dict[str, Any]] | None = None) -> None:
        """Send `call`, or only simulate it, and print the outcome.

        `details` turns the call's return value into further facts to show.
        """
        if self.dry_run:
            simulated = self.sender.simulate(call)
            outcome = {"would": what, "from": self.sender.address, "gas_estimate": simulated.gas}
            result = simulated.result
        else:
            mined = self.sender.send(call)
            outcome = {
                "did": what,
                "from": self.sender.address,
                "transaction": mined.transaction,
                "gas": mined.receipt["gasUsed"],
            }
            result = mined.result
        if details is not None:
            outcome |= details(result)
        pairs = [(name.replace("_", " "), f"{value}") for name, value in outcome.items()]
        render.emit(self.as_json, outcome, lambda console: console.print(render.facts(pairs)))


def reads(command: Callable[Concatenate[Reading, ...], None]) -> Callable[..., None]:
    """`command` as typer takes it: in place of its first parameter, after its own, the options of Reading."""
    return _with_options(Reading, command)


def sends(role: str) -> Callable[[Callable[Concatenate[Sending, ...], None]], Callable[..., None]]:
    """Likewise with the options of Sending; `role` signs where nobody else is named."""
    return partial(_with_options, partial(Sending, signer=role))


def _with_options(
    make: Callable[..., T], command: Callable[Concatenate[T, ...], None]
) -> Callable[..., None]:
    options = signature(make, eval_str=True).parameters
    _, *own = signature(command, eval_str=True).parameters.values()

    @wraps(command)
    def run(**given: Any) -> None:
        made = make(**{name: given.pop(name) for name in options})
        command(made, **given)

    # Typer asks it for what to parse and to show, in this order.
    run.__signature__ = Signature([*own, *options.values()])  # type: ignore[attr-defined]
    return run

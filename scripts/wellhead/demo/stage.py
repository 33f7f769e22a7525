"""Where the demo plays: one chain, the deployed contracts, the actors, and a voice that tells what happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from rich.console import Console
from web3 import Web3

from wellhead.chain import keys, local
from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.node_share_factory import NodeShareFactory
from wellhead.chain.contracts.offering import Offering
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.contracts.usd import MockUsd
from wellhead.chain.local import LocalChain
from wellhead.chain.transact import Sender
from wellhead.deploy.local import deploy_local


class Check(NamedTuple):
    """Something that must hold at the end, with the figures that it was judged by."""

    name: str
    holds: bool
    detail: str


@dataclass
class Narrator:
    """Tells the story to people; silent when a machine listens."""

    console: Console | None
    checks: list[Check] = field(default_factory=list)

    def chapter(self, title: str) -> None:
        """A new part of the story."""
        if self.console is not None:
            self.console.print(f"\n[bold cyan]{title}[/]")

    def tell(self, actor: str, text: str) -> None:
        """What `actor` did and what it changed."""
        if self.console is not None:
            self.console.print(f"  [bold]{actor:<13}[/] {text}", highlight=False, soft_wrap=True)

    def check(self, name: str, holds: bool, detail: str) -> None:
        """Note a check; the demo fails at its end when one does not hold."""
        self.checks.append(Check(name, bool(holds), detail))


class Stage:
    """A local chain with everything on it."""

    def __init__(self, chain: LocalChain, folder: Path, narrator: Narrator) -> None:
        """Deploy to `chain`; manifests and logs go below `folder`."""
        self.chain = chain
        self.folder = folder
        self.narrator = narrator
        self.w3: Web3 = chain.connect()
        self.deployments = folder / "deployments"
        self.manifest = deploy_local(self.sender("owner"), self.deployments)
        self.usd = MockUsd(self.w3, self.manifest.usd)
        self.registry = NodeRegistry(self.w3, self.manifest.address("NodeRegistry"))
        self.factory = NodeShareFactory(self.w3, self.manifest.address("NodeShareFactory"))
        self.offering = Offering(self.w3, self.manifest.address("Offering"))
        self.oracle = TelemetryOracle(self.w3, self.manifest.address("TelemetryOracle"))

    def sender(self, role: str) -> Sender:
        """The actor in `role`, ready to send."""
        return Sender(self.w3, keys.local_account(role))

    def address(self, role: str) -> str:
        return keys.local_account(role).address

    def now(self) -> int:
        """Chain time."""
        return local.chain_time(self.w3)

    def advance_to(self, timestamp: int) -> None:
        """Let chain time pass until `timestamp`, by the chain's own clock control."""
        missing = timestamp - self.now()
        if missing > 0:
            local.advance(self.w3, missing)

"""A chain for measuring: fixed start, so that two runs of the same code cost exactly the same gas."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from web3 import Web3
from web3.contract.contract import ContractConstructor

from wellhead.attestation import sign_all
from wellhead.chain import artifacts, keys, local
from wellhead.chain.contracts.node_registry import NodeRegistry
from wellhead.chain.contracts.node_share import NodeShare
from wellhead.chain.contracts.node_share_factory import NodeShareFactory, ShareTerms
from wellhead.chain.contracts.offering import Offering
from wellhead.chain.contracts.reporter_scores import ReporterScores
from wellhead.chain.contracts.telemetry_oracle import TelemetryOracle
from wellhead.chain.contracts.usd import Usd
from wellhead.chain.transact import Call, Sender
from wellhead.deploy.deployer import deploy_all
from wellhead.deploy.parameters import local_parameters
from wellhead.node_spec import SpecDocument

GENESIS = 1_700_000_000
# The smallest ring, so that a second lap is soon reached; the longest windows, so that it still spans a sale.
RING_ROUNDS = 64
WINDOW_SECONDS = 43_200
DAY_SECONDS = 86_400
FUNDS_USD6 = 10**12
SPEC = SpecDocument(name="bench", gpu_class="BENCH", gpu_count=200, region="US", power_watts=1, sla_bps=9_900)
ATTESTORS = ("attestor-0", "attestor-1", "attestor-2")


class BenchStage:
    """Everything deployed over one kind of dollar, and one attested, active node."""

    def __init__(self, w3: Web3, folder: Path, *, plain_usd: bool) -> None:
        """`plain_usd` takes a plain ERC-20 in place of MockUSD, to compare with peers measured on one."""
        self.w3 = w3
        owner = self.sender("owner")
        usd = self._plain_usd(owner) if plain_usd else None
        parameters = local_parameters(GENESIS).model_copy(
            update={
                "usd": usd,
                "window_seconds": WINDOW_SECONDS,
                "ring_rounds": RING_ROUNDS,
                "bond_usd6_per_gpu": 0,
            }
        )
        deployed = deploy_all(owner, parameters, folder).manifest
        self.usd = Usd(w3, deployed.usd)
        self.registry = NodeRegistry(w3, deployed.address("NodeRegistry"))
        self.factory = NodeShareFactory(w3, deployed.address("NodeShareFactory"))
        self.offering = Offering(w3, deployed.address("Offering"))
        self.oracle = TelemetryOracle(w3, deployed.address("TelemetryOracle"))
        self.scores = ReporterScores(w3, deployed.address("ReporterScores"))
        minting = w3.eth.contract(
            address=self.usd.address, abi=artifacts.load("PlainUSD" if plain_usd else "MockUSD").abi
        )
        if not plain_usd:
            owner.send(self.usd.call("configureMinter", owner.address, 20 * FUNDS_USD6))
        for role in ("operator", "holder", "second-holder", "customer"):
            owner.send(minting.functions.mint(self.address(role), FUNDS_USD6))

    def sender(self, role: str) -> Sender:
        return Sender(self.w3, keys.local_account(role))

    def address(self, role: str) -> str:
        return keys.local_account(role).address

    def gas(self, role: str, call: Call) -> int:
        """Gas used by one whole transaction."""
        return int(self.sender(role).send(call).receipt["gasUsed"])

    def create(self, contract: str, *arguments: object) -> str:
        """Deploy an artifact that no deployment has; its address."""
        artifact = artifacts.load(contract)
        constructor: ContractConstructor = self.w3.eth.contract(
            abi=artifact.abi, bytecode=artifact.bytecode
        ).constructor(*arguments)
        return str(self.sender("owner").send(constructor).receipt["contractAddress"])

    def attested_node(self) -> int:
        """A node that may issue shares."""
        operator = self.sender("operator")
        node: int = operator.send(self.registry.register(SPEC.on_chain(), "")).result
        signers = [keys.local_account(role) for role in ATTESTORS]
        operator.send(self.registry.attest(node, sign_all(self.registry, node, SPEC, signers)))
        operator.send(self.registry.activate(node))
        return node

    def share(self, node: int, *, eligibility: str, issuer: str, supply_units: int) -> NodeShare:
        """The share of `node`, with cuts of 10 % and 2.5 % and a time constant of a day."""
        terms = ShareTerms("Bench", "BENCH", DAY_SECONDS, 1_000, eligibility, issuer, supply_units)
        self.sender("operator").send(self.factory.create(node, terms))
        return self.factory.share_of(node)

    def pass_time(self, seconds: int) -> None:
        local.advance(self.w3, seconds)

    def _plain_usd(self, owner: Sender) -> str:
        artifact = artifacts.load("PlainUSD")
        constructor = self.w3.eth.contract(abi=artifact.abi, bytecode=artifact.bytecode).constructor()
        return str(owner.send(constructor).receipt["contractAddress"])


@contextmanager
def bench_stage(*, plain_usd: bool) -> Iterator[BenchStage]:
    """A stage on an Anvil of its own."""
    with (
        TemporaryDirectory(prefix="wellhead-bench-") as folder,
        local.running("anvil", log=Path(folder) / "anvil.log", genesis=GENESIS) as chain,
    ):
        yield BenchStage(chain.connect(), Path(folder), plain_usd=plain_usd)

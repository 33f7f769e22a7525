"""ComputePool: many nodes behind one receiver, paid by the work that was served and billed."""

from __future__ import annotations

from typing import NamedTuple

from web3.contract.contract import ContractFunction

from wellhead.chain.contracts.base import Wrapper
from wellhead.chain.contracts.node_registry import ascii_text, ascii_word
from wellhead.chain.local import chain_time
from wellhead.reference.merkle import Reading
from wellhead.reference.pool import Account, Flow, Membership, PeriodBook, Schedule
from wellhead.reference.pool_receipt import Receipt


class PoolTerms(NamedTuple):
    """What is fixed for good when a pool is made, in the order of the ABI. IComputePool has the bounds."""

    gpu_class: str
    tau_seconds: int
    period_rounds: int
    collecting_seconds: int

    def encode(self) -> tuple[bytes, int, int, int]:
        """As the contract takes it."""
        return (ascii_word(self.gpu_class, 16, "gpu class"), *self[1:])


class ComputePool(Wrapper):
    """Money is usd6, work is tokens. Periods are counted from 1; see IComputePool for when each call is possible."""

    artifact = "ComputePool"

    def schedule(self) -> Schedule:
        start = int(self.read("periodEndOf", 0))
        return Schedule(
            start,
            int(self.read("periodSeconds")),
            int(self.read("tauSeconds")),
            int(self.read("distributableAt", 0)) - start,
        )

    def rounds_of(self, period: int) -> tuple[int, int]:
        """The oracle's rounds whose windows end at the start and at the end of `period`, at least 1."""
        base, end = self.read("roundsOf", period)
        return int(base), int(end)

    def terms(self) -> PoolTerms:
        return PoolTerms(
            ascii_text(self.read("gpuClass")),
            *(int(self.read(name)) for name in ("tauSeconds", "periodRounds", "collectingSeconds")),
        )

    def oracle(self) -> str:
        return str(self.read("oracle"))

    def asset(self) -> str:
        return str(self.read("asset"))

    def now(self) -> int:
        """Chain time of the latest block."""
        return chain_time(self.w3)

    def owner(self) -> str:
        return str(self.read("owner"))

    def gateway(self) -> str:
        return str(self.read("gateway"))

    def gateway_count(self) -> int:
        return int(self.read("gatewayCount"))

    def flow(self) -> Flow:
        return Flow(*self.read("flow"))

    def period_of(self, period: int) -> PeriodBook:
        return PeriodBook(*self.read("periodOf", period))

    def account_of(self, node: int) -> Account:
        return Account(*self.read("accountOf", node))

    def joined_nodes(self) -> list[int]:
        """Every node that ever joined, ascending: out of the chain's history."""
        return sorted({int(event["args"]["node"]) for event in self.events("JoinPool")})

    def membership_of(self, node: int) -> Membership:
        _, first_period, end_period, admitted = self.read("membershipOf", node)
        return Membership(int(first_period), int(end_period), bool(admitted))

    def share_of(self, node: int) -> str:
        """Where the node's money goes; zero if it never joined."""
        return str(self.read("membershipOf", node)[0])

    def claimable_usd6(self, node: int) -> int:
        return int(self.read("claimableUsd6", node))

    def unsynced_usd6(self) -> int:
        return int(self.read("unsyncedUsd6"))

    def admit(self, node: int) -> ContractFunction:
        return self.call("admit", node)

    def dismiss(self, node: int) -> ContractFunction:
        return self.call("dismiss", node)

    def join(self, node: int) -> ContractFunction:
        return self.call("join", node)

    def resign(self, node: int) -> ContractFunction:
        return self.call("resign", node)

    def expel(self, node: int) -> ContractFunction:
        return self.call("expel", node)

    def set_gateway(self, gateway: str) -> ContractFunction:
        return self.call("setGateway", gateway)

    def sync(self) -> ContractFunction:
        return self.call("sync")

    def record(self, receipt: Receipt, signature: bytes, base: Reading, end: Reading) -> ContractFunction:
        return self.call("record", receipt, signature, base, end)

    def distribute(self, period: int) -> ContractFunction:
        return self.call("distribute", period)

    def claim(self, node: int) -> ContractFunction:
        return self.call("claim", node)

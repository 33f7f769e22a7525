"""An oracle with five reporters on the test chain, and honest reports made with the Python twin."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import copy
from typing import Any

from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract
from web3.types import TxReceipt

from wellhead.chain import local
from wellhead.reference import quorum
from wellhead.reference.merkle import RecordTree
from wellhead.reference.record import NodeRecord, pack_entries

FAULTY = 1
WINDOW_SECONDS = 3_600
DELAY_SECONDS = 7_200
RING_ROUNDS = 64
NO_ROOT = bytes(23)
EVIDENCE = bytes(range(1, 33))


class OracleBench:
    """The deployed oracle, its reporters' keys in ascending order of address, and the trees reported so far."""

    def __init__(self, w3: Web3, deploy: Any, send: Any, actors: Mapping[str, str], keys: Any) -> None:
        self.w3 = w3
        self.send = send
        self.actors = actors
        reporters = [keys[f"reporter_{number}"] for number in range(5)]
        self.keys: list[LocalAccount] = sorted(reporters, key=lambda key: int(key.address, 16))
        self.addresses = [key.address for key in self.keys]
        local.advance(w3, 1)  # on a chain without blocks, simulations run at second 1
        self.genesis = local.chain_time(w3)
        self.contract: Contract = deploy("TelemetryOracle", *self.arguments())
        self.trees: dict[int, RecordTree] = {}

    def arguments(self, **changes: Any) -> tuple[Any, ...]:
        """The constructor's arguments, some of them changed."""
        plan = {
            "genesis": self.genesis,
            "window_seconds": WINDOW_SECONDS,
            "delay_seconds": DELAY_SECONDS,
            "ring_rounds": RING_ROUNDS,
            "owner": self.actors["owner"],
            "guardian": self.actors["guardian"],
            "reporters": self.addresses,
            "faulty": FAULTY,
        }
        assert changes.keys() <= plan.keys()
        return tuple((plan | changes).values())

    def elsewhere(self, deploy: Any, genesis: int | None = None) -> OracleBench:
        """The same reporters at another oracle."""
        other = copy(self)
        other.trees = {}
        other.genesis = self.genesis if genesis is None else genesis
        other.contract = deploy("TelemetryOracle", *other.arguments())
        return other

    @property
    def functions(self) -> Any:
        return self.contract.functions

    def window_end(self, round_number: int) -> int:
        return self.genesis + round_number * WINDOW_SECONDS

    def record(self, round_number: int, **changes: int) -> NodeRecord:
        """An honest record at the end of `round_number`: always measured, always up, half busy, 8 GPUs."""
        seconds = round_number * WINDOW_SECONDS
        honest = {
            "window_end": self.window_end(round_number),
            "covered_seconds": seconds,
            "up_seconds": seconds,
            "busy_gpu_seconds": 4 * seconds,
            "energy_wh": 5 * seconds,
            "work_units": 1_000 * seconds,
            "gpu_count": 8,
        }
        return NodeRecord(**(honest | changes))

    def pass_window(self, round_number: int) -> None:
        """Move the chain to the first second in which `round_number` may be reported, unless it is there."""
        missing = self.window_end(round_number) - local.chain_time(self.w3)
        if missing > 0:
            local.advance(self.w3, missing)

    def pass_delay(self) -> None:
        local.advance(self.w3, DELAY_SECONDS)

    def message(self, round_number: int, root: bytes, entries: bytes, evidence: bytes = EVIDENCE) -> bytes:
        digest = self.functions.configDigest().call()
        return quorum.report_hash(
            self.w3.eth.chain_id, self.contract.address, digest, round_number, root, evidence, entries
        )

    def signed(
        self,
        round_number: int,
        root: bytes = NO_ROOT,
        entries: bytes = b"",
        signers: Iterable[LocalAccount] | None = None,
    ) -> Any:
        """The call that brings this report, signed by the first k reporters unless `signers` are named."""
        chosen: Sequence[LocalAccount] = list(self.keys[:3] if signers is None else signers)
        signatures = quorum.sign(self.message(round_number, root, entries), chosen)
        return self.functions.report(round_number, root, EVIDENCE, entries, signatures)

    def report(
        self, round_number: int, records: Mapping[int, NodeRecord], pushed: Iterable[int] | None = None
    ) -> TxReceipt:
        """Report the tree over `records` once its window has passed, and push those of `pushed` (all of them)."""
        self.pass_window(round_number)
        tree = self.trees[round_number] = RecordTree(records.items())
        names = records.keys() if pushed is None else pushed
        entries = pack_entries({node: records[node] for node in names})
        receipt: TxReceipt = self.send(
            self.signed(round_number, tree.root, entries), sender=self.actors["stranger"]
        )
        return receipt

    def veto(self, round_number: int) -> TxReceipt:
        receipt: TxReceipt = self.send(
            self.functions.veto(round_number, "wrong counters"), sender=self.actors["guardian"]
        )
        return receipt

    def latest(self, node: int) -> NodeRecord:
        return NodeRecord(*self.functions.latestRecord(node).call())

    def proven(self, node: int, round_number: int) -> NodeRecord:
        """What the contract proves of `node` out of the tree reported as `round_number`."""
        reading = self.trees[round_number].reading(round_number, node)
        return NodeRecord(*self.functions.provenRecord(node, reading).call())

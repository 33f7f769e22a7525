"""Reports for measuring: counters are wide, as after years, since calldata counts bytes that are not zero."""

from __future__ import annotations

import random

from wellhead.bench.stage import BenchStage
from wellhead.chain import keys, local
from wellhead.chain.transact import Mined
from wellhead.oracle.pushing import split
from wellhead.reference.merkle import Branch, Reading, RecordTree, leaf_of, root_from
from wellhead.reference.quorum import evidence_hash, report_hash, sign
from wellhead.reference.record import NodeRecord, pack_entries
from wellhead.reference.scores import scores_hash

REPORTERS = ("reporter-0", "reporter-1", "reporter-2")
# A path of 20 levels stands for a tree of 2^20 leaves: the contract sees no other part of it.
PROOF_LEVELS = 20


class Reporting:
    """Signs and posts rounds of a stage's oracle."""

    def __init__(self, stage: BenchStage) -> None:
        self._stage, self.oracle = stage, stage.oracle
        self._keys = [keys.local_account(role) for role in REPORTERS]

    def record(self, round_: int, node: int) -> NodeRecord:
        """What `node` did until the end of the round."""
        up = 0x10213243 + round_ * 3_000 - node
        return NodeRecord(
            window_end=self.oracle.window_end_of(round_),
            covered_seconds=0x11223344 + round_ * 3_500,
            up_seconds=up,
            busy_gpu_seconds=0x0A22334455 + round_ * 100_001,
            energy_wh=0x1122334455 + round_ * 100_003,
            work_units=0x1122334455667788 + round_ * 1_000_003,
            gpu_count=200,
        )

    def post(self, round_: int, root: bytes, entries: bytes) -> Mined:
        """The report of `round_`, once its window has ended."""
        w3 = self._stage.w3
        missing = self.oracle.window_end_of(round_) - local.chain_time(w3)
        if missing > 0:
            self._stage.pass_time(missing)
        # As of reporters, so that its bytes cost what theirs do.
        evidence = evidence_hash({key.address: root.ljust(64, b"\x01") for key in self._keys})
        digest = report_hash(
            w3.eth.chain_id, self.oracle.address, self.oracle.config_digest(), round_, root, evidence, entries
        )
        call = self.oracle.report(round_, root, evidence, entries, sign(digest, self._keys))
        return self._stage.sender("reporter-0").send(call)

    def push(self, round_: int, nodes: range) -> int:
        """Gas of a report of `round_` that pushes the records of `nodes`."""
        root = random.Random(round_).randbytes(23)
        entries = pack_entries({node: self.record(round_, node) for node in nodes})
        return int(self.post(round_, root, entries).receipt["gasUsed"])

    def push_split(self, round_: int, nodes: range, known: range) -> int:
        """Gas of a report of `round_` that names a root, and of pushing the records of `nodes` after it, as many
        transactions as the usual split makes of it. `known` are the nodes that were pushed before."""
        tree = RecordTree((node, self.record(round_, node)) for node in nodes)
        mined = [self.post(round_, tree.root, b"")]
        sender = self._stage.sender("reporter-0")
        for branch in split(tree, known):
            mined.append(sender.send(self.oracle.push(round_, branch.entries, branch.proof)))
        return sum(int(one.receipt["gasUsed"]) for one in mined)

    def push_branch(self, round_: int, branch: Branch) -> Mined:
        """A part of a posted round's records."""
        return self._stage.sender("reporter-1").send(self.oracle.push(round_, *branch))

    def score(self, round_: int, entries: bytes) -> Mined:
        """The reporters' scores over one round."""
        scores = self._stage.scores
        chain_id, digest = self._stage.w3.eth.chain_id, self.oracle.config_digest()
        message = scores_hash(chain_id, scores.address, digest, round_, round_, entries)
        call = scores.post(round_, round_, entries, sign(message, self._keys))
        return self._stage.sender("reporter-1").send(call)

    def post_provable(self, round_: int, node: int) -> Reading:
        """A round without pushed records, in which the node's is proven by a path of 20 levels."""
        packed = self.record(round_, node).pack()
        source = random.Random(1859)
        path = [source.randbytes(32) for _ in range(PROOF_LEVELS)]
        self.post(round_, root_from(leaf_of(node, packed), path), b"")
        return Reading(round_, packed, path)

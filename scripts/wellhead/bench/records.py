"""The records of a round with many nodes, kept and proven in a process of its own, so that its memory is no other's.

`python -m wellhead.bench.records NODES` prints one JSON object.
"""

from __future__ import annotations

import json
import random
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median, quantiles
from tempfile import TemporaryDirectory

from wellhead.oracle.records.store import RecordStore
from wellhead.reference.record import NodeRecord

PROOFS = 2_000
PASSED_ON, KEPT = 1, 2
_MIB = 2**20


def main() -> None:
    """Keep, prove and read once; the figures to stdout."""
    nodes = int(sys.argv[1])
    before_mib = _peak_mib()
    with TemporaryDirectory(prefix="wellhead-bench-") as folder:
        store = RecordStore(Path(folder), keep_rounds=2)
        begun, begun_cpu = time.perf_counter(), time.process_time()
        store.write(KEPT, _records(nodes))
        store.reading(KEPT, nodes)
        build_seconds, build_cpu_seconds = time.perf_counter() - begun, time.process_time() - begun_cpu
        peak_mib = _peak_mib()
        begun = time.perf_counter()
        store.write_entries(PASSED_ON, store.entries(KEPT))
        passing_on_seconds = time.perf_counter() - begun
        proofs_us = _proofs_us(store, nodes)
        file_mib = sum(file.stat().st_size for file in Path(folder).iterdir()) / 2 / _MIB
    figures = {
        "nodes": nodes,
        # Of records that are made one by one, the root, and a proof.
        "build_seconds": round(build_seconds, 3),
        "build_cpu_seconds": round(build_cpu_seconds, 3),
        "peak_mib": round(peak_mib, 1),
        "interpreter_mib": round(before_mib, 1),
        # Of packed entries, as they come from a peer.
        "build_from_entries_seconds": round(passing_on_seconds, 3),
        "file_mib": round(file_mib, 1),
        "proof_p50_us": round(median(proofs_us), 1),
        "proof_p99_us": round(quantiles(proofs_us, n=100)[98], 1),
    }
    print(json.dumps(figures))


def _records(nodes: int) -> Iterator[tuple[int, NodeRecord]]:
    """Counters as after years, different for every node."""
    for node in range(1, nodes + 1):
        up = 90_000_000 + node
        yield node, NodeRecord(1_800_000_000, 95_000_000, up, 8 * up - node, 5 * node, 977 * up, 8)


def _proofs_us(store: RecordStore, nodes: int) -> list[float]:
    """Microseconds of each of many proofs, of nodes anywhere: opened, found, read and checked."""
    source, each = random.Random(1859), []
    for _ in range(PROOFS):
        node = source.randint(1, nodes)
        begun = time.perf_counter()
        store.reading(KEPT, node)
        each.append(1e6 * (time.perf_counter() - begun))
    return each


def _peak_mib() -> float:
    """Of this process alone: `ru_maxrss` would begin with what its parent held."""
    (line,) = (
        line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")
    )
    return int(line.split()[1]) / 1024


if __name__ == "__main__":
    main()

"""A round's records over several transactions: what the report pushes itself, and what is pushed after it.

A push is proven by the report's root: reporters sign once whatever the split, and anyone may transmit any part.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from wellhead.errors import Misused
from wellhead.reference.merkle import Branch, RecordTree

# Of more nodes a report names the root alone. Reporters sign what it pushes, so they all draw the line here.
MAX_REPORTED = 256
# Of more nodes reporters push nothing by themselves unless told to. So many cost some 7 million gas in every window;
# whoever needs a larger fleet's figures on the chain proves those that he needs.
DEFAULT_MAX_PUSHED = 1_000
DEFAULT_BUDGET = 10_000_000  # gas; a third of a block of Ethereum's older and most other chains' size


class PushGas(NamedTuple):
    """What a push costs at most, with wide counters; a test holds the contract to it."""

    base: int = 46_000
    level: int = 800
    """For each hash of the proof."""
    record: int = 6_800
    new_node: int = 17_100
    """On top for a node of which no record was pushed before: a fresh slot."""

    def of(self, records: int, new_nodes: int, levels: int) -> int:
        """Gas of one push of so many records, under a proof of `levels` hashes."""
        return self.base + self.level * levels + self.record * records + self.new_node * new_nodes


def split(
    tree: RecordTree, known: Collection[int], budget: int = DEFAULT_BUDGET, gas: PushGas | None = None
) -> list[Branch]:
    """The whole tree as branches to push, each within `budget` gas, in as few halvings as that takes.

    `known` are the nodes of which records were pushed before. Raises Misused for a budget below one record's push.
    """
    gas = gas or PushGas()
    nodes = tree.nodes
    found, parts = [], [(tree.height, 0)]
    while parts:
        height, place = parts.pop()
        below = nodes[place << height : (place + 1) << height]
        if not below:
            continue  # an odd branch has no right half
        fresh = sum(node not in known for node in below)
        cost = gas.of(len(below), fresh, tree.height - height)
        if cost <= budget:
            found.append(tree.branch(height, place))
        elif height == 0:
            raise Misused(f"a budget of {budget} gas is too little to push one record, which takes {cost}")
        else:
            parts += [(height - 1, 2 * place + 1), (height - 1, 2 * place)]
    return found

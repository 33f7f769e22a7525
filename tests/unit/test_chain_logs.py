"""Reading a contract's history from a node that answers only so much at once."""

from __future__ import annotations

from typing import Any

import pytest
from web3.exceptions import Web3RPCError

from wellhead.chain.logs import events_of


class NodeStandIn:
    """A chain with one event in each of `blocks`; a question about more than `most` blocks is refused."""

    def __init__(self, head: int, blocks: list[int], most: int) -> None:
        self.block_number, self.blocks, self.most = head, blocks, most
        self.asked = 0

    @property
    def eth(self) -> NodeStandIn:
        return self

    def get_logs(self, *, argument_filters: dict[str, Any], from_block: int, to_block: int) -> list[int]:
        assert argument_filters == {}
        self.asked += 1
        if to_block - from_block >= self.most:
            raise Web3RPCError("query exceeds max block range")
        return [block for block in self.blocks if from_block <= block <= to_block]


def read(node: NodeStandIn, first_block: int = 0) -> list[Any]:
    web3: Any = node
    return list(events_of(web3, web3, first_block, {}))


def test_one_question_where_that_is_enough() -> None:
    node = NodeStandIn(head=10_000, blocks=[3, 9_999, 10_000], most=100_000)
    assert read(node) == [3, 9_999, 10_000]
    assert read(node, first_block=4) == [9_999, 10_000]
    assert node.asked == 2


@pytest.mark.parametrize("most", [1, 7, 2_000])
def test_halves_where_it_is_not_and_every_event_once_and_in_order(most: int) -> None:
    blocks = [0, 1, 499, 500, 501, 998, 1_000]
    assert read(NodeStandIn(head=1_000, blocks=blocks, most=most)) == blocks


def test_a_chain_that_has_not_come_so_far_has_no_events() -> None:
    assert read(NodeStandIn(head=5, blocks=[1], most=10), first_block=6) == []


def test_a_node_that_refuses_a_single_block_is_not_asked_for_ever() -> None:
    node = NodeStandIn(head=3, blocks=[], most=0)
    with pytest.raises(Web3RPCError):
        read(node)
    assert node.asked == 3

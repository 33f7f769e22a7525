"""Events out of a chain's history, from nodes that answer only so much at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from requests.exceptions import HTTPError
from web3 import Web3
from web3.contract.base_contract import BaseContractEvent
from web3.exceptions import Web3RPCError
from web3.types import EventData


def events_of(
    w3: Web3, event: BaseContractEvent, first_block: int, filters: Mapping[str, Any]
) -> Sequence[EventData]:
    """Every `event` since `first_block`, oldest first; `filters` by the names of indexed arguments.

    One question if the node takes it; where it refuses (too many blocks, too many events), halves of it, and so on.
    Raises what the node says when it refuses a single block.
    """
    found: list[EventData] = []
    parts = [(first_block, int(w3.eth.block_number))]
    while parts:
        first, last = parts.pop()
        if first > last:
            continue
        try:
            found += event.get_logs(argument_filters=filters, from_block=first, to_block=last)  # type: ignore[attr-defined]
        except (Web3RPCError, HTTPError):
            if first == last:
                raise
            middle = (first + last) // 2
            parts += [(middle + 1, last), (first, middle)]
    return found

"""What every wrapper has: an address, an ABI out of the artifacts, calls by name."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, ClassVar

from eth_typing import ChecksumAddress
from web3 import Web3
from web3.contract import Contract
from web3.contract.contract import ContractFunction
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.types import BlockIdentifier, EventData

from wellhead.chain import artifacts, revert
from wellhead.chain.logs import events_of
from wellhead.errors import Refused


@lru_cache(maxsize=64)
def _class_of(w3: Web3, artifact: str) -> type[Contract]:
    """Making one out of an ABI takes web3 longer than most calls."""
    return w3.eth.contract(abi=artifacts.load(artifact).abi)


class Wrapper:
    """A deployed contract of the kind `artifact`."""

    artifact: ClassVar[str]

    def __init__(self, w3: Web3, address: str, first_block: int = 0) -> None:
        """Raises Refused when there is no code at `address`. No event of it is older than `first_block`."""
        self.w3, self.first_block = w3, first_block
        self.address: ChecksumAddress = Web3.to_checksum_address(address)
        if not w3.eth.get_code(self.address):
            raise Refused(
                f"no contract at {address} ({self.artifact}): is this the chain it was deployed on?"
            )
        self.contract: Contract = _class_of(w3, self.artifact)(self.address)

    def call(self, function: str, *arguments: Any) -> ContractFunction:
        """A call that is not yet made."""
        prepared: ContractFunction = getattr(self.contract.functions, function)(*arguments)
        return prepared

    def events(self, event: str, **indexed: Any) -> Sequence[EventData]:
        """Every event of that name, oldest first, whose `indexed` arguments are these, or one of these in a list."""
        return events_of(self.w3, self.contract.events[event](), self.first_block, indexed)

    def read(self, function: str, *arguments: Any, block: BlockIdentifier = "latest") -> Any:
        """The value of a view function at `block`. Raises ContractRefused when it reverts."""
        try:
            return self.call(function, *arguments).call(block_identifier=block)
        except (ContractCustomError, ContractLogicError) as error:
            raise revert.from_exception(error) from error

"""Deterministic placement: CREATE2 through the usual deployment proxy, which is put there where missing."""

from __future__ import annotations

from typing import Any, NamedTuple

from eth_abi.abi import encode
from eth_typing import ChecksumAddress
from eth_utils.abi import get_abi_input_types
from eth_utils.crypto import keccak
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.types import TxParams, Wei

from wellhead.chain import revert
from wellhead.chain.artifacts import Artifact
from wellhead.chain.transact import Sender
from wellhead.errors import Refused

PROXY = Web3.to_checksum_address("0x4e59b44847b379578588920cA78FbF26c0B4956C")
# The keyless transaction that creates the proxy on every chain, and the account that it comes from.
_PROXY_CREATOR = Web3.to_checksum_address("0x3fab184622dc19b6109349b94811493bf2a45362")
_PROXY_COST = Wei(10**16)
_PROXY_CODE = (
    "7fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffe0"
    "3601600081602082378035828234f58015156039578182fd5b8082525050506014600cf3"
)
_PROXY_SIGNATURE = f"1ba0{'22' * 32}a0{'22' * 32}"  # nobody's: whatever account it belongs to is the creator
_PROXY_TRANSACTION = (
    f"0xf8a58085174876e800830186a08080b853604580600e600039806000f350fe{_PROXY_CODE}{_PROXY_SIGNATURE}"
)


class Placement(NamedTuple):
    """A contract and where it belongs. The address follows from code, arguments and salt alone."""

    name: str
    init_code: bytes
    salt: bytes

    @property
    def address(self) -> ChecksumAddress:
        digest = keccak(b"\xff" + bytes.fromhex(PROXY[2:]) + self.salt + keccak(self.init_code))
        return Web3.to_checksum_address(digest[12:])

    @property
    def init_code_hash(self) -> str:
        """What the manifest keeps, to tell a deployment of other code. 0x-prefixed."""
        return Web3.to_hex(keccak(self.init_code))


def placement(artifact: Artifact, arguments: list[Any], salt: bytes) -> Placement:
    """The placement of `artifact` with constructor `arguments`; `salt` is 32 bytes."""
    constructor: Any = next(
        (entry for entry in artifact.abi if entry["type"] == "constructor"), {"inputs": []}
    )
    types = get_abi_input_types(constructor) if constructor["inputs"] else []
    init_code = bytes.fromhex(artifact.bytecode[2:]) + encode(types, arguments)
    return Placement(artifact.name, init_code, salt)


def is_placed(w3: Web3, wanted: Placement) -> bool:
    """Whether the contract is there. CREATE2 leaves no doubt about which code it is."""
    return len(w3.eth.get_code(wanted.address)) > 0


def place(sender: Sender, wanted: Placement) -> str:
    """Deploy through the proxy; the transaction's hash. Raises Refused when nothing appears."""
    w3 = sender.w3
    transaction: TxParams = {
        **_call(sender, wanted),
        "gas": estimate(sender, wanted) * 11 // 10,
        "nonce": w3.eth.get_transaction_count(sender.address, "pending"),
        "chainId": w3.eth.chain_id,
        "maxFeePerGas": Wei(w3.eth.gas_price * 2),
        "maxPriorityFeePerGas": w3.eth.max_priority_fee,
        "value": Wei(0),
    }
    receipt = sender.send_transaction(transaction)
    if not is_placed(w3, wanted):
        raise Refused(f"{wanted.name} did not appear at {wanted.address}; is its constructor refusing?")
    return Web3.to_hex(receipt["transactionHash"])


def estimate(sender: Sender, wanted: Placement) -> int:
    """Gas to deploy it. Raises ContractRefused with what the constructor says."""
    try:
        # The proxy passes nothing on of why a constructor refuses; made directly, it says so itself.
        sender.w3.eth.call({"from": sender.address, "data": wanted.init_code})
        return sender.w3.eth.estimate_gas(_call(sender, wanted))
    except (ContractCustomError, ContractLogicError, Web3RPCError) as error:
        raise revert.from_exception(error) from error


def _call(sender: Sender, wanted: Placement) -> TxParams:
    return {"from": sender.address, "to": PROXY, "data": wanted.salt + wanted.init_code}


def ensure_proxy(sender: Sender) -> None:
    """Put the deployment proxy on a chain that lacks it, such as Ganache. Raises Refused."""
    w3 = sender.w3
    if w3.eth.get_code(PROXY):
        return
    missing = _PROXY_COST - w3.eth.get_balance(_PROXY_CREATOR)
    if missing > 0:
        fund: TxParams = {"from": sender.address, "to": _PROXY_CREATOR, "value": Wei(missing)}
        sender.send_transaction(
            {
                **fund,
                "gas": 21_000,
                "nonce": w3.eth.get_transaction_count(sender.address, "pending"),
                "chainId": w3.eth.chain_id,
                "maxFeePerGas": Wei(w3.eth.gas_price * 2),
                "maxPriorityFeePerGas": w3.eth.max_priority_fee,
            }
        )
    w3.eth.wait_for_transaction_receipt(w3.eth.send_raw_transaction(Web3.to_bytes(hexstr=_PROXY_TRANSACTION)))  # type: ignore[arg-type]
    if not w3.eth.get_code(PROXY):
        raise Refused(
            f"the deployment proxy did not appear at {PROXY}; does this chain take keyless transactions?"
        )

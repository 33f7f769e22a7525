"""What a revert says: the custom error by name, its values with their names, and its NatSpec sentence."""

from __future__ import annotations

from functools import cache
from typing import Any, NamedTuple

from eth_abi.abi import decode
from eth_abi.exceptions import DecodingError
from eth_utils.crypto import keccak
from web3 import Web3
from web3.exceptions import ContractLogicError, Web3RPCError

from wellhead.chain import artifacts
from wellhead.errors import Refused

_ERROR_STRING = bytes.fromhex("08c379a0")
_PANIC = bytes.fromhex("4e487b71")
_PANICS = {0x11: "arithmetic overflow", 0x12: "division by zero", 0x32: "index out of range"}


# Solady reverts with these from assembly, so no ABI lists them.
_UNLISTED = {
    "TransferFromFailed()": "the stablecoin could not be taken: balance or allowance too low, or payer blocked",
    "TransferFailed()": "the stablecoin could not be paid: the receiver is blocked or the token is paused",
}


class CustomError(NamedTuple):
    """A custom error as the contracts declare it."""

    name: str
    inputs: tuple[tuple[str, str], ...]
    notice: str


class ContractRefused(Refused):
    """A call would revert or reverted. `name` is the custom error's, `values` its arguments by name."""

    def __init__(self, name: str, values: dict[str, Any], message: str) -> None:
        super().__init__(message)
        self.name = name
        self.values = values


@cache
def known_errors() -> dict[bytes, CustomError]:
    """Every custom error of every artifact, by selector."""
    unlisted = {
        keccak(text=signature)[:4]: CustomError(signature[:-2], (), notice)
        for signature, notice in _UNLISTED.items()
    }
    found = dict(unlisted)
    for contract in artifacts.names():
        artifact = artifacts.load(contract)
        for entry in artifact.abi:
            if entry["type"] != "error":
                continue
            signature = f"{entry['name']}({','.join(_type(i) for i in entry['inputs'])})"
            selector = keccak(text=signature)[:4]
            notice = artifact.error_notices.get(signature, "")
            if selector not in found or (notice and selector not in unlisted):
                inputs = tuple((i["name"], _type(i)) for i in entry["inputs"])
                found[selector] = CustomError(entry["name"], inputs, notice)
    return found


def explain(data: bytes) -> ContractRefused:
    """Decode revert data; never fails, for data that nobody here knows it shows the bytes."""
    selector, body = data[:4], data[4:]
    try:
        if selector == _ERROR_STRING:
            (text,) = decode(["string"], body)
            return ContractRefused("Error", {"message": text}, text)
        if selector == _PANIC:
            (code,) = decode(["uint256"], body)
            reason = _PANICS.get(code, "assertion")
            return ContractRefused(
                "Panic", {"code": code}, f"the contract stopped: {reason} (panic {code:#x})"
            )
        error = known_errors().get(selector)
        if error is not None:
            decoded = decode([kind for _, kind in error.inputs], body)
            values = {name: value for (name, _), value in zip(error.inputs, decoded, strict=True)}
            return ContractRefused(error.name, values, _sentence(error, values))
    except DecodingError:
        pass  # the data only looks like that error: fall through and show it raw
    shown = f"0x{data.hex()}" if data else "without a reason"
    return ContractRefused("Unknown", {"data": data}, f"the contract reverted {shown}")


def from_exception(error: Exception) -> ContractRefused:
    """The same for what web3 raises; Anvil and Ganache put the bytes in different places."""
    data = getattr(error, "data", None)
    if isinstance(data, dict):
        data = data.get("result") or data.get("data") or ""
    if isinstance(data, str) and data.startswith("0x"):
        return explain(bytes.fromhex(data[2:]))
    if isinstance(error, ContractLogicError | Web3RPCError):
        text = getattr(error, "message", None) or str(error)
        return ContractRefused("Error", {"message": text}, text)
    raise error


def _type(parameter: dict[str, Any]) -> str:
    kind: str = parameter["type"]
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(_type(part) for part in parameter['components'])}){kind[5:]}"


def _sentence(error: CustomError, values: dict[str, Any]) -> str:
    shown = ", ".join(f"{name} {_show(value)}" for name, value in values.items())
    notice = error.notice.rstrip(". ") or "refused"
    return f"{notice} [{error.name}{': ' + shown if shown else ''}]"


def _show(value: Any) -> str:
    if isinstance(value, str) and Web3.is_address(value):
        return Web3.to_checksum_address(value)
    if not isinstance(value, bytes):
        return str(value)
    text = value.rstrip(b"\0")
    # Names of fields come as bytes32 of ASCII.
    return text.decode() if len(text) > 2 and text.isalnum() else f"0x{value.hex()}"

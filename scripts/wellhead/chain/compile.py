"""Compile the contracts with the settings of brownie-config.yaml, the one place that holds them.

Only a source checkout can compile; the installed package reads the artifacts that travelled with it.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import solcx
import yaml
from solcx.exceptions import SolcError, SolcNotInstalled
from solcx.install import get_executable

from wellhead.errors import Refused

CONFIG_NAME = "brownie-config.yaml"
CONTRACTS_DIR = "contracts"


class CompileError(Refused):
    """The compiler refused the sources; the message is the compiler's own."""


class CompilerSettings(NamedTuple):
    """What decides the bytecode, as brownie-config.yaml spells it."""

    version: str
    evm_version: str
    optimizer: dict[str, Any]
    via_ir: bool
    remappings: list[str]


class CompiledContract(NamedTuple):
    """One contract out of the compiler. Bytecodes are 0x-prefixed hex."""

    name: str
    source: str
    abi: list[dict[str, Any]]
    bytecode: str
    runtime_bytecode: str
    immutables: dict[str, list[dict[str, int]]]
    # NatSpec of the custom errors by signature: what the command line says when one comes back.
    error_notices: dict[str, str]


def read_settings(root: Path) -> CompilerSettings:
    """The compiler settings of the checkout at `root`."""
    config = yaml.safe_load((root / CONFIG_NAME).read_text())["compiler"]
    solc = config["solc"]
    return CompilerSettings(
        version=str(solc["version"]),
        evm_version=config["evm_version"],
        optimizer=solc["optimizer"],
        via_ir=bool(solc["viaIR"]),
        remappings=list(solc["remappings"]),
    )


def standard_input(root: Path, folders: tuple[str, ...] = (CONTRACTS_DIR,)) -> dict[str, Any]:
    """The standard-JSON input over every .sol file below `folders`, with paths relative to `root`."""
    settings = read_settings(root)
    paths = sorted(path for folder in folders for path in (root / folder).rglob("*.sol"))
    return {
        "language": "Solidity",
        "sources": {str(path.relative_to(root)): {"content": path.read_text()} for path in paths},
        "settings": {
            "remappings": settings.remappings,
            "optimizer": settings.optimizer,
            "evmVersion": settings.evm_version,
            "viaIR": settings.via_ir,
            "outputSelection": {
                "*": {
                    "*": [
                        *("abi", "userdoc", "evm.bytecode.object"),
                        *("evm.deployedBytecode.object", "evm.deployedBytecode.immutableReferences"),
                    ]
                }
            },
        },
    }


def compile_contracts(root: Path, folders: tuple[str, ...] = (CONTRACTS_DIR,)) -> dict[str, CompiledContract]:
    """Compile `folders` below `root`; contracts by name, Solady's own sources left out.

    Raises CompileError with the compiler's messages, or when two contracts share a name.
    """
    try:
        output = solcx.compile_standard(
            standard_input(root, folders),
            base_path=str(root),
            allow_paths=[str(root), str((root / "node_modules").resolve())],
            solc_binary=_compiler(read_settings(root).version),
        )
    except SolcError as error:
        raise CompileError(str(error.message)) from None
    compiled: dict[str, CompiledContract] = {}
    for source, contracts in output["contracts"].items():
        if not source.startswith(folders):
            continue
        for name, contract in contracts.items():
            if name in compiled:
                raise CompileError(f"two contracts are called {name}: {compiled[name].source} and {source}")
            runtime = contract["evm"]["deployedBytecode"]
            compiled[name] = CompiledContract(
                name=name,
                source=source,
                abi=contract["abi"],
                bytecode="0x" + contract["evm"]["bytecode"]["object"],
                runtime_bytecode="0x" + runtime["object"],
                immutables=runtime.get("immutableReferences", {}),
                error_notices={
                    signature: notices[0]["notice"]
                    for signature, notices in contract.get("userdoc", {}).get("errors", {}).items()
                    if "notice" in notices[0]
                },
            )
    return compiled


def _compiler(version: str) -> Path:
    """The compiler that py-solc-x has: npm's behind its launcher after `make`, or one that it downloads."""
    try:
        return Path(get_executable(version))
    except SolcNotInstalled:
        try:
            solcx.install_solc(version)
        except Exception as error:  # requests' own, or py-solc-x's: either way there is no compiler
            raise CompileError(
                f"no solc {version}: `make` brings npm's, and downloading it failed: {error}"
            ) from None
    return Path(get_executable(version))

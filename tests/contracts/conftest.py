"""A real Anvil for contract tests: one chain per run, every test between a snapshot and its revert."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from eth_account import Account
from eth_account.signers.local import LocalAccount
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.providers import JSONBaseProvider
from web3.types import RPCEndpoint, RPCResponse, TxReceipt

from wellhead.chain import artifacts, local
from wellhead.chain.artifacts import Artifact
from wellhead.chain.build import write_artifacts
from wellhead.chain.compile import standard_input

ROOT = Path(__file__).resolve().parents[2]
DOUBLES = "tests/doubles"
# Given with every transaction: each estimate is one more run of it, and one more question.
GAS = 10_000_000

ROLES = (
    *("owner", "guardian", "enforcer", "treasury", "operator", "second_operator"),
    *("holder", "second_holder", "customer", "stranger"),
    *("reporter_0", "reporter_1", "reporter_2", "reporter_3", "reporter_4"),
    *("attestor_0", "attestor_1", "attestor_2", "attestor_3", "attestor_4"),
)


@pytest.fixture(scope="session")
def compiled() -> dict[str, Artifact]:
    """Every contract as it ships, brought up to date, and the test doubles, compiled once per state of theirs."""
    subprocess.run(["make", "--no-print-directory", "build"], cwd=ROOT, check=True, timeout=600)
    digest = hashlib.sha256(json.dumps(standard_input(ROOT, (DOUBLES, "contracts"))).encode()).hexdigest()
    cache = ROOT / "build" / f"doubles-{digest[:16]}"
    if not cache.is_dir():
        write_artifacts(ROOT, cache, DOUBLES)
    doubles = {file.stem: artifacts.read(file) for file in cache.glob("*.json")}
    return doubles | {name: artifacts.load(name) for name in artifacts.names()}


class Wire(JSONBaseProvider):
    """One open connection to a chain. web3's own way to ask takes longer than Anvil to answer."""

    def __init__(self, port: int) -> None:
        super().__init__()
        self._connection = HTTPConnection(local.HOST, port, timeout=60)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        body = self.encode_rpc_request(method, params)
        self._connection.request("POST", "/", body, {"content-type": "application/json"})
        return self.decode_rpc_response(self._connection.getresponse().read())


@pytest.fixture(scope="session")
def w3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web3]:
    with local.running("anvil", log=tmp_path_factory.mktemp("chain") / "anvil.log") as chain:
        connection = Web3(Wire(chain.port))
        # They ask the chain for its id and its fees with every transaction; ours are all of one chain.
        for layer in ("gas_price_strategy", "validation", "ens_name_to_address"):
            connection.middleware_onion.remove(layer)
        connection.eth.default_account = connection.eth.accounts[0]
        yield connection


@pytest.fixture(autouse=True)
def isolation(w3: Web3) -> Iterator[None]:
    """Every test leaves the chain as it found it."""
    taken = w3.provider.make_request(RPCEndpoint("evm_snapshot"), [])["result"]
    yield
    assert w3.provider.make_request(RPCEndpoint("evm_revert"), [taken])["result"]


@pytest.fixture(scope="session")
def keys() -> dict[str, LocalAccount]:
    """The local chain's accounts by role, with their keys."""
    Account.enable_unaudited_hdwallet_features()
    return {
        role: Account.from_mnemonic(local.MNEMONIC, account_path=f"m/44'/60'/0'/0/{number}")
        for number, role in enumerate(ROLES)
    }


@pytest.fixture(scope="session")
def actors(keys: dict[str, LocalAccount]) -> dict[str, str]:
    """Addresses by role; the chain signs for all of them."""
    return {role: key.address for role, key in keys.items()}


Deploy = Callable[..., Contract]
Send = Callable[..., TxReceipt]
Reverts = Callable[..., AbstractContextManager[None]]


@pytest.fixture(scope="session")
def deploy(w3: Web3, compiled: dict[str, Artifact]) -> Deploy:
    """deploy("Name", *constructor_arguments, sender=address) -> Contract; simulates first, as `send` does."""

    first = w3.eth.accounts[0]

    def deploy_contract(name: str, *arguments: Any, sender: str | None = None) -> Contract:
        built = compiled[name]
        creation = w3.eth.contract(abi=built.abi, bytecode=built.bytecode).constructor(*arguments)
        transaction = {"from": sender or first, "gas": GAS}
        w3.eth.call({**transaction, "data": creation.data_in_transaction})
        receipt = w3.eth.wait_for_transaction_receipt(creation.transact(transaction), poll_latency=0.002)
        return w3.eth.contract(address=receipt["contractAddress"], abi=built.abi)

    return deploy_contract


@pytest.fixture(scope="session")
def send(w3: Web3) -> Send:
    """send(contract.functions.f(...), sender=address) -> receipt; simulates first, so errors carry data."""

    first = w3.eth.accounts[0]

    def send_call(call: Any, sender: str | None = None) -> TxReceipt:
        transaction = {"from": sender or first, "gas": GAS}
        call.call(transaction)
        return w3.eth.wait_for_transaction_receipt(call.transact(transaction), poll_latency=0.002)

    return send_call


@pytest.fixture(scope="session")
def reverts(compiled: dict[str, Artifact]) -> Reverts:
    """with reverts("Contract_Error", *values): the block must fail with exactly that custom error."""
    errors = {}
    for contract in compiled.values():
        for entry in contract.abi:
            if entry["type"] == "error":
                types = [parameter["type"] for parameter in entry["inputs"]]
                signature = f"{entry['name']}({','.join(types)})"
                errors[Web3.keccak(text=signature)[:4].hex()] = (entry["name"], types)

    @contextmanager
    def expect(name: str, *values: Any) -> Iterator[None]:
        try:
            yield
        except (ContractCustomError, ContractLogicError) as error:
            data = str(error.data or "").removeprefix("0x")
            found, types = errors.get(data[:8], (f"{error}", []))
            assert found == name, f"expected {name}, got {found}"
            if values:
                decoded = Web3().codec.decode(types, bytes.fromhex(data[8:]))
                assert decoded == tuple(
                    value.lower() if isinstance(value, str) and value.startswith("0x") else value
                    for value in values
                )
        else:
            pytest.fail(f"expected {name}, but nothing reverted")

    return expect

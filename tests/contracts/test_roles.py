"""Who may do what: one table of every function that changes state, and nobody but the stated role does it.

A function that is missing here fails the test, as does a role that does not refuse everyone else.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import pytest
from eth_utils.abi import function_abi_to_4byte_selector
from pool_stage import Terms as PoolTerms
from registering import SPEC_URI, Spec, attestor_keys
from sale_stage import FINALITY, RING, WINDOW, SaleStage, raise_sale_stage
from web3.exceptions import ContractCustomError, ContractLogicError

from wellhead.chain import artifacts, local
from wellhead.chain.compile import CONTRACTS_DIR
from wellhead.deploy.canonical import ALL as CANONICAL
from wellhead.deploy.canonical import SETTLEMENT, ensure_canonical

ROOT = Path(__file__).resolve().parents[2]


class Role(NamedTuple):
    """Who may call, and the error that everyone else gets. Without holders a caller needs more than a name."""

    holders: tuple[str, ...]
    error: str


# Whoever calls, for themselves or for everyone's good; what they may do is a matter of money, not of roles.
ANYONE = None
OWNER = Role(("owner",), "Unauthorized")
GUARDIAN = Role(("guardian",), "Guarded_NotGuardian")
MARKET = Role(("Offering",), "NodeRegistry_NotMarket")
NODE_OPERATOR = Role(("operator",), "NodeRegistry_NotOperator")
ISSUER = Role(("Offering",), "NodeShare_NotIssuer")
ENFORCER = Role(("enforcer",), "NodeShare_NotEnforcer")
DOLLAR_SIGNER = Role((), "MockUSD_InvalidSignature")
RECEIVER_SIDE = Role(("second_holder",), "BatchSettlement_NotReceiverSide")
PAYER_SIDE = Role(("second_holder",), "BatchSettlement_NotPayerSide")
CHANNEL_SIGNER = Role((), "BatchSettlement_InvalidSignature")
QUORUM = Role((), "Quorum_WrongSignatureLength")

OWNED: dict[str, Role | None] = {
    "transferOwnership": OWNER,
    "renounceOwnership": OWNER,
    "requestOwnershipHandover": ANYONE,
    "cancelOwnershipHandover": ANYONE,
    "completeOwnershipHandover": OWNER,
}
GUARDED = OWNED | {"setGuardian": OWNER, "setPaused": GUARDIAN}

TABLE: dict[str, dict[str, Role | None]] = {
    "MockUSD": OWNED
    | {
        "approve": ANYONE,
        "transfer": ANYONE,
        "transferFrom": Role((), "InsufficientAllowance"),
        "permit": DOLLAR_SIGNER,
        "transferWithAuthorization": DOLLAR_SIGNER,
        "receiveWithAuthorization": Role(("second_holder",), "MockUSD_NotReceiver"),
        "cancelAuthorization": DOLLAR_SIGNER,
        "faucet": ANYONE,
        "mint": Role(("customer",), "MockUSD_NotMinter"),
        "burn": Role(("customer",), "MockUSD_NotMinter"),
        "configureMinter": Role(("treasury",), "MockUSD_NotMasterMinter"),
        "removeMinter": Role(("treasury",), "MockUSD_NotMasterMinter"),
        "blacklist": Role(("enforcer",), "MockUSD_NotBlacklister"),
        "unBlacklist": Role(("enforcer",), "MockUSD_NotBlacklister"),
        "pause": Role(("guardian",), "MockUSD_NotPauser"),
        "unpause": Role(("guardian",), "MockUSD_NotPauser"),
        "updateMasterMinter": OWNER,
        "updateBlacklister": OWNER,
        "updatePauser": OWNER,
    },
    "NodeRegistry": GUARDED
    | {
        "register": ANYONE,
        "attest": QUORUM,
        "activate": NODE_OPERATOR,
        "suspend": Role(("operator", "guardian"), "NodeRegistry_MayNotSuspend"),
        "resume": GUARDIAN,
        "retire": NODE_OPERATOR,
        "depositBond": ANYONE,
        "requestBondWithdrawal": NODE_OPERATOR,
        "withdrawBond": NODE_OPERATOR,
        "hold": MARKET,
        "release": Role(("Offering",), "NodeRegistry_NothingHeld"),
        "commitUntil": MARKET,
        "setMarket": OWNER,
        "setAttestors": OWNER,
    },
    "TelemetryOracle": OWNED
    | {
        "report": QUORUM,
        "veto": Role(("guardian",), "TelemetryOracle_NotGuardian"),
        "push": ANYONE,
        "restore": ANYONE,
        "setReporters": OWNER,
        "setGuardian": OWNER,
    },
    "NodeShareFactory": OWNED
    | {
        "create": Role(("operator",), "NodeShareFactory_NotOperator"),
        "claimMany": ANYONE,
        "setEnforcer": OWNER,
        "setTreasury": OWNER,
        "setProtocolCut": OWNER,
        "setIssuer": OWNER,
    },
    "NodeShare": {
        "approve": ANYONE,
        "transfer": ANYONE,
        "transferFrom": Role((), "NodeShare_InsufficientAllowance"),
        "permit": Role((), "NodeShare_InvalidPermit"),
        "mint": ISSUER,
        "mintLocked": ISSUER,
        "goLive": ISSUER,
        "fail": ISSUER,
        "burn": ISSUER,
        "burnLocked": ISSUER,
        "unlock": ISSUER,
        "setFrozenTokens": ENFORCER,
        "forcedTransfer": ENFORCER,
        "sync": ANYONE,
        "claim": ANYONE,
        "claimFor": ANYONE,
        "claimOperatorCredit": ANYONE,
        "claimProtocolCredit": ANYONE,
        "setPayout": ANYONE,
    },
    "EligibilityList": OWNED | {"setEligible": OWNER},
    "Offering": GUARDED
    | {
        "open": Role(("operator",), "Offering_NotOperator"),
        "abandon": Role(("operator",), "Offering_NotOperator"),
        "buy": ANYONE,
        "close": ANYONE,
        "confirmDelivery": ANYONE,
        "failDelivery": ANYONE,
        "expire": ANYONE,
        "refund": ANYONE,
        "withdraw": Role(("operator",), "Offering_NotOperator"),
    },
    # A channel names its own sides; in the samples second_holder is all of them.
    "BatchSettlement": {
        "deposit": ANYONE,
        "claim": RECEIVER_SIDE,
        "claimWithSignature": CHANNEL_SIGNER,
        "settle": ANYONE,
        "refund": RECEIVER_SIDE,
        "refundWithSignature": CHANNEL_SIGNER,
        "initiateWithdraw": PAYER_SIDE,
        "finalizeWithdraw": PAYER_SIDE,
        "multicall": ANYONE,  # each call asks for itself
    },
    "ERC3009DepositCollector": {
        "collect": Role(("BatchSettlement",), "ERC3009DepositCollector_NotSettlement")
    },
    # With the authorizer's signature, which the settlement checks.
    "SettleRouter": {"claimAndSettle": ANYONE},
    "ReporterScores": {"post": QUORUM},
    "ComputePool": GUARDED
    | {
        "admit": OWNER,
        "dismiss": OWNER,
        "join": Role(("operator",), "ComputePool_NotOperator"),
        "resign": Role(("operator",), "ComputePool_NotOperator"),
        "expel": ANYONE,
        "setGateway": OWNER,
        "sync": ANYONE,
        "record": ANYONE,  # with the gateway's signature
        "distribute": ANYONE,
        "claim": ANYONE,
    },
    "Multicall3StandIn": {"tryAggregate": ANYONE, "aggregate3": ANYONE},
}

# What a call says; where a parameter is not named here, its type decides.
FOREVER = 2**256 - 1
BY_NAME = {"node": 1, "deadline": FOREVER, "validBefore": FOREVER, "validAfter": 0}
BY_FUNCTION = {
    "attest": {"node": 2},  # the one that nobody has attested yet
    "refundWithSignature": {"nonce": 0},
    "claimWithSignature": {"totalClaimed": 0},
}


def changing(abi: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The functions of `abi` that may change state."""
    return [e for e in abi if e["type"] == "function" and e["stateMutability"] in ("nonpayable", "payable")]


@pytest.fixture(scope="module")
def deployable():
    """What is deployed where value is at stake: all but interfaces, libraries, bases and the bench's stand-ins."""
    bench = {file.stem for file in (ROOT / CONTRACTS_DIR / "bench").iterdir()}
    return {
        name: contract
        for name, contract in ((name, artifacts.load(name)) for name in artifacts.names())
        if name not in bench
        and contract.bytecode != "0x"
        and contract.abi
        and any(entry["type"] == "function" for entry in contract.abi)
    }


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> SaleStage:
    """A sale under way over a MockUSD whose roles are different people, and a node that waits for attestors."""
    dollar = deploy("MockUSD", actors["owner"])
    send(dollar.functions.updateMasterMinter(actors["treasury"]), actors["owner"])
    send(dollar.functions.updateBlacklister(actors["enforcer"]), actors["owner"])
    send(dollar.functions.updatePauser(actors["guardian"]), actors["owner"])
    send(dollar.functions.configureMinter(actors["customer"], 1), actors["treasury"])
    raised = raise_sale_stage(w3, deploy, send, actors, keys, compiled["NodeShare"].abi, dollar)
    raised.open()
    ensure_canonical(w3)
    send(raised.registry.functions.register(Spec(), SPEC_URI), actors["operator"])
    return raised


@pytest.fixture(scope="module")
def oracle(w3, deploy, actors, keys):
    genesis = local.chain_time(w3) - 10 * WINDOW
    reporters = [key.address for key in attestor_keys(keys)]
    return deploy(
        *(
            "TelemetryOracle",
            genesis,
            WINDOW,
            FINALITY,
            RING,
            actors["owner"],
            actors["guardian"],
            reporters,
            1,
        )
    )


@pytest.fixture(scope="module")
def contracts(stage, oracle, deploy, actors):
    """The contracts of the table by name."""
    return {
        "MockUSD": stage.dollar,
        "NodeRegistry": stage.registry,
        "TelemetryOracle": oracle,
        "NodeShareFactory": stage.factory,
        "NodeShare": stage.share,
        "EligibilityList": deploy("EligibilityList", actors["owner"]),
        "Offering": stage.offering,
        "SettleRouter": deploy("SettleRouter", SETTLEMENT.address),
        "ReporterScores": deploy("ReporterScores", oracle.address),
        "ComputePool": deploy(
            *("ComputePool", actors["owner"], actors["guardian"], stage.factory.address),
            *(stage.oracle.address, actors["stranger"], tuple(PoolTerms())),
        ),
    } | {
        canonical.contract: stage.w3.eth.contract(
            address=canonical.address, abi=artifacts.load(canonical.contract).abi
        )
        for canonical in CANONICAL
    }


@pytest.fixture(scope="module")
def error_of(w3, compiled):
    """error_of(caller, contract, function): the custom error's name, or None where the call goes through."""
    names = {
        bytes(function_abi_to_4byte_selector(entry)): entry["name"]
        for contract in compiled.values()
        for entry in contract.abi
        if entry["type"] == "error"
    }

    def call(caller, contract, function, arguments):
        data = contract.get_function_by_signature(_signature(function))(*arguments)._encode_transaction_data()
        try:
            w3.eth.call({"from": caller, "to": contract.address, "data": data})
        except (ContractCustomError, ContractLogicError) as error:
            raised = bytes.fromhex(str(error.data or "0x")[2:])
            return names.get(raised[:4], str(error))
        return None

    return call


def _signature(function: dict[str, Any]) -> str:
    return f"{function['name']}({','.join(map(_type, function['inputs']))})"


def _type(parameter: dict[str, Any]) -> str:
    if parameter["type"].startswith("tuple"):
        inside = ",".join(map(_type, parameter["components"]))
        return f"({inside}){parameter['type'].removeprefix('tuple')}"
    return str(parameter["type"])


def _sample(parameter: dict[str, Any], address: str, named: dict[str, int]) -> Any:
    """A value that gets as far as the check of the role."""
    kind = parameter["type"]
    if parameter["name"] in named:
        return named[parameter["name"]]
    if kind == "tuple[]":
        return [_sample({**parameter, "type": "tuple"}, address, named)]
    if kind.endswith("[]"):
        return []
    if kind == "tuple":
        return tuple(_sample(component, address, named) for component in parameter["components"])
    if kind == "address":
        return address
    if kind == "bool":
        return True
    if kind == "string":
        return ""
    if kind.startswith("bytes"):
        return bytes(int(kind.removeprefix("bytes") or 0))
    return 1


def test_the_table_names_every_function_that_changes_state(deployable):
    stated = {(name, function) for name, functions in TABLE.items() for function in functions}
    existing = {(name, entry["name"]) for name, built in deployable.items() for entry in changing(built.abi)}
    assert existing - stated == set(), "state who may call these"
    assert stated - existing == set(), "these are gone"


def test_no_contract_takes_plain_ether(deployable):
    takers = [
        name for name, built in deployable.items() for e in built.abi if e["type"] in ("receive", "fallback")
    ]
    assert takers == []


@pytest.mark.parametrize("name", TABLE)
def test_nobody_but_the_role_does_it(name, contracts, actors, error_of):
    contract = contracts[name]
    people = {
        role: address for role, address in actors.items() if not role.endswith(("_1", "_2", "_3", "_4"))
    }
    callers = people | {known: found.address for known, found in contracts.items()}
    wrong = []
    for function in changing(contract.abi):
        role = TABLE[name][function["name"]]
        if role is None:
            continue
        named = BY_NAME | BY_FUNCTION.get(function["name"], {})
        arguments = [_sample(p, actors["second_holder"], named) for p in function["inputs"]]
        for caller, address in callers.items():
            if address == contract.address:
                continue  # none calls itself, and MockUSD refuses itself before it asks for a role
            error = error_of(address, contract, function, arguments)
            if (error == role.error) is (caller in role.holders):
                wrong.append(f"{_signature(function)} by {caller}: {error}, the role's error is {role.error}")
    assert wrong == []

"""NodeRegistry: the operator's bond, in by exact amounts, out after a delay."""

from __future__ import annotations

import pytest
from registering import (
    BOND_DELAY,
    BOND_PER_GPU,
    FAULTY,
    Spec,
    attestor_keys,
    deploy_registry,
    fund_bond,
    register_attested,
)
from web3 import Web3
from web3.exceptions import ContractCustomError
from web3.logs import DISCARD

# SafeTransferLib reverts from assembly, so no ABI names its errors.
TRANSFER_FAILED = Web3.keccak(text="TransferFailed()")[:4].to_0x_hex()
TRANSFER_FROM_FAILED = Web3.keccak(text="TransferFromFailed()")[:4].to_0x_hex()
ZERO = "0x" + "0" * 40
NONE = 0
NODE = 1
REQUIRED = BOND_PER_GPU * Spec().gpu_count
SPARE = 40_000_000


@pytest.fixture(scope="module")
def dollar(deploy):
    return deploy("MisbehavingDollar")


@pytest.fixture(scope="module")
def registry(deploy, actors, keys, dollar):
    return deploy_registry(deploy, actors, keys, dollar)


@pytest.fixture
def bonded(registry, dollar, send, actors, keys):
    """An active node with SPARE dollars above what it needs."""
    register_attested(registry, send, actors["operator"], keys)
    fund_bond(registry, dollar, send, actors["operator"], REQUIRED + SPARE)
    send(registry.functions.depositBond(NODE, REQUIRED + SPARE), actors["operator"])
    send(registry.functions.activate(NODE), actors["operator"])


@pytest.fixture
def wait(w3):
    def pass_time(seconds: int) -> None:
        w3.provider.make_request("evm_increaseTime", [seconds])
        w3.provider.make_request("evm_mine", [])

    return pass_time


def bond(registry) -> int:
    return registry.functions.nodeOf(NODE).call()[4]


@pytest.mark.usefixtures("bonded")
def test_anyone_may_add_to_a_bond(registry, dollar, send, actors):
    fund_bond(registry, dollar, send, actors["stranger"], 5)
    receipt = send(registry.functions.depositBond(NODE, 5), actors["stranger"])
    (event,) = registry.events.DepositBond().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["payer"] == actors["stranger"]
    assert event["args"]["bondUsd6"] == bond(registry) == REQUIRED + SPARE + 5
    assert dollar.functions.balanceOf(registry.address).call() == REQUIRED + SPARE + 5


def test_no_bond_for_no_node(registry, send, reverts, actors):
    with reverts("NodeRegistry_WrongStatus", NODE, NONE):
        send(registry.functions.depositBond(NODE, 5), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_a_bond_counts_what_arrives(registry, dollar, send, reverts, actors):
    fund_bond(registry, dollar, send, actors["operator"], 100)
    send(dollar.functions.takeFee(1))
    with reverts("NodeRegistry_WrongAmountReceived", 99, 100):
        send(registry.functions.depositBond(NODE, 100), actors["operator"])
    send(dollar.functions.takeFee(0))
    send(dollar.functions.answerFalse(True))
    with pytest.raises(ContractCustomError, match=TRANSFER_FROM_FAILED):
        send(registry.functions.depositBond(NODE, 100), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_a_deposit_from_within_a_deposit_does_not_count_twice(registry, dollar, send, actors, reverts):
    fund_bond(registry, dollar, send, actors["operator"], 100)
    send(dollar.functions.mint(dollar.address, 7))
    inner = registry.encode_abi("depositBond", args=[NODE, 7])
    send(dollar.functions.callOut(registry.address, inner))
    with reverts("NodeRegistry_WrongAmountReceived", 107, 100):
        send(registry.functions.depositBond(NODE, 100), actors["operator"])
    assert bond(registry) == REQUIRED + SPARE


@pytest.mark.usefixtures("bonded")
def test_what_was_requested_is_paid_after_the_delay(registry, dollar, send, reverts, actors, wait, w3):
    receipt = send(registry.functions.requestBondWithdrawal(NODE, SPARE), actors["operator"])
    at = w3.eth.get_block(receipt["blockNumber"])["timestamp"] + BOND_DELAY
    assert registry.functions.bondWithdrawalOf(NODE).call() == [SPARE, at]
    with reverts("NodeRegistry_WithdrawalNotYet", NODE, at):
        send(registry.functions.withdrawBond(NODE, actors["treasury"]), actors["operator"])
    wait(BOND_DELAY)
    receipt = send(registry.functions.withdrawBond(NODE, actors["treasury"]), actors["operator"])
    (event,) = registry.events.WithdrawBond().process_receipt(receipt, errors=DISCARD)
    assert event["args"]["to"] == actors["treasury"]
    assert dollar.functions.balanceOf(actors["treasury"]).call() == SPARE
    assert bond(registry) == REQUIRED
    with reverts("NodeRegistry_NoWithdrawalRequested", NODE):
        send(registry.functions.withdrawBond(NODE, actors["treasury"]), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_the_required_bond_stays(registry, send, reverts, actors):
    with reverts("NodeRegistry_BondTooLow", NODE, REQUIRED + SPARE, REQUIRED + SPARE + 1):
        send(registry.functions.requestBondWithdrawal(NODE, SPARE + 1), actors["operator"])
    send(registry.functions.suspend(NODE), actors["operator"])
    with reverts("NodeRegistry_BondTooLow", NODE, REQUIRED + SPARE, REQUIRED + SPARE + 1):
        send(registry.functions.requestBondWithdrawal(NODE, SPARE + 1), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_a_retired_nodes_bond_leaves_whole_even_while_paused(registry, dollar, send, reverts, actors, wait):
    send(registry.functions.retire(NODE), actors["operator"])
    send(registry.functions.setPaused(True), actors["guardian"])
    with reverts("NodeRegistry_BondTooLow", NODE, REQUIRED + SPARE, REQUIRED + SPARE + 1):
        send(registry.functions.requestBondWithdrawal(NODE, REQUIRED + SPARE + 1), actors["operator"])
    send(registry.functions.requestBondWithdrawal(NODE, REQUIRED + SPARE), actors["operator"])
    wait(BOND_DELAY)
    send(registry.functions.withdrawBond(NODE, actors["operator"]), actors["operator"])
    assert dollar.functions.balanceOf(registry.address).call() == 0


@pytest.mark.usefixtures("bonded")
def test_a_new_request_replaces_and_zero_cancels(registry, send, reverts, actors, wait, w3):
    send(registry.functions.requestBondWithdrawal(NODE, SPARE), actors["operator"])
    wait(BOND_DELAY - 100)
    receipt = send(registry.functions.requestBondWithdrawal(NODE, 1), actors["operator"])
    at = w3.eth.get_block(receipt["blockNumber"])["timestamp"] + BOND_DELAY
    wait(200)
    with reverts("NodeRegistry_WithdrawalNotYet", NODE, at):
        send(registry.functions.withdrawBond(NODE, actors["operator"]), actors["operator"])
    send(registry.functions.requestBondWithdrawal(NODE, 0), actors["operator"])
    wait(BOND_DELAY)
    with reverts("NodeRegistry_NoWithdrawalRequested", NODE):
        send(registry.functions.withdrawBond(NODE, actors["operator"]), actors["operator"])


def test_a_request_can_be_cancelled_below_the_required_bond(registry, send, actors, keys):
    register_attested(registry, send, actors["operator"], keys)
    send(registry.functions.requestBondWithdrawal(NODE, 0), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_only_the_operator_withdraws(registry, send, reverts, actors, wait):
    with reverts("NodeRegistry_NotOperator", NODE, actors["owner"]):
        send(registry.functions.requestBondWithdrawal(NODE, SPARE), actors["owner"])
    send(registry.functions.requestBondWithdrawal(NODE, SPARE), actors["operator"])
    wait(BOND_DELAY)
    with reverts("NodeRegistry_NotOperator", NODE, actors["stranger"]):
        send(registry.functions.withdrawBond(NODE, actors["stranger"]), actors["stranger"])
    with reverts("NodeRegistry_ZeroReceiver"):
        send(registry.functions.withdrawBond(NODE, ZERO), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_a_refused_receiver_is_the_operators_to_change(registry, dollar, send, actors, wait):
    send(registry.functions.requestBondWithdrawal(NODE, SPARE), actors["operator"])
    wait(BOND_DELAY)
    send(dollar.functions.refuse(actors["operator"], True))
    with pytest.raises(ContractCustomError, match=TRANSFER_FAILED):
        send(registry.functions.withdrawBond(NODE, actors["operator"]), actors["operator"])
    send(registry.functions.withdrawBond(NODE, actors["treasury"]), actors["operator"])


@pytest.mark.usefixtures("bonded")
def test_a_receiver_that_calls_back_is_paid_once(registry, dollar, send, actors, wait):
    send(registry.functions.requestBondWithdrawal(NODE, SPARE), actors["operator"])
    wait(BOND_DELAY)
    again = registry.encode_abi("withdrawBond", args=[NODE, actors["operator"]])
    send(dollar.functions.callOut(registry.address, again))
    send(registry.functions.withdrawBond(NODE, actors["operator"]), actors["operator"])
    assert not dollar.functions.didCall().call()
    assert dollar.functions.balanceOf(actors["operator"]).call() == SPARE


@pytest.mark.parametrize(
    ("per_gpu", "delay", "error"),
    [
        (10**12 + 1, BOND_DELAY, ("NodeRegistry_BondPerGpuTooHigh", 10**12 + 1, 10**12)),
        (10**12, 86_399, ("NodeRegistry_BondDelayOutOfBounds", 86_399, 86_400, 5_184_000)),
        (10**12, 5_184_001, ("NodeRegistry_BondDelayOutOfBounds", 5_184_001, 86_400, 5_184_000)),
    ],
)
def test_construction_is_bounded(deploy, reverts, actors, keys, dollar, per_gpu, delay, error):
    attestors = [key.address for key in attestor_keys(keys)]
    with reverts(*error):
        deploy(
            *("NodeRegistry", actors["owner"], actors["guardian"], dollar.address),
            *(per_gpu, delay, attestors, FAULTY),
        )

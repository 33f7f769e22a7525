"""Deposits: who may be paid from, what a collector must bring, and what it cannot do meanwhile."""

from __future__ import annotations

import pytest
from settlement_stage import DELAY, NOBODY, SettlementStage, raise_settlement_stage
from usd_signing import smart_wallet_signature
from web3.logs import DISCARD

from wellhead.deploy.canonical import COLLECTOR, SETTLEMENT

AMOUNT = 5_000_000
LEAST, MOST = 900, 30 * 86_400


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> SettlementStage:
    return raise_settlement_stage(w3, deploy, send, actors, keys, compiled)


@pytest.fixture
def hostile(stage, deploy):
    """A collector that brings what it is told, over a dollar that anyone may mint, and a channel in that dollar."""
    dollar, collector = deploy("PlainUSD"), deploy("HostileCollector")
    config = stage.config(token=dollar.address, payer=collector.address, payer_authorizer=NOBODY)
    return dollar, collector, config


def test_the_first_deposit_creates_the_channel(stage, actors):
    config = stage.config()
    receipt = stage.deposit(config, AMOUNT)
    channel = stage.channel_id(config)
    (created,) = stage.settlement.events.ChannelCreated().process_receipt(receipt, errors=DISCARD)
    assert created["args"]["channelId"] == channel
    assert tuple(created["args"]["config"].values()) == tuple(config)
    (deposited,) = stage.settlement.events.Deposited().process_receipt(receipt, errors=DISCARD)
    assert dict(deposited["args"]) == {
        "channelId": channel,
        "sender": actors["stranger"],
        "amount": AMOUNT,
        "newBalance": AMOUNT,
    }
    assert stage.state(config) == (AMOUNT, 0)
    assert stage.balance(SETTLEMENT.address) == AMOUNT
    assert stage.balance(COLLECTOR.address) == 0


def test_a_top_up_adds(stage):
    config = stage.config()
    stage.deposit(config, AMOUNT)
    receipt = stage.deposit(config, 1, salt=2)
    assert not stage.settlement.events.ChannelCreated().process_receipt(receipt, errors=DISCARD)
    assert stage.state(config) == (AMOUNT + 1, 0)


def test_an_authorization_is_good_once(stage, reverts):
    config = stage.config()
    stage.deposit(config, AMOUNT)
    with reverts("MockUSD_AuthorizationUsedOrCanceled"):
        stage.deposit(config, AMOUNT)
    assert stage.state(config) == (AMOUNT, 0)


def test_an_authorization_is_for_its_channel_alone(stage, reverts):
    mine, other = stage.config(), stage.config(salt=b"\x01" * 32)
    data = stage.collector_data(mine, AMOUNT)
    with reverts("MockUSD_InvalidSignature"):
        stage.send(stage.functions.deposit(tuple(other), AMOUNT, COLLECTOR.address, data))


def test_an_authorization_is_for_its_amount_alone(stage, reverts):
    data = stage.collector_data(stage.config(), AMOUNT)
    with reverts("MockUSD_InvalidSignature"):
        stage.send(stage.functions.deposit(tuple(stage.config()), AMOUNT + 1, COLLECTOR.address, data))


def test_nobody_deposits_anothers_money(stage, reverts):
    with reverts("MockUSD_InvalidSignature"):
        stage.deposit(stage.config(), AMOUNT, payer="holder")


def test_a_smart_wallet_deposits(stage, deploy, actors, w3):
    wallet = deploy("SmartWallet", actors["customer"])
    stage.send(stage.usd.functions.transfer(wallet.address, AMOUNT), actors["customer"])
    config = stage.config(payer=wallet.address, payer_authorizer=NOBODY)
    fields = ["uint256", "uint256", "uint256", "bytes"]
    after, before, salt, plain = w3.codec.decode(fields, stage.collector_data(config, AMOUNT))
    signed = type("Signed", (), {"signature": plain})()
    data = w3.codec.encode(fields, [after, before, salt, smart_wallet_signature(signed)])
    stage.send(stage.functions.deposit(tuple(config), AMOUNT, COLLECTOR.address, data))
    assert stage.state(config) == (AMOUNT, 0)


@pytest.mark.parametrize(
    ("field", "name"),
    [
        ("payer", b"payer"),
        ("receiver", b"receiver"),
        ("receiver_authorizer", b"receiverAuthorizer"),
        ("token", b"token"),
    ],
)
def test_a_channel_names_everyone(stage, reverts, field, name):
    config = stage.config(**{field: NOBODY})
    with reverts("BatchSettlement_ZeroAddress", name.ljust(32, b"\0")):
        stage.send(stage.functions.deposit(tuple(config), AMOUNT, COLLECTOR.address, b""))


@pytest.mark.parametrize("delay", [0, LEAST - 1, MOST + 1, 2**40 - 1])
def test_the_delay_has_bounds(stage, reverts, delay):
    assert stage.functions.MIN_WITHDRAW_DELAY().call() == LEAST
    assert stage.functions.MAX_WITHDRAW_DELAY().call() == MOST
    with reverts("BatchSettlement_DelayOutOfBounds", delay, LEAST, MOST):
        stage.send(stage.deposit_call(stage.config(withdraw_delay=delay), AMOUNT))


@pytest.mark.parametrize("delay", [LEAST, MOST])
def test_the_bounds_are_within(stage, delay):
    stage.deposit(stage.config(withdraw_delay=delay), AMOUNT)


def test_nothing_is_no_deposit(stage, reverts):
    with reverts("BatchSettlement_ZeroAmount"):
        stage.send(stage.deposit_call(stage.config(), 0))


def test_an_account_without_code_collects_nothing(stage, actors, reverts):
    with reverts("BatchSettlement_CollectorWithoutCode", actors["stranger"]):
        stage.send(stage.functions.deposit(tuple(stage.config()), AMOUNT, actors["stranger"], b""))


@pytest.mark.parametrize("brings", [0, AMOUNT - 1, AMOUNT + 1])
def test_exactly_the_deposit_must_arrive(stage, hostile, reverts, brings):
    _, collector, config = hostile
    stage.send(collector.functions.set(brings, NOBODY, b""))
    with reverts("BatchSettlement_WrongAmountCollected", brings, AMOUNT):
        stage.send(stage.functions.deposit(tuple(config), AMOUNT, collector.address, b""))
    assert stage.state(config) == (0, 0)


def test_a_channel_holds_128_bits(stage, hostile, reverts):
    _, collector, config = hostile
    most = 2**128 - 1
    stage.send(collector.functions.set(most, NOBODY, b""))
    stage.send(stage.functions.deposit(tuple(config), most, collector.address, b""))
    with reverts("BatchSettlement_DepositOverflow", most, 1):
        stage.send(stage.functions.deposit(tuple(config), 1, collector.address, b""))


@pytest.mark.parametrize(
    "entry", ["deposit", "settle", "refund", "initiateWithdraw", "finalizeWithdraw", "multicall"]
)
def test_while_it_collects_no_money_moves(stage, hostile, actors, entry):
    """The collector is payer and receiver side of a channel with money, so only the lock can refuse it."""
    dollar, collector, config = hostile
    config = config._replace(receiver=collector.address, receiver_authorizer=collector.address)
    functions, here = stage.functions, stage.settlement.address
    stage.send(collector.functions.set(AMOUNT, NOBODY, b""))
    stage.send(functions.deposit(tuple(config), AMOUNT, collector.address, b""))
    if entry == "finalizeWithdraw":
        begin = functions.initiateWithdraw(tuple(config), AMOUNT)
        stage.send(collector.functions.execute(here, begin.build_transaction({"gas": 1})["data"]))
        stage.pass_time(DELAY)
    call = {
        "deposit": functions.deposit(tuple(config), AMOUNT, collector.address, b""),
        "settle": functions.settle(collector.address, dollar.address),
        "refund": functions.refund(tuple(config), AMOUNT),
        "initiateWithdraw": functions.initiateWithdraw(tuple(config), AMOUNT),
        "finalizeWithdraw": functions.finalizeWithdraw(tuple(config)),
    }.get(entry)
    if call is None:
        inner = functions.refund(tuple(config), AMOUNT).build_transaction({"gas": 1})["data"]
        call = functions.multicall([inner])
    stage.send(collector.functions.set(AMOUNT, here, call.build_transaction({"gas": 1})["data"]))
    stage.send(functions.deposit(tuple(config), AMOUNT, collector.address, b""), actors["stranger"])
    assert collector.functions.reentered().call() == 0
    assert collector.functions.refusal().call()[:4] == stage.w3.keccak(text="Reentrancy()")[:4]
    assert stage.state(config) == (2 * AMOUNT, 0)
    assert dollar.functions.balanceOf(here).call() == 2 * AMOUNT


def test_the_collector_serves_the_settlement_alone(stage, actors, reverts):
    data = stage.collector_data(stage.config(), AMOUNT)
    channel = stage.channel_id(stage.config())
    stolen = stage.collector.functions.collect(actors["customer"], stage.usd.address, AMOUNT, channel, data)
    with reverts("ERC3009DepositCollector_NotSettlement", actors["stranger"]):
        stage.send(stolen, actors["stranger"])

"""The router: what dense batches become, what a malformed one is told, and who cannot stop whom."""

from __future__ import annotations

import random
from collections.abc import Collection
from typing import Any, NamedTuple

import pytest
from settlement_stage import NOBODY, SettlementStage, raise_settlement_stage, set_code
from share_stage import raise_stage, the_event
from web3 import Web3
from web3.contract import Contract
from web3.exceptions import ContractCustomError, ContractLogicError
from web3.logs import DISCARD

from wellhead.deploy.canonical import SETTLEMENT
from wellhead.reference.channel import ChannelConfig
from wellhead.reference.dense_claims import DenseClaimsError, SignedClaim, decode_claims, encode_claims

BALANCE = 1_000_000
CALM, REVERTING, BURNING, CALLING = range(4)
HEADER, RECEIVER = 46, 23


class RouterStage(NamedTuple):
    """The settlement's stage, and a router over it that a stranger uses."""

    base: SettlementStage
    router: Contract

    def claim(
        self, config: ChannelConfig, total: int, ceiling: int | None = None, signer: str = "customer"
    ) -> SignedClaim:
        (_, most), signature, _ = self.base.row(config, total, ceiling, signer)
        return SignedClaim(config, most, signature, total)

    def call(self, claims: list[SignedClaim], synced: Collection[str] = (), signer: str = "treasury") -> Any:
        signature = self.base.batch_signature([claim.abi for claim in claims], signer)
        return self.router.functions.claimAndSettle(encode_claims(claims, synced), signature)

    def route(self, claims: list[SignedClaim], synced: Collection[str] = ()) -> Any:
        return self.base.send(self.call(claims, synced), self.base.actors["stranger"])

    def failures(self, receipt: Any, kind: str) -> list[str]:
        found = self.router.events[kind]().process_receipt(receipt, errors=DISCARD)
        return [event["args"]["receiver"] for event in found]


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> RouterStage:
    base = raise_settlement_stage(w3, deploy, send, actors, keys, compiled)
    return RouterStage(base, deploy("SettleRouter", SETTLEMENT.address))


@pytest.fixture
def config(stage) -> ChannelConfig:
    """The customer's channel with the operator, funded."""
    opened = stage.base.config()
    stage.base.deposit(opened, BALANCE)
    return opened


@pytest.fixture
def funded(stage):
    """funded(receiver, ...) -> a funded channel of the customer with this receiver."""
    deposits = iter(range(100, 200))

    def open_channel(receiver: str, **changes: Any) -> ChannelConfig:
        number = next(deposits)
        opened = stage.base.config(receiver=receiver, **changes)
        stage.base.deposit(opened, BALANCE, salt=number)
        return opened

    return open_channel


def receiver_state(stage: RouterStage, receiver: str) -> list[int]:
    return list(stage.base.functions.receivers(receiver, stage.base.usd.address).call())


# What it does -----------------------------------------------------------------------------------------------


def test_it_claims_settles_and_syncs(stage, funded, deploy, send, actors, compiled):
    """Two receivers, one of them a node's share: the money streams to its holders in the same transaction."""
    shares = raise_stage(stage.base.w3, deploy, send, actors, compiled["NodeShare"].abi, usd=stage.base.usd)
    share = shares.live_share()
    to_share = [funded(share.address, salt=bytes([n]) * 32) for n in (1, 2)]
    to_holder = funded(actors["holder"])
    claims = [stage.claim(to_share[0], 70_000), stage.claim(to_share[1], 230_000, 500_000)]
    claims.append(stage.claim(to_holder, 55))
    receipt = stage.route(claims, synced=[share.address])
    assert [stage.base.state(claim.config) for claim in claims] == [
        (BALANCE, 70_000),
        (BALANCE, 230_000),
        (BALANCE, 55),
    ]
    assert stage.base.balance(share.address) == 300_000
    assert stage.base.balance(actors["holder"]) == 55
    synced = the_event(share.events.Synced(), receipt)
    assert (synced["caller"], synced["syncedUsd6"]) == (stage.router.address, 300_000)
    assert stage.base.balance(stage.router.address) == 0
    assert stage.failures(receipt, "SettleFailed") == stage.failures(receipt, "SyncFailed") == []


def test_rows_between_two_of_one_receiver_are_no_harm(stage, funded, actors):
    first, second = funded(actors["operator"]), funded(actors["operator"], salt=b"\x01" * 32)
    between = funded(actors["holder"])
    stage.route([stage.claim(first, 10), stage.claim(between, 20), stage.claim(second, 30)])
    assert receiver_state(stage, actors["operator"]) == [40, 40]
    assert receiver_state(stage, actors["holder"]) == [20, 20]


def test_what_was_claimed_already_is_no_error(stage, config, actors):
    call = stage.call([stage.claim(config, 700)])
    for _ in range(2):
        stage.base.send(call, actors["stranger"])
    assert stage.base.state(config) == (BALANCE, 700)
    assert stage.base.balance(actors["operator"]) == 700


def test_a_receiver_without_rows_is_settled(stage, config, actors):
    """What an earlier batch claimed for it, when it could not be paid."""
    stage.base.claim(stage.base.row(config, 300))
    other = stage.base.config(receiver=actors["holder"])
    stage.base.deposit(other, BALANCE, salt=2)
    claims = [stage.claim(other, 5)]
    batch = bytearray(encode_claims(claims))
    batch[HEADER - 1] = 2
    batch[HEADER:HEADER] = bytes.fromhex(actors["operator"][2:]) + bytes(3)
    signature = stage.base.batch_signature([claim.abi for claim in claims])
    stage.base.send(stage.router.functions.claimAndSettle(bytes(batch), signature))
    assert stage.base.balance(actors["operator"]) == 300


def test_smart_wallets_pay_and_authorize(stage, deploy, actors):
    base = stage.base
    payer = deploy("SmartWallet", actors["customer"]).address
    authorizer = deploy("SmartWallet", actors["treasury"]).address
    config = base.config(payer=payer, payer_authorizer=NOBODY, receiver_authorizer=authorizer)
    filler = deploy("HostileCollector")
    base.send(base.usd.functions.configureMinter(filler.address, BALANCE), actors["owner"])
    base.send(filler.functions.set(BALANCE, NOBODY, b""))
    base.send(base.functions.deposit(tuple(config), BALANCE, filler.address, b""))
    plain = stage.claim(config, 700)
    claims = [plain._replace(signature=b"\x77" + plain.signature)]
    signature = b"\x77" + base.batch_signature([claim.abi for claim in claims])
    base.send(stage.router.functions.claimAndSettle(encode_claims(claims), signature), actors["stranger"])
    assert base.balance(actors["operator"]) == 700


def test_estimated_gas_is_enough(stage, funded, deploy, actors):
    """An estimate looks for the least that goes through: calls that fail quietly for want of gas must not."""
    receiver = deploy("HostileReceiver")
    claims = [stage.claim(funded(receiver.address), 700), stage.claim(funded(actors["holder"]), 5)]
    call = stage.call(claims, synced=[receiver.address])
    gas = call.estimate_gas({"from": actors["stranger"]})
    hash_ = call.transact({"from": actors["stranger"], "gas": gas})
    receipt = stage.base.w3.eth.wait_for_transaction_receipt(hash_, poll_latency=0.002)
    assert (receipt["status"], receiver.functions.synced().call()) == (1, 1)
    assert stage.base.balance(receiver.address) == 700
    promised = stage.router.functions.GAS_PER_CALL().call()
    assert promised - 1_000 < receiver.functions.gasAtSync().call() <= promised


# Who is refused ---------------------------------------------------------------------------------------------


def test_a_bad_row_reverts_all(stage, funded, actors, reverts):
    good, bad = funded(actors["holder"]), funded(actors["operator"])
    stage.base.claim(stage.base.row(good, 5), sender="holder")
    with reverts("BatchSettlement_ClaimAboveCeiling", stage.base.channel_id(bad), 12, 11):
        stage.route([stage.claim(good, 10), stage.claim(bad, 12, 11)])
    with reverts("BatchSettlement_InvalidSignature", stage.base.channel_id(bad), actors["customer"]):
        stage.route([stage.claim(good, 10), stage.claim(bad, 12, signer="stranger")])
    assert stage.base.state(good) == (BALANCE, 5)
    assert stage.base.balance(actors["holder"]) == 0


def test_only_the_authorizers_signature_will_do(stage, config, actors, reverts):
    with reverts("BatchSettlement_InvalidSignature", bytes(32), actors["treasury"]):
        stage.base.send(stage.call([stage.claim(config, 700)], signer="operator"))


def test_an_empty_batch_is_a_mistake(stage, reverts):
    with reverts("BatchSettlement_EmptyBatch"):
        stage.base.send(stage.router.functions.claimAndSettle(bytes(HEADER), b""))


def test_it_needs_a_settlement(deploy, actors, reverts):
    with reverts("SettleRouter_NoSettlement", actors["stranger"]):
        deploy("SettleRouter", actors["stranger"])


def test_it_needs_gas_for_every_receiver(stage, config, reverts):
    call = stage.call([stage.claim(config, 700)])
    with reverts("SettleRouter_TooLittleGas"):
        call.call({"gas": 300_000})


# Receivers stop nobody else ---------------------------------------------------------------------------------


def test_a_blacklisted_receiver_stops_nobody_else(stage, funded, actors):
    base = stage.base
    blocked, fine = funded(actors["operator"]), funded(actors["holder"])
    base.send(base.usd.functions.blacklist(actors["operator"]), actors["owner"])
    receipt = stage.route([stage.claim(blocked, 700), stage.claim(fine, 40)])
    assert stage.failures(receipt, "SettleFailed") == [actors["operator"]]
    assert base.balance(actors["holder"]) == 40
    assert receiver_state(stage, actors["operator"]) == [700, 0]
    base.send(base.usd.functions.unBlacklist(actors["operator"]), actors["owner"])
    base.send(base.functions.settle(actors["operator"], base.usd.address))
    assert base.balance(actors["operator"]) == 700


@pytest.mark.parametrize("mood", [REVERTING, BURNING])
def test_a_receiver_that_will_not_sync_stops_nobody_else(stage, funded, deploy, send, mood):
    hostile, calm = deploy("HostileReceiver"), deploy("HostileReceiver")
    send(hostile.functions.set(mood, NOBODY, b""))
    claims = [stage.claim(funded(receiver.address), 700) for receiver in (hostile, calm)]
    receipt = stage.route(claims, synced=[hostile.address, calm.address])
    assert stage.failures(receipt, "SyncFailed") == [hostile.address]
    assert stage.base.balance(hostile.address) == stage.base.balance(calm.address) == 700
    assert calm.functions.synced().call() == 1
    assert receipt["gasUsed"] < 300_000 + stage.router.functions.GAS_PER_CALL().call()


def test_a_receiver_is_synced_only_where_asked(stage, funded, deploy, actors):
    quiet = deploy("HostileReceiver")
    claims = [stage.claim(funded(quiet.address), 700), stage.claim(funded(actors["holder"]), 5)]
    receipt = stage.route(claims, synced=[actors["holder"]])  # who has no code: nothing is called
    assert quiet.functions.synced().call() == 0
    assert stage.failures(receipt, "SyncFailed") == []


def test_a_receiver_that_comes_back_gains_nothing(stage, funded, deploy, send, actors):
    hostile = deploy("HostileReceiver")
    claims = [stage.claim(funded(hostile.address), 700), stage.claim(funded(actors["holder"]), 40)]
    again = stage.call(claims).build_transaction({"gas": 1})["data"]
    send(hostile.functions.set(CALLING, stage.router.address, again))
    stage.route(claims, synced=[hostile.address])
    assert (
        not hostile.functions.calledWell().call()
    )  # a batch in a batch: it has not the gas for its receivers
    settle = stage.base.functions.settle(hostile.address, stage.base.usd.address)
    send(hostile.functions.set(CALLING, SETTLEMENT.address, settle.build_transaction({"gas": 1})["data"]))
    stage.route([stage.claim(claims[0].config, 800)], synced=[hostile.address])
    assert hostile.functions.calledWell().call()
    assert stage.base.balance(hostile.address) == 800
    assert stage.base.balance(actors["holder"]) == 40


# What a batch says, byte by byte ----------------------------------------------------------------------------


def heard(stage: RouterStage, batch: bytes, signature: bytes) -> bytes:
    """What the router hands to a settlement, or the error that it has instead."""
    try:
        stage.router.functions.claimAndSettle(batch, signature).call()
    except (ContractCustomError, ContractLogicError) as error:
        return bytes.fromhex(str(error.data)[2:])
    raise AssertionError("nothing was heard")


def expected(stage: RouterStage, batch: bytes, signature: bytes) -> bytes:
    """The same by the twin and web3."""
    try:
        rows = [claim.abi for claim in decode_claims(batch).claims]
    except DenseClaimsError as error:
        kinds = ",".join(["uint256"] * len(error.values))
        selector = Web3.keccak(text=f"DenseClaims_{error.name}({kinds})")[:4]
        return bytes(selector) + b"".join(value.to_bytes(32, "big") for value in error.values)
    return bytes.fromhex(stage.base.settlement.encode_abi("claimWithSignature", [rows, signature])[2:])


@pytest.fixture
def echoing(stage) -> RouterStage:
    """In place of the settlement, code that reverts with what it was called with."""
    set_code(stage.base.w3, SETTLEMENT.address, "0x365f5f37365ffd")
    return stage


def any_claims(source: random.Random, stage: RouterStage, count: int) -> list[SignedClaim]:
    """Claims as they may be, and as nobody honest would make them."""
    addresses = [Web3.to_checksum_address(source.randbytes(20)) for _ in range(5)]
    signatures = [stage.base.signed("customer", source.randbytes(32)) for _ in range(3)]
    signatures += [b"", b"\x77", bytes(32), bytes(64), bytes(65), bytes(66), source.randbytes(65)]
    signatures += [source.randbytes(source.randrange(300)), signatures[0] + b"\0"]
    claims = []
    for _ in range(count):
        payer = source.choice(addresses)
        config = stage.base.config(
            payer=payer,
            payer_authorizer=source.choice((payer, NOBODY, source.choice(addresses))),
            receiver=source.choice(addresses[:3]),
            salt=source.choice((bytes(32), source.randbytes(32))),
        )
        most = 2 ** source.choice((1, 8, 9, 64, 127, 128))
        amounts = source.choice((0, most - 1, source.randrange(most))), source.randrange(most)
        claims.append(SignedClaim(config, amounts[0], source.choice(signatures), amounts[1]))
    return claims


def test_every_claim_is_handed_on_as_it_is(echoing):
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    for count in (1, 2, 3, 10, 40):
        claims = any_claims(source, echoing, count)
        synced = {claim.config.receiver for claim in claims if source.random() < 0.5}
        batch = encode_claims(claims, synced)
        read = decode_claims(batch)
        assert read.claims == claims
        assert all(flag is (receiver in synced) for receiver, flag, _ in read.receivers)
        signature = source.randbytes(source.choice((0, 1, 31, 32, 33, 65, 66, 500)))
        assert heard(echoing, batch, signature) == expected(echoing, batch, signature)
        encoded = echoing.base.settlement.encode_abi(
            "claimWithSignature", [[claim.abi for claim in claims], signature]
        )
        assert heard(echoing, batch, signature).hex() == encoded[2:]


def test_any_bytes_are_read_as_the_twin_reads_them(echoing):
    """Batches with a few bytes changed, cut off or added: the same claims, or the same error at the same offset."""
    seed = random.randrange(2**32)
    print(f"seed {seed}")
    source = random.Random(seed)
    found = set()
    for turn in range(300):
        batch = bytearray(encode_claims(any_claims(source, echoing, source.randrange(1, 4))))
        # In turn nothing, any byte, the first count, the first receiver's sync flag and its first row's flags.
        spots = ((), (source.randrange(len(batch)),), (HEADER - 1,), (HEADER + 20,), (HEADER + RECEIVER,))
        for spot in spots[turn % len(spots)]:
            batch[spot] = source.choice((source.randrange(256), source.randrange(4)))
        how = source.random()
        if how < 0.3:
            del batch[source.randrange(len(batch)) :]
        elif how < 0.5:
            batch += source.randbytes(source.randrange(1, 40))
        answer = heard(echoing, bytes(batch), b"\x01" * 65)
        assert answer == expected(echoing, bytes(batch), b"\x01" * 65), bytes(batch).hex()
        found.add(answer[:4])
    assert len(found) == 5  # a call, and each error


def test_the_end_may_come_anywhere(stage, config, reverts):
    batch = encode_claims([stage.claim(config, 700), stage.claim(config, 800)])
    first = HEADER + RECEIVER
    row = (len(batch) - first) // 2
    starts = {0: 0, HEADER - 1: 0, HEADER: HEADER, first - 1: HEADER, first: first, first + row - 1: first}
    starts |= {first + row: first + row, len(batch) - 1: first + row}
    for end, start in starts.items():
        with reverts("DenseClaims_Truncated", start):
            stage.router.functions.claimAndSettle(batch[:end], b"").call()
    with reverts("DenseClaims_TrailingBytes", len(batch)):
        stage.router.functions.claimAndSettle(batch + b"\0", b"").call()


def test_unknown_flags_are_told(stage, config, reverts):
    batch = bytearray(encode_claims([stage.claim(config, 700)]))
    batch[HEADER + 20] = 2
    with reverts("DenseClaims_UnknownSyncFlag", HEADER + 20, 2):
        stage.router.functions.claimAndSettle(bytes(batch), b"").call()
    batch[HEADER + 20] = 1
    batch[HEADER + RECEIVER] |= 3
    with reverts("DenseClaims_UnknownFlags", HEADER + RECEIVER, batch[HEADER + RECEIVER]):
        stage.router.functions.claimAndSettle(bytes(batch), b"").call()


def test_a_usual_row_is_a_quarter_of_the_standards(stage, config):
    """Payer as its own authorizer, no salt, amounts of four bytes: so says the interface's table."""
    claims = [stage.claim(config, 2**31)]
    assert len(encode_claims(claims)) == HEADER + RECEIVER + 1 + 20 + 4 + 4 + 64

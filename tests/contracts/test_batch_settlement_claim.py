"""Claims and settling: ceilings, signers, replays, batches."""

from __future__ import annotations

import pytest
from settlement_stage import NOBODY, SettlementStage, raise_settlement_stage
from usd_signing import SECP256K1_ORDER
from web3.logs import DISCARD

from wellhead.deploy.canonical import SETTLEMENT
from wellhead.reference import channel as twin

BALANCE = 1_000_000


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, keys, compiled) -> SettlementStage:
    return raise_settlement_stage(w3, deploy, send, actors, keys, compiled)


@pytest.fixture
def config(stage):
    """A channel with money."""
    opened = stage.config()
    stage.deposit(opened, BALANCE)
    return opened


def receiver_state(stage) -> list[int]:
    return stage.functions.receivers(stage.actors["operator"], stage.usd.address).call()


def test_a_claim_counts_for_the_receiver(stage, config, actors):
    receipt = stage.claim(stage.row(config, 700, 1_000))
    (event,) = stage.settlement.events.Claimed().process_receipt(receipt, errors=DISCARD)
    assert dict(event["args"]) == {
        "channelId": stage.channel_id(config),
        "sender": actors["treasury"],
        "claimAmount": 700,
        "newTotalClaimed": 700,
    }
    stage.claim(stage.row(config, 1_700, 2_000), sender="operator")
    assert stage.state(config) == (BALANCE, 1_700)
    assert receiver_state(stage) == [1_700, 0]
    assert stage.balance(actors["operator"]) == 0


def test_settle_sends_all_that_was_claimed(stage, config, actors):
    other = stage.config(salt=b"\x02" * 32)
    stage.deposit(other, BALANCE, salt=2)
    stage.claim(stage.row(config, 700), stage.row(other, 55))
    receipt = stage.send(stage.functions.settle(actors["operator"], stage.usd.address), actors["stranger"])
    (event,) = stage.settlement.events.Settled().process_receipt(receipt, errors=DISCARD)
    assert dict(event["args"]) == {
        "receiver": actors["operator"],
        "token": stage.usd.address,
        "sender": actors["stranger"],
        "amount": 755,
    }
    assert stage.balance(actors["operator"]) == 755
    assert stage.balance(SETTLEMENT.address) == 2 * BALANCE - 755
    assert receiver_state(stage) == [755, 755]


def test_settling_nothing_is_no_error(stage, actors):
    receipt = stage.send(stage.functions.settle(actors["operator"], stage.usd.address))
    assert receipt["logs"] == []


def test_a_blacklisted_receiver_stops_nobody_else(stage, config, actors, reverts):
    other = stage.config(receiver=actors["holder"], salt=b"\x03" * 32)
    stage.deposit(other, BALANCE, salt=3)
    stage.claim(stage.row(config, 700), stage.row(other, 40))
    stage.send(stage.usd.functions.blacklist(actors["operator"]), actors["owner"])
    with reverts("TransferFailed"):
        stage.send(stage.functions.settle(actors["operator"], stage.usd.address))
    stage.send(stage.functions.settle(actors["holder"], stage.usd.address))
    assert stage.balance(actors["holder"]) == 40
    stage.send(stage.usd.functions.unBlacklist(actors["operator"]), actors["owner"])
    stage.send(stage.functions.settle(actors["operator"], stage.usd.address))
    assert stage.balance(actors["operator"]) == 700


def test_a_blacklisted_payer_is_claimed_from_all_the_same(stage, config, actors):
    stage.send(stage.usd.functions.blacklist(actors["customer"]), actors["owner"])
    stage.claim(stage.row(config, 700))
    stage.send(stage.functions.settle(actors["operator"], stage.usd.address))
    assert stage.balance(actors["operator"]) == 700


def test_replays_and_lower_claims_change_nothing(stage, config):
    row = stage.row(config, 700, 1_000)
    stage.claim(row)
    receipt = stage.claim(row, stage.row(config, 699), stage.row(config, 0))
    assert receipt["logs"] == []
    assert stage.state(config) == (BALANCE, 700)
    assert receiver_state(stage) == [700, 0]


def test_a_voucher_covers_later_claims_up_to_its_ceiling(stage, config):
    stage.claim(stage.row(config, 400, 1_000))
    stage.claim(stage.row(config, 1_000, 1_000))
    assert stage.state(config) == (BALANCE, 1_000)


def test_no_more_than_the_ceiling(stage, config, reverts):
    with reverts("BatchSettlement_ClaimAboveCeiling", stage.channel_id(config), 1_001, 1_000):
        stage.claim(stage.row(config, 1_001, 1_000))


def test_no_more_than_the_balance(stage, config, reverts):
    with reverts("BatchSettlement_ClaimAboveBalance", stage.channel_id(config), BALANCE + 1, BALANCE):
        stage.claim(stage.row(config, BALANCE + 1, BALANCE + 1))
    stage.claim(stage.row(config, BALANCE))
    assert stage.state(config) == (BALANCE, BALANCE)


def test_one_bad_row_spoils_the_batch(stage, config, reverts):
    good = stage.row(config, 10)
    with reverts("BatchSettlement_ClaimAboveCeiling"):
        stage.claim(good, stage.row(config, 12, 11))
    assert stage.state(config) == (BALANCE, 0)


@pytest.mark.parametrize("sender", ["customer", "stranger", "owner"])
def test_only_the_receiver_side_claims(stage, config, actors, reverts, sender):
    with reverts("BatchSettlement_NotReceiverSide", stage.channel_id(config), actors[sender]):
        stage.claim(stage.row(config, 1), sender=sender)


def test_an_empty_batch_is_a_mistake(stage, reverts):
    with reverts("BatchSettlement_EmptyBatch"):
        stage.claim()
    with reverts("BatchSettlement_EmptyBatch"):
        stage.send(stage.functions.claimWithSignature([], b""))


# Payers' signatures -----------------------------------------------------------------------------------------


def replaced(row, signature: bytes):
    (voucher, _, total) = row
    return (voucher, signature, total)


def test_another_signer_is_refused(stage, config, actors, reverts):
    with reverts("BatchSettlement_InvalidSignature", stage.channel_id(config), actors["customer"]):
        stage.claim(stage.row(config, 1, signer="stranger"))


def test_a_voucher_of_another_channel_is_refused(stage, config, reverts):
    other = stage.config(salt=b"\x07" * 32)
    with reverts("BatchSettlement_InvalidSignature"):
        stage.claim(replaced(stage.row(config, 1), stage.row(other, 1)[1]))


def test_a_voucher_of_another_chain_is_refused(stage, config, reverts):
    domain = twin.settlement_domain(1, SETTLEMENT.address)
    digest = twin.voucher_digest(domain, twin.channel_id(domain, config), 1)
    with reverts("BatchSettlement_InvalidSignature"):
        stage.claim(replaced(stage.row(config, 1), stage.signed("customer", digest)))


def mangled(signature: bytes) -> dict[str, bytes]:
    r, s, v = signature[:32], int.from_bytes(signature[32:64], "big"), signature[64]
    high_s = (SECP256K1_ORDER - s).to_bytes(32, "big")
    compact = r + (s | (v - 27) << 255).to_bytes(32, "big")
    return {
        "empty": b"",
        "zero": bytes(65),
        "short": signature[:64],
        "long": signature + b"\0",
        "high s": r + high_s + bytes([55 - v]),
        "compact": compact,
        "v of 0 or 1": signature[:64] + bytes([v - 27]),
    }


@pytest.mark.parametrize("how", list(mangled(bytes([*bytes(64), 27]))))
@pytest.mark.parametrize("authorizer", ["customer", None])
def test_one_form_of_signature_passes(stage, reverts, how, authorizer, actors):
    """What x402's own contract refuses is refused here, whoever the signer is."""
    config = stage.config(payer_authorizer=actors[authorizer] if authorizer else NOBODY)
    stage.deposit(config, BALANCE)
    row = stage.row(config, 5)
    with reverts("BatchSettlement_InvalidSignature"):
        stage.claim(replaced(row, mangled(row[1])[how]))
    stage.claim(row)


def test_a_smart_wallet_pays(stage, deploy, actors, reverts):
    wallet = deploy("SmartWallet", actors["customer"])
    config = stage.config(payer=wallet.address, payer_authorizer=NOBODY)
    fund_channel(stage, deploy, config)
    row = stage.row(config, 700)
    with reverts("BatchSettlement_InvalidSignature", stage.channel_id(config), wallet.address):
        stage.claim(row)
    stage.claim(replaced(row, b"\x77" + row[1]))
    assert stage.state(config) == (BALANCE, 700)


def test_an_authorizers_wallet_code_is_not_asked(stage, deploy, actors, reverts):
    """A payer authorizer signs by ECDSA or not at all: the scheme says so."""
    wallet = deploy("SmartWallet", actors["customer"])
    config = stage.config(payer_authorizer=wallet.address)
    stage.deposit(config, BALANCE)
    row = stage.row(config, 700)
    with reverts("BatchSettlement_InvalidSignature", stage.channel_id(config), wallet.address):
        stage.claim(replaced(row, b"\x77" + row[1]))


def fund_channel(stage, deploy, config) -> None:
    """By a collector that brings its own money: minted, as far as the stage's dollar is concerned."""
    filler = deploy("HostileCollector")
    stage.send(stage.usd.functions.configureMinter(filler.address, BALANCE), stage.actors["owner"])
    stage.send(filler.functions.set(BALANCE, NOBODY, b""))
    stage.send(stage.functions.deposit(tuple(config), BALANCE, filler.address, b""))


# By signature -----------------------------------------------------------------------------------------------


def test_anyone_brings_claims_that_the_authorizer_signed(stage, config, actors):
    other = stage.config(receiver=actors["holder"])
    stage.deposit(other, BALANCE, salt=9)
    rows = [stage.row(config, 700, 900), stage.row(other, 30)]
    call = stage.functions.claimWithSignature(rows, stage.batch_signature(rows))
    stage.send(call, actors["stranger"])
    assert stage.state(config) == (BALANCE, 700)
    assert stage.state(other) == (BALANCE, 30)


def test_a_signature_is_for_its_rows_alone(stage, config, actors, reverts):
    rows = [stage.row(config, 700, 900)]
    signature = stage.batch_signature(rows)
    for changed in ([stage.row(config, 900, 900)], [*rows, *rows], [stage.row(config, 700, 901)]):
        with reverts("BatchSettlement_InvalidSignature", bytes(32), actors["treasury"]):
            stage.send(stage.functions.claimWithSignature(changed, signature))


def test_the_receiver_itself_cannot_sign_for_its_authorizer(stage, config, actors, reverts):
    rows = [stage.row(config, 700)]
    with reverts("BatchSettlement_InvalidSignature", bytes(32), actors["treasury"]):
        call = stage.functions.claimWithSignature(rows, stage.batch_signature(rows, signer="operator"))
        stage.send(call)


def test_all_rows_share_the_authorizer(stage, config, actors, reverts):
    other = stage.config(receiver_authorizer=actors["holder"])
    stage.deposit(other, BALANCE, salt=9)
    rows = [stage.row(config, 1), stage.row(other, 1)]
    found = (stage.channel_id(other), actors["treasury"], actors["holder"])
    with reverts("BatchSettlement_OtherAuthorizer", *found):
        stage.send(stage.functions.claimWithSignature(rows, stage.batch_signature(rows)))


def test_a_smart_wallet_authorizes_claims(stage, deploy, actors):
    wallet = deploy("SmartWallet", actors["treasury"])
    config = stage.config(receiver_authorizer=wallet.address)
    stage.deposit(config, BALANCE)
    rows = [stage.row(config, 12)]
    stage.send(stage.functions.claimWithSignature(rows, b"\x77" + stage.batch_signature(rows)))
    assert stage.state(config) == (BALANCE, 12)


def test_several_calls_in_one(stage, config, actors, reverts):
    def encoded(call) -> bytes:
        return bytes.fromhex(call.build_transaction({"gas": 1})["data"][2:])

    claim = encoded(stage.functions.claim([stage.row(config, 700)]))
    settle = encoded(stage.functions.settle(actors["operator"], stage.usd.address))
    stage.send(stage.functions.multicall([claim, settle]), actors["operator"])
    assert stage.balance(actors["operator"]) == 700
    too_much = encoded(stage.functions.claim([stage.row(config, 2, 1)]))
    above = encoded(stage.functions.claim([stage.row(config, 702, 701)]))
    with reverts("BatchSettlement_ClaimAboveCeiling", stage.channel_id(config), 702, 701):
        stage.send(stage.functions.multicall([too_much, above]), actors["operator"])
    with reverts("BatchSettlement_NotReceiverSide"):
        stage.send(stage.functions.multicall([claim]), actors["stranger"])

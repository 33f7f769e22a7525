"""Moving shares: ERC-20, allowances, permits, and the income that stays behind."""

from __future__ import annotations

import pytest
from eth_account.messages import encode_typed_data
from share_stage import DAY, NOBODY, SHARE_UNITS, ShareStage, ShareTerms, raise_stage, the_event

from wellhead.chain import local

SUPPLY = 1_000 * SHARE_UNITS
FOREVER = 2**256 - 1


@pytest.fixture(scope="module")
def stage(w3, deploy, send, actors, compiled) -> ShareStage:
    return raise_stage(w3, deploy, send, actors, compiled["NodeShare"].abi)


@pytest.fixture
def share(stage):
    return stage.live_share()


def test_metadata(stage, share, actors):
    assert share.functions.name().call() == "Node One"
    assert share.functions.symbol().call() == "NODE1"
    assert share.functions.decimals().call() == 6
    assert share.functions.totalSupply().call() == SUPPLY
    assert share.functions.balanceOf(actors["operator"]).call() == SUPPLY
    assert share.functions.asset().call() == stage.usd.address
    assert share.functions.operator().call() == actors["operator"]
    assert share.functions.factory().call() == stage.factory.address
    assert share.functions.issuer().call() == share.functions.eligibility().call() == NOBODY
    assert share.functions.node().call() == 1
    assert share.functions.tauSeconds().call() == DAY
    assert share.functions.operatorCutBps().call() == 1_000
    assert share.functions.protocolCutBps().call() == 250


def test_transfer__moves_shares(share, send, actors):
    receipt = send(share.functions.transfer(actors["holder"], 7), sender=actors["operator"])
    event = the_event(share.events.Transfer(), receipt)
    assert event == {"from": actors["operator"], "to": actors["holder"], "amount": 7}
    assert share.functions.balanceOf(actors["operator"]).call() == SUPPLY - 7
    assert share.functions.balanceOf(actors["holder"]).call() == 7
    assert share.functions.totalSupply().call() == SUPPLY


@pytest.mark.parametrize("amount", [SUPPLY + 1, 2**64 - 1, 2**64, 2**64 + 1, FOREVER])
def test_transfer__more_than_held__refused(share, send, actors, reverts, amount):
    """2^64 + 1 would be 1 if the amount were cut to the balance's field."""
    with reverts("NodeShare_InsufficientBalance", actors["operator"], SUPPLY, amount):
        send(share.functions.transfer(actors["holder"], amount), sender=actors["operator"])


def test_transfer__to_nobody_or_to_the_share__refused(share, send, actors, reverts):
    for to in (NOBODY, share.address):
        assert not share.functions.canReceive(to).call()
        with reverts("ERC7943CannotReceive", to):
            send(share.functions.transfer(to, 1), sender=actors["operator"])


def test_transfer__of_nothing__touches_nobodys_account(stage, share, send, actors):
    """Else anyone could make anyone accrue in steps so small that each is rounded away."""
    operator, stranger = actors["operator"], actors["stranger"]
    stage.pay(share, 50_000_000)
    send(share.functions.sync())
    stage.pass_time(DAY)
    before = share.functions.accountOf(operator).call()
    for sender, to, caller in ((stranger, operator, stranger), (operator, stranger, stranger)):
        receipt = send(share.functions.transferFrom(sender, to, 0), sender=caller)
        assert the_event(share.events.Transfer(), receipt) == {"from": sender, "to": to, "amount": 0}
    assert share.functions.accountOf(operator).call() == before
    assert share.functions.accountOf(stranger).call() == (0, 0, 0, 0)


def test_transfer__to_oneself__changes_nothing(stage, share, send, actors, reverts):
    operator = actors["operator"]
    stage.pay(share, 50_000_000)
    send(share.functions.sync())
    stage.pass_time(DAY)
    before = share.functions.accountOf(operator).call()
    receipt = send(share.functions.transfer(operator, SUPPLY), sender=operator)
    assert the_event(share.events.Transfer(), receipt)["amount"] == SUPPLY
    assert share.functions.accountOf(operator).call() == before
    with reverts("NodeShare_InsufficientBalance", operator, SUPPLY, SUPPLY + 1):
        send(share.functions.transfer(operator, SUPPLY + 1), sender=operator)


def test_transfer__leaves_income_with_whoever_earned_it(stage, share, send, actors):
    operator, holder = actors["operator"], actors["holder"]
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    stage.at(DAY)
    send(share.functions.transfer(holder, SUPPLY), sender=operator)
    earned = share.functions.claimableUsd6(operator).call()
    assert earned == 4_424_843  # 7 * (1 - 1/e)
    assert share.functions.claimableUsd6(holder).call() == 0
    stage.pass_time(64 * DAY)
    assert share.functions.claimableUsd6(operator).call() == earned
    assert share.functions.claimableUsd6(holder).call() == 7_000_000 - earned - 1  # dust


def test_transfer__to_a_newcomer__earns_from_then_on_only(stage, share, send, actors):
    stage.pay(share, 8_000_000)
    send(share.functions.sync())
    stage.pass_time(64 * DAY)
    send(share.functions.transfer(actors["holder"], SUPPLY), sender=actors["operator"])
    stage.pass_time(64 * DAY)
    assert share.functions.claimableUsd6(actors["holder"]).call() == 0


# Allowances ---------------------------------------------------------------------------------------------


def test_transfer_from__uses_up_the_allowance(share, send, actors, reverts):
    operator, spender = actors["operator"], actors["customer"]
    receipt = send(share.functions.approve(spender, 10), sender=operator)
    event = the_event(share.events.Approval(), receipt)
    assert event == {"owner": operator, "spender": spender, "amount": 10}
    send(share.functions.transferFrom(operator, actors["holder"], 7), sender=spender)
    assert share.functions.allowance(operator, spender).call() == 3
    with reverts("NodeShare_InsufficientAllowance", operator, spender, 3, 4):
        send(share.functions.transferFrom(operator, actors["holder"], 4), sender=spender)


def test_transfer_from__never_uses_up_the_largest_allowance(share, send, actors):
    operator, spender = actors["operator"], actors["customer"]
    send(share.functions.approve(spender, FOREVER), sender=operator)
    send(share.functions.transferFrom(operator, actors["holder"], 7), sender=spender)
    assert share.functions.allowance(operator, spender).call() == FOREVER


def test_permit2__has_no_allowance_of_its_own(share, actors):
    permit2 = "0x000000000022D473030F116dDEE9F6B43aC78BA3"
    assert share.functions.allowance(actors["operator"], permit2).call() == 0


# Permits ------------------------------------------------------------------------------------------------


def signed_permit(share, signer, spender, value, nonce, deadline):
    """(v, r, s) of EIP-2612, built from the name and version that the standard domain has."""
    message = {
        "domain": {
            "name": "Node One",
            "version": "1",
            "chainId": local.CHAIN_ID,
            "verifyingContract": share.address,
        },
        "types": {
            "EIP712Domain": [
                {"name": "name", "type": "string"},
                {"name": "version", "type": "string"},
                {"name": "chainId", "type": "uint256"},
                {"name": "verifyingContract", "type": "address"},
            ],
            "Permit": [
                {"name": "owner", "type": "address"},
                {"name": "spender", "type": "address"},
                {"name": "value", "type": "uint256"},
                {"name": "nonce", "type": "uint256"},
                {"name": "deadline", "type": "uint256"},
            ],
        },
        "primaryType": "Permit",
        "message": {
            "owner": signer.address,
            "spender": spender,
            "value": value,
            "nonce": nonce,
            "deadline": deadline,
        },
    }
    signature = signer.sign_message(encode_typed_data(full_message=message))
    return signature.v, signature.r.to_bytes(32, "big"), signature.s.to_bytes(32, "big")


def test_permit__allows_once(stage, share, send, actors, keys, reverts):
    owner, spender = keys["operator"], actors["customer"]
    deadline = local.chain_time(stage.w3) + DAY
    permit = share.functions.permit(
        owner.address, spender, 12, deadline, *signed_permit(share, owner, spender, 12, 0, deadline)
    )
    receipt = send(permit, sender=actors["stranger"])
    assert the_event(share.events.Approval(), receipt)["amount"] == 12
    assert share.functions.allowance(owner.address, spender).call() == 12
    assert share.functions.nonces(owner.address).call() == 1
    with reverts("NodeShare_InvalidPermit"):
        send(permit, sender=actors["stranger"])


def test_permit__by_another_or_by_nobody__refused(stage, share, send, actors, keys, reverts):
    owner, spender = actors["operator"], actors["customer"]
    deadline = local.chain_time(stage.w3) + DAY
    forged = signed_permit(share, keys["stranger"], spender, 12, 0, deadline)
    with reverts("NodeShare_InvalidPermit"):
        send(share.functions.permit(owner, spender, 12, deadline, *forged))
    with reverts("NodeShare_InvalidPermit", NOBODY, NOBODY):
        send(share.functions.permit(NOBODY, spender, 12, deadline, 29, b"\0" * 32, b"\0" * 32))


def test_permit__too_late__refused(stage, share, send, actors, keys, reverts):
    owner, spender = keys["operator"], actors["customer"]
    deadline = local.chain_time(stage.w3) - 1
    signature = signed_permit(share, owner, spender, 12, 0, deadline)
    with reverts("NodeShare_PermitExpired", deadline):
        send(share.functions.permit(owner.address, spender, 12, deadline, *signature))


def test_permit__for_another_share__refused(stage, share, send, actors, keys, reverts):
    owner, spender = keys["operator"], actors["customer"]
    other = stage.create(ShareTerms(), node=2)
    assert other.functions.DOMAIN_SEPARATOR().call() != share.functions.DOMAIN_SEPARATOR().call()
    deadline = local.chain_time(stage.w3) + DAY
    signature = signed_permit(share, owner, spender, 12, 0, deadline)
    with reverts("NodeShare_InvalidPermit"):
        send(other.functions.permit(owner.address, spender, 12, deadline, *signature))

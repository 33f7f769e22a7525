"""Last part: the income is synced, streams while days pass on the chain, and is claimed."""

from __future__ import annotations

from typing import NamedTuple

from wellhead.chain.contracts.node_share import NodeShare
from wellhead.chain.revert import ContractRefused
from wellhead.demo.listing import DAY_SECONDS, ORDERS, Listed
from wellhead.demo.stage import Stage
from wellhead.units import ONE, format_amount, format_usd

MOVED_UNITS = 100 * ONE


class Income(NamedTuple):
    """Where the node's income is at the end, usd6. The first is the sum of the others and of `dust_x48`."""

    received_usd6: int
    operator_usd6: int
    protocol_usd6: int
    # Synced or waiting, and not yet released to anybody.
    level_usd6: int
    claimed_usd6: int
    claimable_usd6: int


class Holding(NamedTuple):
    """A shareholder at the end."""

    name: str
    shares: int
    claimed_usd6: int
    claimable_usd6: int


def stream(stage: Stage, listed: Listed) -> tuple[Income, list[Holding]]:
    """Sync, let days pass, transfer shares on the way, claim. What everybody has then."""
    narrator, share = stage.narrator, listed.share
    narrator.chapter("Income streams to the holders")
    received = share.reservoir().accounted_usd6 + share.unsynced_usd6()
    synced = stage.sender("customer").send(share.sync()).result
    rate = share.streaming_usd6(stage.now()) // (share.tau_seconds() // 3_600)
    narrator.tell(
        "anyone",
        f"syncs what the claim had not, {format_usd(synced)} of {format_usd(received)} in whole cents; "
        f"the reservoir drains at {format_usd(rate)} an hour",
    )
    for day in (1, 2):
        stage.advance_to(stage.now() + DAY_SECONDS)
        shown = ", ".join(
            f"{role} {format_usd(share.claimable_usd6(stage.address(role)))}" for role in ORDERS
        )
        narrator.tell("time", f"day {day}: claimable {shown}")
        if day == 1:
            _transfer_moves_no_income(stage, share)
    _nothing_for_strangers(stage, share)
    claimed = {role: _claim(stage, share, role) for role in ORDERS}
    operator, protocol = _claim_credits(stage, share)
    holdings = [
        Holding(
            role,
            share.balance_of(stage.address(role)),
            claimed.get(role, 0),
            share.claimable_usd6(stage.address(role)),
        )
        for role in (*ORDERS, "operator")
    ]
    level = share.unsynced_usd6() + share.streaming_usd6(stage.now())
    income = Income(
        received_usd6=received,
        operator_usd6=operator,
        protocol_usd6=protocol,
        level_usd6=level,
        claimed_usd6=sum(claimed.values()),
        claimable_usd6=sum(holding.claimable_usd6 for holding in holdings),
    )
    _check_conservation(stage, share, income)
    return income, holdings


def _transfer_moves_no_income(stage: Stage, share: NodeShare) -> None:
    giver, taker = "holder", "second-holder"
    stage.sender(giver).send(share.transfer(stage.address(taker), MOVED_UNITS))
    # Compared at the block of the transfer and one before it: the rest is what streamed in that second.
    block = stage.w3.eth.block_number
    before = {role: share.claimable_usd6(stage.address(role), block - 1) for role in (giver, taker)}
    after = {role: share.claimable_usd6(stage.address(role), block) for role in (giver, taker)}
    stage.narrator.tell(
        giver, f"transfers {format_amount(MOVED_UNITS)} shares to {taker}; income accrued stays"
    )
    stage.narrator.check(
        "a transfer moves no income",
        all(after[role] >= before[role] for role in before),
        "; ".join(f"{role} {before[role]} -> {after[role]} usd6" for role in before),
    )


def _nothing_for_strangers(stage: Stage, share: NodeShare) -> None:
    try:
        stage.sender("customer").simulate(share.claim())
        refused = "was accepted"
    except ContractRefused as refusal:
        refused = refusal.name
    stage.narrator.check(
        "nobody claims without shares",
        refused == "NodeShare_NothingToClaim",
        f"the customer's claim: {refused}",
    )


def _claim(stage: Stage, share: NodeShare, role: str) -> int:
    account = stage.address(role)
    before = stage.usd.balance_of(account)
    stage.sender(role).send(share.claim())
    paid = stage.usd.balance_of(account) - before
    stage.narrator.tell(role, f"claims {format_usd(paid)}")
    return paid


def _claim_credits(stage: Stage, share: NodeShare) -> tuple[int, int]:
    paid = []
    for role, call in (
        ("operator", share.claim_operator_credit()),
        ("treasury", share.claim_protocol_credit()),
    ):
        before = stage.usd.balance_of(stage.address(role))
        stage.sender(role).send(call)
        paid.append(stage.usd.balance_of(stage.address(role)) - before)
        stage.narrator.tell(role, f"claims its cut, {format_usd(paid[-1])}")
    return paid[0], paid[1]


def _check_conservation(stage: Stage, share: NodeShare, income: Income) -> None:
    held = stage.usd.balance_of(share.address)
    paid_out = income.operator_usd6 + income.protocol_usd6 + income.claimed_usd6
    accounted, unsynced = share.reservoir().accounted_usd6, share.unsynced_usd6()
    stage.narrator.check(
        "money is conserved to the unit",
        income.received_usd6 == paid_out + accounted + unsynced and held == accounted + unsynced,
        f"received {income.received_usd6} = paid out {paid_out} + accounted {accounted} + unsynced {unsynced}",
    )
    spread = income.received_usd6 - paid_out - income.level_usd6 - income.claimable_usd6
    # Rounded down once per sync, per account and in the level's own print.
    allowed = len(ORDERS) + 3
    stage.narrator.check(
        "rounding stays dust",
        0 <= spread <= allowed,
        f"{spread} usd6 of {income.received_usd6}, at most {allowed}",
    )

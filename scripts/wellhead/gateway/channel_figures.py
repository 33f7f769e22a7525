"""What the chain says of many channels, read in few calls and told to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from eth_abi.abi import decode

from wellhead.chain import artifacts
from wellhead.chain.contracts.batch_settlement import BatchSettlement, ChannelFigures
from wellhead.deploy.canonical import MULTICALL
from wellhead.gateway.channel_book import ChannelAccount
from wellhead.gateway.ledger import Claimable, UnknownChannelError
from wellhead.reference.channel import ChannelConfig

CHANNELS_PER_READ = 200  # about 6 million gas of what a node allows one eth_call
_FUNCTIONS = ("channels", "pendingWithdrawals", "refundNonce")


class ChannelLedger(Protocol):
    """What the settler needs of either kind of ledger."""

    def account(self, channel_id: bytes) -> ChannelAccount:
        """The channel as it stands. Raises UnknownChannelError."""

    def claimable(self) -> list[Claimable]:
        """Every channel with something to claim."""

    def seen(
        self,
        channel_id: bytes,
        config: ChannelConfig,
        *,
        balance: int,
        total_claimed: int,
        refund_nonce: int,
        withdraw_requested_at: int,
    ) -> ChannelAccount:
        """Take over the chain's figures."""


def read_figures(settlement: BatchSettlement, channel_ids: Sequence[bytes]) -> dict[bytes, ChannelFigures]:
    """The latest figures by channel, each as of one block."""
    found: dict[bytes, ChannelFigures] = {}
    for start in range(0, len(channel_ids), CHANNELS_PER_READ):
        part = channel_ids[start : start + CHANNELS_PER_READ]
        found.update(zip(part, _read(settlement, part), strict=True))
    return found


def _read(settlement: BatchSettlement, channel_ids: Sequence[bytes]) -> list[ChannelFigures]:
    calls = [
        (settlement.address, False, settlement.contract.encode_abi(function, [channel_id]))
        for channel_id in channel_ids
        for function in _FUNCTIONS
    ]
    multicall: Any = settlement.w3.eth.contract(
        address=MULTICALL.address, abi=artifacts.load(MULTICALL.contract).abi
    )
    answers = iter(multicall.functions.aggregate3(calls).call())
    figures = []
    for (_, money), (_, withdrawal), (_, nonce) in zip(answers, answers, answers, strict=True):
        balance, total_claimed = decode(["uint128", "uint128"], money)
        _, requested_at = decode(["uint128", "uint40"], withdrawal)
        figures.append(ChannelFigures(balance, total_claimed, int.from_bytes(nonce, "big"), requested_at))
    return figures


def catch_up(
    ledger: ChannelLedger,
    settlement: BatchSettlement,
    known: Mapping[bytes, ChannelAccount],
    *,
    claims_count: bool = True,
) -> None:
    """Tell the ledger what the chain has otherwise than `known`, its accounts from before. Unless `claims_count`, new
    claims are not told: the chain may still take them back.

    Somebody else may have told it something newer between our reading and our telling. So what was told is read again,
    until it agrees.
    """
    known = dict(known)
    while known:
        told = {}
        for channel_id, now in read_figures(settlement, list(known)).items():
            account = known[channel_id]
            if not claims_count:
                now = now._replace(total_claimed=min(now.total_claimed, account.total_claimed))
            if now != _figures(account):
                told[channel_id] = ledger.seen(channel_id, account.config, **now._asdict())
        known = told


def _figures(account: ChannelAccount) -> ChannelFigures:
    return ChannelFigures(
        account.balance, account.total_claimed, account.refund_nonce, account.withdraw_requested_at
    )


def look_again(ledger: ChannelLedger, settlement: BatchSettlement, channel_ids: Sequence[bytes]) -> None:
    """Read these channels anew and tell the ledger; those that it has forgotten stay forgotten."""
    known = {}
    for channel_id in channel_ids:
        try:
            known[channel_id] = ledger.account(channel_id)
        except UnknownChannelError:
            continue  # refunded in full meanwhile
    catch_up(ledger, settlement, known)

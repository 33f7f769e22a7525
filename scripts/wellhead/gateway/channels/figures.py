"""What the chain says of many channels, read in few calls and told to the ledger."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from eth_abi.abi import decode, encode
from eth_utils.crypto import keccak
from web3 import Web3

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.deploy.canonical import MULTICALL
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.ledger import Claimable, UnknownChannelError
from wellhead.reference.channel import ChannelConfig, ChannelFigures

CHANNELS_PER_READ = 200  # about 6 million gas of what a node allows one eth_call
_FUNCTIONS = ("channels(bytes32)", "pendingWithdrawals(bytes32)", "refundNonce(bytes32)")
_SELECTORS = [bytes(keccak(text=function)[:4]) for function in _FUNCTIONS]
_AGGREGATE = bytes(keccak(text="aggregate3((address,bool,bytes)[])")[:4])


class ChannelLedger(Protocol):
    """What the settler needs of either kind of ledger."""

    def account(self, channel_id: bytes) -> ChannelAccount:
        """The channel as it stands. Raises UnknownChannelError."""

    def claimable(self) -> list[Claimable]:
        """Every channel with something to claim."""

    def seen(
        self, channel_id: bytes, config: ChannelConfig, figures: ChannelFigures, before: ChannelFigures
    ) -> ChannelAccount:
        """Take over the chain's figures, read after the books had `before`."""


def read_figures(settlement: BatchSettlement, channel_ids: Sequence[bytes]) -> dict[bytes, ChannelFigures]:
    """The latest figures by channel, each as of one block."""
    found: dict[bytes, ChannelFigures] = {}
    for start in range(0, len(channel_ids), CHANNELS_PER_READ):
        part = channel_ids[start : start + CHANNELS_PER_READ]
        found.update(zip(part, _read(settlement, part), strict=True))
    return found


def _read(settlement: BatchSettlement, channel_ids: Sequence[bytes]) -> list[ChannelFigures]:
    """Encoded by hand: web3 takes a millisecond for each call."""
    calls = [
        (settlement.address, False, selector + channel_id)
        for channel_id in channel_ids
        for selector in _SELECTORS
    ]
    data = Web3.to_hex(_AGGREGATE + encode(["(address,bool,bytes)[]"], [calls]))
    found = settlement.w3.eth.call({"to": MULTICALL.address, "data": data})
    (results,) = decode(["(bool,bytes)[]"], bytes(found))
    answers = iter(answer for _, answer in results)
    figures = []
    for money, withdrawal, nonce in zip(answers, answers, answers, strict=True):
        figures.append(
            ChannelFigures(_word(money, 0), _word(money, 1), _word(nonce, 0), _word(withdrawal, 1))
        )
    return figures


def _word(data: bytes, index: int) -> int:
    return int.from_bytes(data[32 * index : 32 * index + 32], "big")


def catch_up(
    ledger: ChannelLedger,
    settlement: BatchSettlement,
    known: Mapping[bytes, ChannelAccount],
    *,
    claims_count: bool = True,
) -> None:
    """Tell the ledger what the chain has otherwise than `known`, its accounts from before. Unless `claims_count`, new
    claims are not told: the chain may still take them back.

    `known` must be from before the reading: so nothing newer is overwritten, and what was told is read again until it
    agrees.
    """
    known = dict(known)
    while known:
        told = {}
        for channel_id, now in read_figures(settlement, list(known)).items():
            account = known[channel_id]
            if not claims_count:
                now = now._replace(total_claimed=min(now.total_claimed, account.total_claimed))
            if now != account.figures:
                told[channel_id] = ledger.seen(channel_id, account.config, now, account.figures)
        known = told


def look_again(ledger: ChannelLedger, settlement: BatchSettlement, channel_ids: Sequence[bytes]) -> None:
    """Read these channels anew and tell the ledger; those that it has forgotten stay forgotten."""
    known = {}
    for channel_id in channel_ids:
        try:
            known[channel_id] = ledger.account(channel_id)
        except UnknownChannelError:
            continue  # refunded in full meanwhile
    catch_up(ledger, settlement, known)

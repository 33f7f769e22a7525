"""From rows to a batch that goes through: signed for the router, tried on the chain, without what would stop it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Sequence
from typing import NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress, Hash32
from web3 import Web3
from web3.exceptions import ContractCustomError, ContractLogicError, Web3RPCError
from web3.logs import DISCARD
from web3.types import TxParams, TxReceipt

from wellhead.chain import revert
from wellhead.chain.contracts.settle_router import SettleRouter
from wellhead.chain.revert import ContractRefused
from wellhead.chain.transact import GAS_MARGIN_PERCENT, try_out
from wellhead.gateway.claims.policy import ClaimRow
from wellhead.reference import channel as twin
from wellhead.reference.channel import ClaimRow as SignedRow
from wellhead.reference.dense_claims import SignedClaim

ASIDE_SECONDS = 600  # how long a channel that the chain refuses is left alone
ASIDE_WITHDRAWING_SECONDS = 60  # if its payer withdraws meanwhile
# What a batch may burn: a row of an ordinary account, and once an expensive smart wallet's check of its signature.
# Rows that need more are tried apart, and one that does by itself is refused: it would cost more than it brings.
ROW_GAS, SPARE_GAS = 30_000, 500_000
_SYNC = bytes(Web3.keccak(text="sync()")[:4])

_log = logging.getLogger(__name__)


class BuiltBatch(NamedTuple):
    """What is sent to the router, for which rows, with how much gas."""

    rows: list[ClaimRow]
    calldata: bytes
    gas: int


class BatchBuilder:
    """Builds batches for one router."""

    def __init__(
        self,
        w3: Web3,
        router: SettleRouter,
        authorizer: LocalAccount,
        sender: ChecksumAddress,
        clock: Callable[[], float],
    ) -> None:
        """`authorizer` is the receiver authorizer of the channels; `sender` will bring the batches."""
        self._w3, self._router, self._authorizer, self._sender = w3, router, authorizer, sender
        self._clock = clock
        self._domain = twin.settlement_domain(w3.eth.chain_id, router.settlement())
        self._gas_per_call = int(router.read("GAS_PER_CALL"))
        self._synced: set[str] = set()
        self._refused: dict[bytes, float] = {}
        # Channels of batches that reverted on the chain although they had passed: how many go together at most.
        self._most_together: dict[bytes, int] = {}

    def set_aside(self) -> set[bytes]:
        """Channels whose claim the chain refused lately: nothing to try again soon. Any thread may ask."""
        now = self._clock()
        return {channel for channel, until in tuple(self._refused.items()) if until > now}

    def build(self, rows: Sequence[ClaimRow]) -> BuiltBatch | None:
        """Those of `rows` that can be claimed together now; None if none can. Reads the chain, sends nothing."""
        refused = self.set_aside()
        self._refused = {channel: until for channel, until in self._refused.items() if channel in refused}
        most_gas = int(self._w3.eth.get_block("latest")["gasLimit"]) // 2
        passing = self._passing(self._trusted(rows))
        while passing:
            calldata = self._calldata(passing)
            gas = self._estimate(calldata) * (100 + GAS_MARGIN_PERCENT) // 100
            if gas <= most_gas or len(passing) == 1:
                return BuiltBatch(passing, calldata, gas)
            passing = passing[: len(passing) // 2]
        return None

    def has_reverted(self, channels: Collection[bytes]) -> None:
        """A batch of these was mined and reverted. A payer can bring that about between our look and the block. So they
        are tried in halves, apart from all others, until that one is alone."""
        for channel_id in channels:
            self._most_together[channel_id] = len(channels) // 2
            if len(channels) == 1:
                self._set_aside(channel_id, ASIDE_SECONDS)

    def has_passed(self, channels: Collection[bytes]) -> None:
        """A batch of these was mined: they are trusted again."""
        for channel_id in channels:
            self._most_together.pop(channel_id, None)

    def failures(self, receipt: TxReceipt) -> list[tuple[str, str]]:
        """Receivers that could not be paid or synced: the event's name and who."""
        return [
            (name, str(event["args"]["receiver"]))
            for name in ("SettleFailed", "SyncFailed")
            for event in self._router.contract.events[name]().process_receipt(receipt, errors=DISCARD)
        ]

    def _trusted(self, rows: Sequence[ClaimRow]) -> list[ClaimRow]:
        """Those that nothing speaks against; if there are none, as many as may still go together."""
        most = [self._most_together.get(row.channel_id) for row in rows]
        free = [row for row, limit in zip(rows, most, strict=True) if limit is None]
        if free or not rows:
            return free
        widest = max(1, *(limit or 0 for limit in most))
        return [row for row, limit in zip(rows, most, strict=True) if (limit or 1) == widest][:widest]

    def _allowance(self, rows: Sequence[ClaimRow]) -> int:
        receivers = {row.account.config.receiver for row in rows}
        return SPARE_GAS + ROW_GAS * len(rows) + 2 * self._gas_per_call * len(receivers)

    def _set_aside(self, channel_id: bytes, seconds: float) -> None:
        self._refused[channel_id] = self._clock() + seconds

    def _passing(self, rows: list[ClaimRow]) -> list[ClaimRow]:
        """Without those that the chain refuses, found by halving: k of n cost about k log n tries."""
        try:
            try_out(self._w3, self._transaction(self._calldata(rows)), self._allowance(rows))
        except ContractRefused as refused:
            if len(rows) > 1:
                middle = len(rows) // 2
                return self._passing(rows[:middle]) + self._passing(rows[middle:])
            self._set_aside(
                rows[0].channel_id, ASIDE_WITHDRAWING_SECONDS if rows[0].matures_at else ASIDE_SECONDS
            )
            _log.error(
                "channel %s cannot be claimed (%s in all, %s of it new): %s",
                *(rows[0].channel_id.hex(), rows[0].total_claimed, rows[0].value, refused),
            )
            return []
        return rows

    def _calldata(self, rows: Sequence[ClaimRow]) -> bytes:
        claims = [
            SignedClaim(
                row.account.config, row.account.signed_ceiling, row.account.signature, row.total_claimed
            )
            for row in rows
        ]
        signed = [SignedRow(row.channel_id, row.account.signed_ceiling, row.total_claimed) for row in rows]
        digest = Hash32(twin.claim_batch_digest(self._domain, signed))
        signature = bytes(self._authorizer.unsafe_sign_hash(digest).signature)
        receivers = {row.account.config.receiver for row in rows}
        return self._router.encode_batch(claims, {one for one in receivers if self._syncs(one)}, signature)

    def _estimate(self, calldata: bytes) -> int:
        try:
            return self._w3.eth.estimate_gas(self._transaction(calldata))
        except (ContractCustomError, ContractLogicError) as error:
            raise revert.from_exception(error) from error

    def _transaction(self, calldata: bytes) -> TxParams:
        return {"from": self._sender, "to": self._router.address, "data": Web3.to_hex(calldata)}

    def _syncs(self, receiver: str) -> bool:
        """Whether `receiver` is a contract that answers to `sync` now. A share does once its sale has closed."""
        if receiver in self._synced:
            return True
        address = Web3.to_checksum_address(receiver)
        if not self._w3.eth.get_code(address):
            return False
        try:
            self._w3.eth.call({"to": address, "data": Web3.to_hex(_SYNC), "gas": self._gas_per_call})
        except (ContractCustomError, ContractLogicError, Web3RPCError):
            return False
        self._synced.add(receiver)
        return True

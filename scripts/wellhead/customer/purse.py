"""A customer's money with the gateways it pays: one channel for each, any number of calls at once.

The first call on a channel brings a deposit, later ones a voucher: a signature over all that may ever be claimed. Of
our own making is only what the scheme leaves open: to sign for several calls before the first of them has ended, each
ceiling covers what was charged and what is under way, and says so (`concurrent`). At most that is ever at risk.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils.address import to_checksum_address
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.batch_settlement.client.eip3009 import (
    create_batch_settlement_eip3009_deposit_payload,
)
from x402.mechanisms.evm.batch_settlement.constants import BATCH_SETTLEMENT_ADDRESS
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.payment import Payment, payment_of, voucher_payload, wire_config
from wellhead.customer.spending import SpendingLimit
from wellhead.customer.tab import GatewayBooks, Tab
from wellhead.errors import Refused
from wellhead.reference import channel
from wellhead.reference.channel import (
    MAX_WITHDRAW_DELAY_SECONDS,
    MIN_WITHDRAW_DELAY_SECONDS,
    ChannelConfig,
    ChannelFigures,
)
from wellhead.units import format_usd

SCHEME = "batch-settlement"
ReadFigures = Callable[[bytes], ChannelFigures]


class Bounds(NamedTuple):
    """What a purse may sign. Money in atomic units of `asset`."""

    # The chain in CAIP-2 form, "eip155:31337".
    network: str
    asset: str
    max_usd6_per_call: int
    # How much is put into a channel at a time; what is not spent can be had back.
    usd6_per_deposit: int

    @property
    def chain_id(self) -> int:
        return int(self.network.removeprefix("eip155:"))


class Purse:
    """One account's channels. Safe between threads."""

    def __init__(
        self,
        account: LocalAccount,
        bounds: Bounds,
        read_figures: ReadFigures,
        salt: bytes = bytes(32),
        limit: SpendingLimit | None = None,
    ) -> None:
        """`read_figures` asks the chain for a channel. Another `salt` makes other channels."""
        self._account, self.bounds, self._read_figures, self._salt = account, bounds, read_figures, salt
        self._limit = limit
        self._domain = channel.settlement_domain(bounds.chain_id, BATCH_SETTLEMENT_ADDRESS)
        self._tabs: dict[bytes, Tab] = {}
        self._lock = threading.Lock()

    # One call ---------------------------------------------------------------------------------------

    def choose(self, terms: PaymentRequired) -> PaymentRequirements:
        """The offer in `terms` that this purse may pay. Raises Refused when there is none."""
        for offer in terms.accepts:
            if self._may_pay(offer):
                return offer
        offers = ", ".join(
            f"{format_usd(int(offer.amount))} by {offer.scheme} in {offer.asset} on {offer.network}"
            for offer in terms.accepts
        )
        raise Refused(f"nothing was signed: the offer ({offers}) is outside this wallet's bounds")

    def pay(self, offer: PaymentRequirements) -> Payment:
        """A payment of `offer`, which `choose` found. Waits for a deposit under way if it needs that. Raises Refused if
        a deposit of its own would exceed its bound."""
        while True:
            payment = self.try_pay(offer)
            if isinstance(payment, Payment):
                return payment
            payment.result()

    def try_pay(self, offer: PaymentRequirements) -> Payment | Future[None]:
        """As `pay`; instead of waiting, what to wait for before trying again."""
        channel_id, tab = self._tab(offer)
        amount = int(offer.amount)
        with self._lock:
            missing = tab.missing(amount)
            if missing > 0 and tab.deposit_over is not None:
                return tab.deposit_over
            if missing > self.bounds.usd6_per_deposit:
                raise Refused(
                    f"nothing was signed: the call needs {format_usd(missing)} more in its channel, "
                    f"and a deposit is {format_usd(self.bounds.usd6_per_deposit)}"
                )
            if self._limit is not None:
                self._limit.take(amount)
            if missing <= 0:
                return self._voucher(offer, channel_id, tab, amount)
            return self._deposit(offer, channel_id, tab, amount)

    def settled(self, payment: Payment, extra: dict[str, Any]) -> int:
        """The call was answered with this receipt; what it was charged. Raises Refused for a receipt that cannot be."""
        charged = extra.get("chargedAmount")
        amount = int(payment.requirements.amount)
        if not isinstance(charged, str) or not charged.isdecimal() or int(charged) > amount:
            self.unsettled(payment)
            raise Refused(f"the receipt says that {charged!r} was charged of {amount}")
        with self._lock:
            tab = self._tabs[payment.channel_id]
            tab.end(payment.begun, int(charged))
            tab.balance += payment.deposit_usd6
        if self._limit is not None:
            self._limit.give_back(amount - int(charged))
        if payment.deposit_usd6:
            self._deposit_over(payment)
        return int(charged)

    def unsettled(self, payment: Payment, *, perhaps_charged: bool = False) -> None:
        """The call was refused, or nobody knows: the gateway says at the next call what it charged."""
        if self._limit is not None and not perhaps_charged:
            self._limit.give_back(int(payment.requirements.amount))
        with self._lock:
            tab = self._tabs[payment.channel_id]
            tab.end(payment.begun, 0)
            if payment.deposit_usd6:
                figures = self._read_figures(payment.channel_id)
                tab.balance, tab.charged = figures.balance, max(tab.charged, figures.total_claimed)
        if payment.deposit_usd6:
            self._deposit_over(payment)

    def corrected(self, payment: Payment, terms: PaymentRequired) -> bool:
        """Take over what the gateway's 402 says of the channel, if we signed for it; whether to try again."""
        offer = next((offer for offer in terms.accepts if offer.scheme == SCHEME), None)
        extra = (offer.extra if offer else None) or {}
        state = extra.get("channelState")
        if not isinstance(state, dict):
            return False
        charged = _amount(state.get("chargedCumulativeAmount"))
        figures = self._read_figures(payment.channel_id)
        signed_ceiling = self._signed(payment, extra, figures)
        if charged is None or not figures.total_claimed <= charged <= signed_ceiling:
            return False
        reserved = _amount(extra.get("reserved")) or 0
        with self._lock:
            tab = self._tabs[payment.channel_id]
            tab.correct(payment.begun, GatewayBooks(charged, reserved, signed_ceiling))
            if tab.deposit_over is None:
                tab.balance = figures.balance
        return True

    # Money back -------------------------------------------------------------------------------------

    def ask_back(self, offer: PaymentRequirements) -> Payment:
        """A wish to have all that the channel has left: signed over what was charged, so that it buys nothing."""
        channel_id, tab = self._tab(offer)
        with self._lock:
            asked = tab.ask_back()
            signature = self._sign(channel_id, asked.ceiling)
            payload = voucher_payload("refund", tab.config, channel_id, asked.ceiling, signature)
            return payment_of(offer, payload, channel_id, asked, 0)

    def given_back(self, payment: Payment) -> int:
        """The refund was made; how much the chain says came back."""
        figures = self._read_figures(payment.channel_id)
        with self._lock:
            tab = self._tabs[payment.channel_id]
            before, tab.balance = tab.balance, figures.balance
        return before - figures.balance

    # Inside -----------------------------------------------------------------------------------------

    def _may_pay(self, offer: PaymentRequirements) -> bool:
        extra, bounds = offer.extra or {}, self.bounds
        delay = extra.get("withdrawDelay")
        return (
            offer.scheme == SCHEME
            and (str(offer.network), offer.asset.lower()) == (bounds.network, bounds.asset.lower())
            and offer.amount.isdecimal()
            and 0 < int(offer.amount) <= bounds.max_usd6_per_call
            and isinstance(delay, int)
            and MIN_WITHDRAW_DELAY_SECONDS <= delay <= MAX_WITHDRAW_DELAY_SECONDS
            and isinstance(extra.get("receiverAuthorizer"), str)
        )

    def _tab(self, offer: PaymentRequirements) -> tuple[bytes, Tab]:
        config = ChannelConfig(
            payer=self._account.address,
            payer_authorizer=self._account.address,
            receiver=to_checksum_address(offer.pay_to),
            receiver_authorizer=to_checksum_address(offer.extra["receiverAuthorizer"]),
            token=to_checksum_address(offer.asset),
            withdraw_delay=offer.extra["withdrawDelay"],
            salt=self._salt,
        )
        channel_id = channel.channel_id(self._domain, config)
        with self._lock:
            if channel_id not in self._tabs:
                figures = self._read_figures(channel_id)
                self._tabs[channel_id] = Tab(config, figures.balance, figures.total_claimed)
            return channel_id, self._tabs[channel_id]

    def _voucher(self, offer: PaymentRequirements, channel_id: bytes, tab: Tab, amount: int) -> Payment:
        begun = tab.begin(amount)
        signature = self._sign(channel_id, begun.ceiling)
        payload = voucher_payload("voucher", tab.config, channel_id, begun.ceiling, signature)
        payload["concurrent"] = True
        return payment_of(offer, payload, channel_id, begun, 0)

    def _deposit(self, offer: PaymentRequirements, channel_id: bytes, tab: Tab, amount: int) -> Payment:
        deposit = self.bounds.usd6_per_deposit
        begun = tab.begin(amount)
        payload = create_batch_settlement_eip3009_deposit_payload(
            EthAccountSigner(self._account), offer, wire_config(tab.config), deposit, begun.ceiling
        ).to_dict()
        tab.deposit_over = Future()
        return payment_of(offer, payload | {"concurrent": True}, channel_id, begun, deposit)

    def _deposit_over(self, payment: Payment) -> None:
        with self._lock:
            tab = self._tabs[payment.channel_id]
            over, tab.deposit_over = tab.deposit_over, None
        if over is not None:
            over.set_result(None)

    def _sign(self, channel_id: bytes, ceiling: int) -> bytes:
        digest = channel.voucher_digest(self._domain, channel_id, ceiling)
        return bytes(self._account.unsafe_sign_hash(Hash32(digest)).signature)

    def _signed(self, payment: Payment, extra: dict[str, Any], figures: ChannelFigures) -> int:
        """The most that we signed for, as the gateway can prove it; what was claimed needed our signature as well."""
        state = extra.get("voucherState")
        if not isinstance(state, dict):
            return figures.total_claimed
        ceiling = _amount(state.get("signedMaxClaimable")) or 0
        # Our signatures are deterministic (RFC 6979): that it is ours is seen by signing again.
        ours = f"0x{self._sign(payment.channel_id, ceiling).hex()}"
        return ceiling if str(state.get("signature")).lower() == ours else figures.total_claimed


def _amount(value: Any) -> int | None:
    return int(value) if isinstance(value, str) and value.isascii() and value.isdecimal() else None

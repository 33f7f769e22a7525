"""A customer's money with the gateways it pays: one channel for each, any number of calls at once.

The first call on a channel brings a deposit, later ones a voucher: a signature over all that may ever be claimed. Of
our own making is only what the scheme leaves open: to sign for several calls before the first of them has ended, each
ceiling covers what was charged and what is under way, and says so (`concurrent`). At most that is ever at risk.

The rules are in `tab`. Here is what locks, signs and asks the chain, the last in threads of its own: whatever needs
that gets a future to wait for. So nothing else here waits, and everything can be called from an event loop.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

from eth_account.signers.local import LocalAccount
from eth_typing import Hash32
from eth_utils.address import to_checksum_address
from x402.mechanisms.evm import EthAccountSigner
from x402.mechanisms.evm.batch_settlement.client.eip3009 import (
    create_batch_settlement_eip3009_deposit_payload,
)
from x402.mechanisms.evm.batch_settlement.constants import BATCH_SETTLEMENT_ADDRESS
from x402.schemas import PaymentRequired, PaymentRequirements

from wellhead.customer.bounds import SCHEME, Bounds
from wellhead.customer.once import PaidButUnanswered
from wellhead.customer.payment import Payment, header_of, voucher_payload, wire_config
from wellhead.customer.spending import SpendingLimit
from wellhead.customer.tab import Tab
from wellhead.customer.terms import amount_of, correction_of
from wellhead.errors import Refused
from wellhead.reference import channel
from wellhead.reference.channel import ChannelConfig, ChannelFigures
from wellhead.units import format_usd

ReadFigures = Callable[[bytes], ChannelFigures]


@dataclass(slots=True)
class _Channel:
    id: bytes
    config: ChannelConfig
    tab: Tab = field(default_factory=Tab)
    # A deposit, or a question to the chain: who needs its outcome waits for it instead of beginning another.
    under_way: Future[None] | None = None


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
        self._channels: dict[bytes, _Channel] = {}
        self._lock = threading.Lock()
        self._askers = ThreadPoolExecutor(thread_name_prefix="purse")

    # One call ---------------------------------------------------------------------------------------

    def choose(self, terms: PaymentRequired) -> PaymentRequirements:
        """The offer in `terms` that this purse may pay. Raises Refused when there is none."""
        return self.bounds.choose(terms)

    def pay(self, offer: PaymentRequirements) -> Payment:
        """As `try_pay`, but waits."""
        while isinstance(found := self.try_pay(offer), Future):
            found.result()
        return found

    def try_pay(self, offer: PaymentRequirements) -> Payment | Future[None]:
        """A payment of `offer`, which `choose` found; whoever gets it must end it. Or what to wait for before trying
        again. Raises Refused if a deposit would exceed its bound or the day's limit is spent; so may the future."""
        with self._lock:
            own = self._channel(offer)
            missing = own.tab.missing(int(offer.amount))
            if missing <= 0:
                return self._by_voucher(own, offer)
            if own.under_way is None and not own.tab.current:
                self._ask(own)
            if own.under_way is not None:
                return own.under_way
            if missing > self.bounds.usd6_per_deposit:
                raise Refused(
                    f"nothing was signed: the call needs {format_usd(missing)} more in its channel, "
                    f"and a deposit is {format_usd(self.bounds.usd6_per_deposit)}"
                )
            return self._by_deposit(own, offer)

    def served(self, payment: Payment) -> None:
        """Its answer has begun, so its deposit was taken: others need not wait for the end of a stream."""
        self._end_deposit(payment, taken=True)

    def settled(self, payment: Payment, extra: dict[str, Any]) -> int:
        """The call was answered with this receipt; what it was charged. Raises PaidButUnanswered for a receipt that
        cannot be."""
        charged = amount_of(extra.get("chargedAmount"))
        if charged is None or charged > payment.begun.amount:
            self.unsettled(payment)
            raise PaidButUnanswered(
                f"the receipt says that {extra.get('chargedAmount')!r} was charged, and at most "
                f"{payment.begun.amount} was signed for: look before paying again"
            )
        self._end(payment, charged)
        self._end_deposit(payment, taken=True)
        return charged

    def unsettled(self, payment: Payment) -> None:
        """The call was refused, or nobody knows: the gateway says at the next call what it charged."""
        self._end(payment, 0)
        self._end_deposit(payment, taken=False)

    # What others know better ------------------------------------------------------------------------

    def look_again(self, payment: Payment) -> Future[None]:
        """After a refusal: what to wait for until the chain was asked anew. Raises Refused then if it does not say."""
        with self._lock:
            own = self._channels[payment.channel_id]
            return own.under_way or self._ask(own)

    def corrected(self, payment: Payment, terms: PaymentRequired) -> bool:
        """Take over what the gateway's 402 says of the channel, if we signed for it; whether to try again."""
        correction = correction_of(terms, SCHEME)
        if correction is None:
            return False
        books = correction.books
        # Our signatures are deterministic (RFC 6979): that it is ours is seen by signing again.
        ours = f"0x{self._signature(payment.channel_id, books.signed_ceiling).hex()}"
        if correction.signature.lower() != ours:
            books = books._replace(signed_ceiling=0)
        with self._lock:
            return self._channels[payment.channel_id].tab.correct(payment.begun, books)

    # Money back -------------------------------------------------------------------------------------

    def try_ask_back(self, offer: PaymentRequirements) -> Payment | Future[None]:
        """As `try_pay`: a wish to have all that the channel has left, which buys nothing."""
        with self._lock:
            own = self._channel(offer)
            if not own.tab.current:
                return own.under_way or self._ask(own)
            asked = own.tab.ask_back()
            signature = self._sign(own, asked.ceiling)
            payload = voucher_payload("refund", own.config, own.id, asked.ceiling, signature)
            return Payment(header_of(offer, payload), payload, offer, own.id, asked)

    def given_back(self, payment: Payment) -> int:
        """The refund was made; how much the chain says came back. Waits for that."""
        tab = self._channels[payment.channel_id].tab
        before = tab.balance
        self.look_again(payment).result()
        return before - tab.balance

    # Inside, with the lock held ---------------------------------------------------------------------

    def _channel(self, offer: PaymentRequirements) -> _Channel:
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
        return self._channels.setdefault(channel_id, _Channel(channel_id, config))

    def _by_voucher(self, own: _Channel, offer: PaymentRequirements) -> Payment:
        ceiling = own.tab.ceiling(int(offer.amount))
        payload = voucher_payload("voucher", own.config, own.id, ceiling, self._sign(own, ceiling))
        return self._begun(own, offer, payload)

    def _by_deposit(self, own: _Channel, offer: PaymentRequirements) -> Payment:
        ceiling, deposit = own.tab.ceiling(int(offer.amount)), self.bounds.usd6_per_deposit
        self._count(own, ceiling)
        payload = create_batch_settlement_eip3009_deposit_payload(
            EthAccountSigner(self._account), offer, wire_config(own.config), deposit, ceiling
        ).to_dict()
        payment = self._begun(own, offer, payload)
        payment.deposit_usd6, payment.deposit_over = deposit, Future()
        own.under_way = payment.deposit_over
        return payment

    def _begun(self, own: _Channel, offer: PaymentRequirements, payload: dict[str, Any]) -> Payment:
        """Under way from here on; what could not be signed or written was not."""
        payload["concurrent"] = True
        header = header_of(offer, payload)
        return Payment(header, payload, offer, own.id, own.tab.begin(int(offer.amount)))

    def _sign(self, own: _Channel, ceiling: int) -> bytes:
        self._count(own, ceiling)
        return self._signature(own.id, ceiling)

    def _count(self, own: _Channel, ceiling: int) -> None:
        if self._limit is not None:
            self._limit.sign(own.id, ceiling, own.tab.claimed)

    def _signature(self, channel_id: bytes, ceiling: int) -> bytes:
        digest = channel.voucher_digest(self._domain, channel_id, ceiling)
        return bytes(self._account.unsafe_sign_hash(Hash32(digest)).signature)

    def _ask(self, own: _Channel) -> Future[None]:
        own.under_way = self._askers.submit(self._look, own)
        return own.under_way

    # Inside, taking the lock ------------------------------------------------------------------------

    def _look(self, own: _Channel) -> None:
        try:
            figures = self._read_figures(own.id)
        except Exception as error:  # web3's own, or its transport's: either way the chain did not say
            with self._lock:
                own.under_way = None
            raise Refused(
                f"nothing was signed: the chain does not say what channel 0x{own.id.hex()} holds ({error!r})"
            ) from error
        with self._lock:
            own.under_way = None
            own.tab.seen(figures.balance, figures.total_claimed)

    def _end(self, payment: Payment, charged: int) -> None:
        with self._lock:
            if not payment.over:
                payment.over = True
                self._channels[payment.channel_id].tab.end(payment.begun, charged)

    def _end_deposit(self, payment: Payment, *, taken: bool) -> None:
        with self._lock:
            over, payment.deposit_over = payment.deposit_over, None
            if over is None:
                return
            own = self._channels[payment.channel_id]
            own.under_way = None
            if taken:
                own.tab.deposited(payment.deposit_usd6)
            else:
                own.tab.current = False  # it may have been: the chain is asked before another is made
        over.set_result(None)

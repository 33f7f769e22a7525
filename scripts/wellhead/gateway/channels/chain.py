"""The chain's part in channels: deposits and refunds through x402's facilitator, figures, and who moved what.

Everything here that waits for the chain does so in a thread.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from requests.exceptions import RequestException
from web3 import Web3
from web3.exceptions import Web3Exception
from x402.mechanisms.evm.batch_settlement.authorizer_signer import (
    LocalAuthorizerSigner,
    sign_claim_batch,
    sign_refund,
)
from x402.mechanisms.evm.batch_settlement.errors import ERR_REFUND_AMOUNT_INVALID, ERR_REFUND_NO_BALANCE
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as WireConfig
from x402.mechanisms.evm.batch_settlement.types import VoucherClaim
from x402.schemas import PaymentPayload, PaymentRequirements

from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.figures import read_figures
from wellhead.gateway.channels.payment import ChannelPayment
from wellhead.gateway.channels.watch import ChannelWatch
from wellhead.gateway.facilitator import CHAIN_UNAVAILABLE, Facilitator
from wellhead.gateway.sale import PaymentRefusedError
from wellhead.gateway.terms import channel_state, header
from wellhead.reference.channel import ChannelConfig, ChannelFigures

_log = logging.getLogger(__name__)


class Moved(NamedTuple):
    """A transaction that moved a channel's money, and the channel after it."""

    settled: dict[str, Any]
    figures: ChannelFigures

    @property
    def transaction(self) -> str:
        return str(self.settled["transaction"])

    def response(self, channel_id: bytes, account: ChannelAccount, charged: int | None) -> dict[str, Any]:
        """x402's SettleResponse for it; with what a call was charged, if one was paid by it."""
        extra: dict[str, Any] = {"channelState": channel_state(channel_id, account)}
        if charged is not None:
            extra["chargedAmount"] = str(charged)
        return {**self.settled, "extra": extra}


class ChannelChain:
    """One settlement contract, the facilitator that sends to it, and the key that signs for the receiver."""

    def __init__(
        self,
        w3: Web3,
        settlement: str,
        facilitator: Facilitator,
        authorizer: LocalAccount,
        watch: ChannelWatch,
    ) -> None:
        self._contract = BatchSettlement(w3, settlement)
        self.settlement = self._contract.address
        self._facilitator, self._watch = facilitator, watch
        self._authorizer = LocalAuthorizerSigner(authorizer)

    # Following --------------------------------------------------------------------------------------

    def must_be_followed(self) -> None:
        """Raises PaymentRefusedError when nobody knows any more whether channels are being emptied."""
        if self._watch.is_blind():
            raise PaymentRefusedError(
                CHAIN_UNAVAILABLE, "the chain does not answer the gateway. Nothing was charged", status=503
            )

    def is_followed(self, channel_id: bytes) -> bool:
        """Whether every change of the channel since it was first asked for has reached the books."""
        return self._watch.knows(channel_id)

    def follow(self, channel_id: bytes) -> None:
        """From now on changes of the channel reach the books."""
        self._watch.add(channel_id)

    async def figures(self, channel_id: bytes) -> ChannelFigures:
        """The channel as the chain has it. Raises PaymentRefusedError when it does not answer."""
        try:
            found = await asyncio.to_thread(read_figures, self._contract, [channel_id])
            return found[channel_id]
        except (RequestException, Web3Exception):
            raise PaymentRefusedError(
                CHAIN_UNAVAILABLE, "the chain does not answer the gateway. Nothing was charged", status=503
            ) from None

    async def signed_by_contract(self, payment: ChannelPayment) -> bool:
        """Whether a payer that is a contract says that it signed the voucher (ERC-1271)."""
        return await asyncio.to_thread(self._facilitator.signed_by_contract, payment)

    # Moving money -----------------------------------------------------------------------------------

    async def deposit(self, payment: ChannelPayment, requirements: dict[str, Any]) -> Moved:
        """Bring the payer's deposit into its channel. Raises PaymentRefusedError with the chain's reason."""
        terms = PaymentRequirements.model_validate(requirements)
        payload = PaymentPayload(payload=payment.payload, accepted=terms)
        verdict = await self._facilitator.verify(payload, terms)
        if not verdict.is_valid:
            raise _refused(verdict.invalid_reason)
        return await self._settle(payload, terms, payment.claimed_channel_id)

    async def refund(
        self, payment: ChannelPayment, channel_id: bytes, account: ChannelAccount, left: int
    ) -> Moved:
        """Claim what was charged and give back of `left` what is asked for, in one transaction."""
        amount = left if payment.refund_amount is None else payment.refund_amount
        if amount == 0 and payment.refund_amount is not None:
            raise PaymentRefusedError(ERR_REFUND_AMOUNT_INVALID, "a refund of nothing")
        if amount == 0 or amount > left:
            raise PaymentRefusedError(
                ERR_REFUND_NO_BALANCE, f"{left} of the channel is neither charged nor given back"
            )
        terms = PaymentRequirements.model_validate(payment.accepted)
        network = str(terms.network)
        claims = []
        if account.unclaimed:
            claims.append(
                VoucherClaim(
                    channel=WireConfig.from_dict(payment.payload["channelConfig"]),
                    max_claimable_amount=str(payment.max_claimable_amount),
                    signature=f"0x{payment.signature.hex()}",
                    total_claimed=str(account.charged),
                )
            )
        signed = {
            "amount": str(amount),
            "refundNonce": str(account.refund_nonce),
            "claims": [claim.to_dict() for claim in claims],
            "refundAuthorizerSignature": sign_refund(
                self._authorizer, f"0x{channel_id.hex()}", amount, account.refund_nonce, network
            ),
            "claimAuthorizerSignature": sign_claim_batch(self._authorizer, claims, network),
        }
        payload = PaymentPayload(payload=payment.payload | signed, accepted=terms)
        moved = await self._settle(payload, terms, channel_id)
        if claims:
            await self._bring_home(account.config, terms)
        return moved

    async def _bring_home(self, config: ChannelConfig, terms: PaymentRequirements) -> None:
        """What a refund claimed is still the settlement's: no later claim may come to take it along."""
        settle = {"type": "settle", "receiver": config.receiver, "token": config.token}
        outcome = await self._facilitator.settle(PaymentPayload(payload=settle, accepted=terms), terms)
        if not outcome.success:
            _log.warning("what a refund claimed waits for the next claim: %s", outcome.error_reason)

    async def _settle(self, payload: PaymentPayload, terms: PaymentRequirements, channel_id: bytes) -> Moved:
        outcome = await self._facilitator.settle(payload, terms)
        settled = outcome.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not outcome.success:
            raise PaymentRefusedError(
                outcome.error_reason or "unknown",
                f"the transaction did not go through ({outcome.error_reason})",
                response_header=header(settled),
            )
        figures = await self.figures(channel_id)
        self._watch.add(channel_id)
        return Moved(settled, figures)


def _refused(reason: str | None) -> PaymentRefusedError:
    code, _, said = (reason or "unknown").partition(": ")
    status = 503 if code == CHAIN_UNAVAILABLE else 402
    return PaymentRefusedError(
        code, f"the deposit was refused: {said or code}. Nothing was charged", status=status
    )

"""The chain's part in channels: deposits and refunds through x402's facilitator, and the books as the chain has them.

Everything here that waits for the chain does so in a thread.
"""

from __future__ import annotations

import logging
from typing import Any, NamedTuple

from eth_account.signers.local import LocalAccount
from eth_typing import ChecksumAddress
from requests.exceptions import RequestException
from web3.exceptions import Web3Exception
from x402.mechanisms.evm.batch_settlement.authorizer_signer import (
    LocalAuthorizerSigner,
    sign_claim_batch,
    sign_refund,
)
from x402.mechanisms.evm.batch_settlement.errors import ERR_REFUND_NO_BALANCE, ERR_REFUND_SIMULATION_FAILED
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as WireConfig
from x402.mechanisms.evm.batch_settlement.types import VoucherClaim
from x402.mechanisms.evm.constants import ERR_SETTLEMENT_PENDING
from x402.schemas import PaymentPayload, PaymentRequirements

from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.channels.payment import ChannelPayment
from wellhead.gateway.channels.watch import ChannelWatch
from wellhead.gateway.facilitator import CHAIN_UNAVAILABLE, Facilitator
from wellhead.gateway.sale import PaymentRefusedError
from wellhead.gateway.terms import channel_state, header
from wellhead.reference.channel import ChannelConfig

# On these x402 has sent nothing, so nobody has seen what was signed. Any other failure may be a transaction that is
# still to come, or that failed in public: its refund can be sent again by whoever saw it.
_NOT_SENT = frozenset({ERR_REFUND_NO_BALANCE, ERR_REFUND_SIMULATION_FAILED})
_log = logging.getLogger(__name__)


class NotSentError(PaymentRefusedError):
    """Refused before anything that was signed left the gateway."""


class Moved(NamedTuple):
    """A transaction that moved a channel's money; the books have the channel after it."""

    settled: dict[str, Any]

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
        settlement: ChecksumAddress,
        facilitator: Facilitator,
        authorizer: LocalAccount,
        watch: ChannelWatch,
    ) -> None:
        self.settlement = settlement
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
        """Whether the changes of the channel reach the books without being asked for."""
        return self._watch.knows(channel_id)

    async def read(self, channel_id: bytes, config: ChannelConfig) -> ChannelAccount:
        """The channel with the chain's figures of now, in the books and followed from now on; if neither they nor the
        chain have anything of it, it is only shown. Raises PaymentRefusedError when the chain does not answer."""
        try:
            return await self._watch.read(channel_id, config)
        except (RequestException, Web3Exception):
            raise PaymentRefusedError(
                CHAIN_UNAVAILABLE, "the chain does not answer the gateway. Nothing was charged", status=503
            ) from None

    async def signed_by_contract(self, payment: ChannelPayment) -> bool:
        """Whether a payer that is a contract says that it signed the voucher (ERC-1271)."""
        return await self._facilitator.signed_by_contract(payment)

    # Moving money -----------------------------------------------------------------------------------

    async def deposit(self, payment: ChannelPayment, requirements: dict[str, Any]) -> Moved:
        """Bring the payer's deposit into its channel. Raises PaymentRefusedError with the chain's reason."""
        terms = PaymentRequirements.model_validate(requirements)
        payload = PaymentPayload(payload=payment.payload, accepted=terms)
        verdict = await self._facilitator.verify(payload, terms)
        if not verdict.is_valid:
            raise _refused(verdict.invalid_reason)
        return await self._settle(payload, terms, payment.claimed_channel_id, payment.config)

    async def is_sending(self) -> bool:
        """Whether a transaction of the facilitator's is on its way. Raises PaymentRefusedError when nobody says."""
        try:
            return await self._facilitator.is_sending()
        except (RequestException, Web3Exception):
            raise PaymentRefusedError(
                CHAIN_UNAVAILABLE, "the chain does not answer the gateway. Nothing was charged", status=503
            ) from None

    async def refund(
        self, channel_id: bytes, requirements: dict[str, Any], account: ChannelAccount, amount: int
    ) -> Moved:
        """Claim what was charged and give back `amount`, in one transaction. `account` is of a channel that is held:
        nothing is charged to it meanwhile.

        Raises NotSentError, or PaymentRefusedError when the refund may still be carried out.
        """
        terms = PaymentRequirements.model_validate(requirements)
        network, name = str(terms.network), f"0x{channel_id.hex()}"
        config = WireConfig(**account.config._asdict() | {"salt": f"0x{account.config.salt.hex()}"})
        # Of the books: what was asked for by an earlier process is not at hand.
        ceiling, signature = str(account.signed_ceiling), f"0x{account.signature.hex()}"
        claims = []
        if account.unclaimed:
            claims.append(VoucherClaim(config, ceiling, signature, str(account.charged)))
        asked = {
            "type": "refund",
            "channelConfig": config.to_dict(),
            "voucher": {"channelId": name, "maxClaimableAmount": ceiling, "signature": signature},
            "amount": str(amount),
            "refundNonce": str(account.refund_nonce),
            "claims": [claim.to_dict() for claim in claims],
            "refundAuthorizerSignature": sign_refund(
                self._authorizer, name, amount, account.refund_nonce, network
            ),
            "claimAuthorizerSignature": sign_claim_batch(self._authorizer, claims, network),
        }
        moved = await self._settle(
            PaymentPayload(payload=asked, accepted=terms), terms, channel_id, account.config
        )
        if claims:
            await self._bring_home(account.config, terms)
        return moved

    async def _bring_home(self, config: ChannelConfig, terms: PaymentRequirements) -> None:
        """What a refund claimed is still the settlement's: no later claim may come to take it along."""
        settle = {"type": "settle", "receiver": config.receiver, "token": config.token}
        outcome = await self._facilitator.settle(PaymentPayload(payload=settle, accepted=terms), terms)
        if not outcome.success:
            _log.warning("what a refund claimed waits for the next claim: %s", outcome.error_reason)

    async def _settle(
        self, payload: PaymentPayload, terms: PaymentRequirements, channel_id: bytes, config: ChannelConfig
    ) -> Moved:
        outcome = await self._facilitator.settle(payload, terms)
        settled = outcome.model_dump(mode="json", by_alias=True, exclude_none=True)
        if not outcome.success:
            raise _unsettled(outcome.error_reason or "unknown", outcome.transaction, header(settled))
        try:
            await self.read(channel_id, config)
        except PaymentRefusedError as error:
            said = f"{outcome.transaction} went through, and then {error.message}"
            raise PaymentRefusedError(
                error.code, said, status=error.status, response_header=header(settled)
            ) from None
        return Moved(settled)


def _unsettled(code: str, transaction: str, response_header: str) -> PaymentRefusedError:
    message = f"the transaction did not go through ({code}). Nothing was charged"
    if code == ERR_SETTLEMENT_PENDING:
        message = f"the transaction was sent as {transaction} but is not confirmed. Nothing was charged"
    refused = NotSentError if code in _NOT_SENT else PaymentRefusedError
    return refused(code, message, response_header=response_header)


def _refused(reason: str | None) -> PaymentRefusedError:
    code, _, said = (reason or "unknown").partition(": ")
    status = 503 if code == CHAIN_UNAVAILABLE else 402
    return PaymentRefusedError(
        code, f"the deposit was refused: {said or code}. Nothing was charged", status=status
    )

"""What a call is paid by: the requirements of both schemes, and the headers that carry them. Pure.

Shapes are x402 v2's. A channel of `batch-settlement` comes first: who can pay by it saves a transaction per call.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, NamedTuple

import msgspec
from x402.mechanisms.evm.batch_settlement.constants import SCHEME_BATCH_SETTLEMENT
from x402.mechanisms.evm.constants import SCHEME_EXACT

from wellhead.gateway.channels.book import ChannelAccount
from wellhead.gateway.config import GatewayConfig

PAYMENT_REQUIRED, PAYMENT_RESPONSE, PAYMENT_SIGNATURE = (
    "PAYMENT-REQUIRED",
    "PAYMENT-RESPONSE",
    "PAYMENT-SIGNATURE",
)
# A deposit should last for many calls.
CALLS_PER_DEPOSIT = 100


class TokenDomain(NamedTuple):
    """The token's EIP-712 name and version, which a payer signs under."""

    name: str
    version: str


class Terms:
    """On which terms one gateway sells. Amounts are atomic units."""

    def __init__(self, config: GatewayConfig, domain: TokenDomain, authorizer: str) -> None:
        """`authorizer` signs claims and refunds for the receiver."""
        self.config, self.domain, self.authorizer = config, domain, authorizer
        self._common = {
            "network": config.network,
            "asset": config.asset,
            "payTo": config.pay_to,
            "maxTimeoutSeconds": config.payment_valid_seconds,
        }

    def channel(self, ceiling: int) -> dict[str, Any]:
        """Requirements of a call at `ceiling` that a channel pays."""
        deposit = max(self.config.min_deposit_usd6, CALLS_PER_DEPOSIT * ceiling)
        extra = {
            **self.domain._asdict(),
            "receiverAuthorizer": self.authorizer,
            "withdrawDelay": self.config.withdraw_delay_seconds,
            "minDeposit": str(deposit),
        }
        return {"scheme": SCHEME_BATCH_SETTLEMENT, "amount": str(ceiling), **self._common, "extra": extra}

    def exact(self, ceiling: int) -> dict[str, Any]:
        """Requirements of a call that one transaction pays: all of `ceiling`, as it cannot pay less than was signed."""
        return {
            "scheme": SCHEME_EXACT,
            "amount": str(ceiling),
            **self._common,
            "extra": self.domain._asdict(),
        }

    def required(
        self,
        ceiling: int,
        url: str,
        error: str,
        channel: tuple[bytes, ChannelAccount] | None = None,
    ) -> dict[str, Any]:
        """x402's PaymentRequired. With `channel` it tells a payer side whose books differ what ours say."""
        by_channel = self.channel(ceiling)
        if channel is not None:
            by_channel["extra"] |= corrective(*channel)
        return {
            "x402Version": 2,
            "error": error,
            "resource": {"url": url, "mimeType": "application/json"},
            "accepts": [by_channel, self.exact(ceiling)],
        }


def channel_state(channel_id: bytes, account: ChannelAccount) -> dict[str, Any]:
    """A channel as the scheme's messages show it."""
    return {
        "channelId": f"0x{channel_id.hex()}",
        "balance": str(account.balance),
        "totalClaimed": str(account.total_claimed),
        "withdrawRequestedAt": account.withdraw_requested_at,
        "refundNonce": str(account.refund_nonce),
        "chargedCumulativeAmount": str(account.charged),
    }


def corrective(channel_id: bytes, account: ChannelAccount) -> dict[str, Any]:
    """Our books of a channel, with the payer's own signature to prove them, where there is one."""
    shown: dict[str, Any] = {"channelState": channel_state(channel_id, account)}
    if account.reserved:
        # Not x402's: for a payer side with several calls under way, which must tell these from what it lost.
        shown["reserved"] = str(account.reserved)
    if account.signature:
        shown["voucherState"] = {
            "signedMaxClaimable": str(account.signed_ceiling),
            "signature": f"0x{account.signature.hex()}",
        }
    return shown


def header(document: dict[str, Any]) -> str:
    """A document as x402 puts it into a header."""
    return b64encode(msgspec.json.encode(document)).decode()

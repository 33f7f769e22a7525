"""What a customer sends for one call: the scheme's payload, in the header that carries it."""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as WireConfig
from x402.schemas import PaymentPayload, PaymentRequirements

from wellhead.customer.tab import Begun
from wellhead.reference.channel import ChannelConfig


@dataclass(slots=True, eq=False)
class Payment:
    """A signed payment for one call. Its purse's `settled` or `unsettled` ends it; only the first counts."""

    header: str
    payload: dict[str, Any]
    requirements: PaymentRequirements
    channel_id: bytes
    begun: Begun
    deposit_usd6: int = 0
    # While its deposit is under way: what others wait for.
    deposit_over: Future[None] | None = None
    over: bool = False

    @property
    def ceiling_usd6(self) -> int:
        return self.begun.ceiling


def header_of(offer: PaymentRequirements, payload: dict[str, Any]) -> str:
    """`payload` as the payment of `offer`."""
    return encode_payment_signature_header(PaymentPayload(payload=payload, accepted=offer))


def voucher_payload(
    kind: str, config: ChannelConfig, channel_id: bytes, ceiling: int, signature: bytes
) -> dict[str, Any]:
    """The scheme's payload of a voucher over `ceiling`; `kind` is "voucher" or "refund"."""
    return {
        "type": kind,
        "channelConfig": wire_config(config).to_dict(),
        "voucher": {
            "channelId": f"0x{channel_id.hex()}",
            "maxClaimableAmount": str(ceiling),
            "signature": f"0x{signature.hex()}",
        },
    }


def wire_config(config: ChannelConfig) -> WireConfig:
    """The channel as x402's package has it."""
    fields = config._asdict()
    return WireConfig(**fields | {"salt": f"0x{config.salt.hex()}"})

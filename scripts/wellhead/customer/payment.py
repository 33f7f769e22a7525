"""What a customer sends for one call: the scheme's payload, in the header that carries it."""

from __future__ import annotations

from typing import Any, NamedTuple

from x402.http.utils import encode_payment_signature_header
from x402.mechanisms.evm.batch_settlement.types import ChannelConfig as WireConfig
from x402.schemas import PaymentPayload, PaymentRequirements

from wellhead.customer.tab import Begun
from wellhead.reference.channel import ChannelConfig


class Payment(NamedTuple):
    """A signed payment for one call. Ends with `settled` or `unsettled`, once."""

    header: str
    payload: dict[str, Any]
    requirements: PaymentRequirements
    channel_id: bytes
    begun: Begun
    deposit_usd6: int

    @property
    def ceiling_usd6(self) -> int:
        return self.begun.ceiling


def payment_of(
    offer: PaymentRequirements, payload: dict[str, Any], channel_id: bytes, begun: Begun, deposit: int
) -> Payment:
    """`payload` as the payment of `offer`."""
    header = encode_payment_signature_header(PaymentPayload(payload=payload, accepted=offer))
    return Payment(header, payload, offer, channel_id, begun, deposit)


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

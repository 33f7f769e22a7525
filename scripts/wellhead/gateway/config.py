"""What a gateway is told before it starts. The facilitator's key is not here: it comes from a keystore."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field, HttpUrl

from wellhead.fields import Address


class GatewayConfig(BaseModel):
    """Where the gateway listens, what it sells for how much, and what it stands before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65_535)

    # The upstream's root: /v1/embeddings and /v1/models are below it.
    upstream_url: HttpUrl
    upstream_timeout_seconds: float = Field(default=60, gt=0, le=600)

    rpc_url: str
    chain_id: int = Field(gt=0)
    asset: Address
    # Who is paid: the node's share contract, so that income cannot be led around its holders.
    pay_to: Address
    # Atomic stablecoin units (6 decimals) per call, whatever its length: the body limit bounds the work.
    price_usd6: int = Field(gt=0, lt=2**64)

    max_body_bytes: int = Field(default=1 << 20, ge=1_024, le=1 << 26)
    # How long a signed payment stays valid; it must outlast the upstream and the settlement.
    payment_valid_seconds: int = Field(default=300, ge=30, le=3_600)
    settle_timeout_seconds: float = Field(default=30, gt=0, le=120)

    @property
    def network(self) -> str:
        """The chain in CAIP-2 form, as x402 names it."""
        return f"eip155:{self.chain_id}"

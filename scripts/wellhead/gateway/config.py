"""What a gateway is told before it starts. Keys are not here: they come from keystores."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, HttpUrl, model_validator

from wellhead.fields import Address
from wellhead.gateway.prices import ModelPrice
from wellhead.reference.channel import MAX_WITHDRAW_DELAY_SECONDS, MIN_WITHDRAW_DELAY_SECONDS


class GatewayConfig(BaseModel):
    """Where the gateway listens, what it sells for how much, and what it stands before."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    host: str = "127.0.0.1"
    port: int = Field(default=8700, ge=0, le=65_535)

    # Roots of OpenAI-shaped servers: /v1/embeddings and the rest are below each.
    upstreams: tuple[HttpUrl, ...] = Field(min_length=1, max_length=256)
    upstream_timeout_seconds: float = Field(default=60, gt=0, le=600)
    models: tuple[ModelPrice, ...] = Field(min_length=1)
    # If `pay_to` is a pool: the member behind each upstream, in the same order. Its work is counted for it.
    members: tuple[Annotated[int, Field(ge=1, lt=2**32)], ...] = ()

    rpc_url: str
    chain_id: int = Field(gt=0)
    asset: Address
    # Who is paid: the node's share contract or a pool, so that income cannot be led around its holders.
    pay_to: Address

    max_body_bytes: int = Field(default=1 << 20, ge=1_024, le=1 << 26)
    # How long a signed payment stays valid; it must outlast the upstream and the settlement.
    payment_valid_seconds: int = Field(default=300, ge=30, le=3_600)
    settle_timeout_seconds: float = Field(default=30, gt=0, le=120)

    # Channels. The longer the delay, the more time there is to claim before a payer withdraws.
    withdraw_delay_seconds: int = Field(
        default=86_400, ge=MIN_WITHDRAW_DELAY_SECONDS, le=MAX_WITHDRAW_DELAY_SECONDS
    )
    # Each deposit is a transaction that the gateway pays for.
    min_deposit_usd6: int = Field(default=10_000, gt=0, lt=2**64)
    settle_router: Address
    # What is charged is claimed when so much of it waits, or the first of it so long.
    claim_value_usd6: int = Field(default=5_000_000, ge=0, lt=2**64)
    claim_age_seconds: int = Field(default=3_600, gt=0)
    # A channel with less is not worth its gas, and waits for its age.
    claim_channel_usd6: int = Field(default=10_000, ge=0, lt=2**64)
    # As SQLAlchemy writes it. SQLite: this gateway is alone on it. PostgreSQL: several may share it.
    ledger_url: str = "sqlite:///gateway.db"

    @model_validator(mode="after")
    def _every_upstream_is_a_members(self) -> GatewayConfig:
        """Or all are the node's that is paid."""
        if self.members and len(self.members) != len(self.upstreams):
            raise ValueError(
                f"{len(self.members)} members for {len(self.upstreams)} upstreams: name one for each"
            )
        return self

    @property
    def network(self) -> str:
        """The chain in CAIP-2 form, as x402 names it."""
        return f"eip155:{self.chain_id}"

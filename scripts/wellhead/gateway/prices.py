"""What a call costs: by the call and by the token, per model. Pure.

Amounts are atomic stablecoin units (6 decimals). What is charged follows the tokens that the upstream counted, rounded
up to the unit, and never exceeds what was asked for before the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, model_validator

PER_TOKENS = 1_000_000
ANY_MODEL = "*"


class Tokens(NamedTuple):
    """Tokens read and written."""

    input: int
    output: int


class ModelPrice(BaseModel):
    """The price of one model, or of every other one if its id is "*"."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(min_length=1)
    usd6_per_call: int = Field(default=0, ge=0, lt=2**63)
    usd6_per_million_input_tokens: int = Field(default=0, ge=0, lt=2**63)
    usd6_per_million_output_tokens: int = Field(default=0, ge=0, lt=2**63)
    # The model's context: no request can have more. None: bounded by the length of the request alone.
    max_input_tokens: int | None = Field(default=None, gt=0)
    # What a request that does not say gets at most; more is not served.
    max_output_tokens: int = Field(default=4_096, gt=0)

    @model_validator(mode="after")
    def _costs_something(self) -> ModelPrice:
        if not (self.usd6_per_call or self.is_by_token):
            raise ValueError(f"model {self.id!r} costs nothing: give it a price per call or per token")
        return self

    @property
    def is_by_token(self) -> bool:
        """Whether what a call costs depends on its tokens."""
        return bool(self.usd6_per_million_input_tokens or self.usd6_per_million_output_tokens)

    def cost_up(self, tokens: Tokens) -> int:
        """What a call with these tokens costs; up to the unit, as the operator served all of it."""
        by_token = (
            tokens.input * self.usd6_per_million_input_tokens
            + tokens.output * self.usd6_per_million_output_tokens
        )
        return self.usd6_per_call - (-by_token // PER_TOKENS)


class PriceList:
    """The models on sale."""

    def __init__(self, prices: Sequence[ModelPrice]) -> None:
        """The first price of a model counts."""
        self._by_id = {price.id: price for price in reversed(prices)}

    def of(self, model: str) -> ModelPrice | None:
        """The price of `model`, None if it is not sold."""
        return self._by_id.get(model) or self._by_id.get(ANY_MODEL)

"""A pool's receipts, as its gateway publishes them."""

from __future__ import annotations

from typing import Annotated

import httpx
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from wellhead.errors import Refused
from wellhead.fields import Address
from wellhead.gateway.paths import RECEIPTS_PATH
from wellhead.reference.pool_receipt import Receipt

TIMEOUT_SECONDS = 10
MAX_MEMBERS = 10_000
Units = Annotated[int, Field(ge=0, lt=2**64)]
Small = Annotated[int, Field(ge=1, lt=2**32)]


class SignedReceipt(BaseModel):
    """One receipt; the pool's contract is the judge of its signature."""

    model_config = ConfigDict(frozen=True)

    node: Small
    period: Small
    billed_from_units: Units
    billed_to_units: Units
    signature: str = Field(pattern="^0x([0-9a-f]{2}){1,4096}$")

    @property
    def receipt(self) -> Receipt:
        return Receipt(self.node, self.period, self.billed_from_units, self.billed_to_units)


class _Page(BaseModel):
    pool: Address
    receipts: tuple[SignedReceipt, ...] = Field(max_length=MAX_MEMBERS)


def fetch_receipts(gateway_url: str, pool: str) -> list[SignedReceipt]:
    """The receipts of the period that ended last. Raises Refused when there is no such page, or one of another pool."""
    address = f"{gateway_url.rstrip('/')}{RECEIPTS_PATH}"
    try:
        answer = httpx.get(address, timeout=TIMEOUT_SECONDS).raise_for_status()
        page = _Page.model_validate_json(answer.content)
    except httpx.HTTPStatusError as error:
        raise Refused(
            f"{address} answers {error.response.status_code}: is it the gateway of this pool?"
        ) from None
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise Refused(f"no gateway answers at {address}: {type(error).__name__}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        raise Refused(
            f"what {address} answers are no receipts: {'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        ) from None
    if page.pool != pool:
        raise Refused(f"the gateway at {gateway_url} signs for the pool at {page.pool}, not for {pool}")
    return list(page.receipts)

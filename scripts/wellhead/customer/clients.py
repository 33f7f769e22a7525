"""Clients that pay, in one line: httpx's and OpenAI's, synchronous and asynchronous."""

from __future__ import annotations

import httpx
import openai
from eth_account.signers.local import LocalAccount

from wellhead.chain.connection import connect
from wellhead.chain.contracts.batch_settlement import BatchSettlement
from wellhead.customer.bounds import Bounds
from wellhead.customer.purse import Purse
from wellhead.customer.spending import SpendingLimit
from wellhead.customer.transports import AsyncPayingTransport, PayingTransport
from wellhead.deploy.canonical import SETTLEMENT
from wellhead.units import parse_address

TIMEOUT_SECONDS = 60.0
CALLS_PER_DEPOSIT = 100
NO_KEY = "paid-per-call"  # OpenAI's clients insist on an API key; a payment takes its place


def open_purse(
    account: LocalAccount,
    rpc_url: str,
    asset: str,
    max_usd6_per_call: int,
    usd6_per_deposit: int | None = None,
    salt: bytes = bytes(32),
    limit: SpendingLimit | None = None,
) -> Purse:
    """`account`'s money for calls at up to `max_usd6_per_call`, in `asset` on the chain at `rpc_url`.

    A deposit is `usd6_per_deposit`, a hundred calls' worth if not said otherwise; what is not spent can be had back.
    Raises Refused when the chain has no settlement contract.
    """
    w3 = connect(rpc_url, timeout_seconds=30)
    deposit = CALLS_PER_DEPOSIT * max_usd6_per_call if usd6_per_deposit is None else usd6_per_deposit
    bounds = Bounds(f"eip155:{w3.eth.chain_id}", parse_address(asset, "asset"), max_usd6_per_call, deposit)
    return Purse(account, bounds, BatchSettlement(w3, SETTLEMENT.address).figures, salt, limit)


def paying_client(purse: Purse, **httpx_options: object) -> httpx.AsyncClient:
    """An httpx.AsyncClient that pays out of `purse`, any number of calls at once, streams included.

    Safe under OpenAI's retry loop: see `wellhead.customer.once`.
    """
    options = {"timeout": TIMEOUT_SECONDS, **httpx_options}
    return httpx.AsyncClient(transport=AsyncPayingTransport(purse), **options)  # type: ignore[arg-type]


def paying_client_sync(purse: Purse, **httpx_options: object) -> httpx.Client:
    """The synchronous counterpart of `paying_client`; several threads may use it."""
    options = {"timeout": TIMEOUT_SECONDS, **httpx_options}
    return httpx.Client(transport=PayingTransport(purse), **options)  # type: ignore[arg-type]


def openai_client(gateway_url: str, purse: Purse) -> openai.OpenAI:
    """A stock OpenAI client that pays out of `purse`. Close it: it holds connections."""
    base_url = f"{gateway_url.rstrip('/')}/v1"
    # It declares httpx2's client and takes httpx's too.
    return openai.OpenAI(base_url=base_url, api_key=NO_KEY, http_client=paying_client_sync(purse))  # type: ignore[arg-type]


def async_openai_client(gateway_url: str, purse: Purse) -> openai.AsyncOpenAI:
    """A stock asynchronous OpenAI client that pays out of `purse`. Close it: it holds connections."""
    base_url = f"{gateway_url.rstrip('/')}/v1"
    return openai.AsyncOpenAI(base_url=base_url, api_key=NO_KEY, http_client=paying_client(purse))  # type: ignore[arg-type]

"""Clients that pay: httpx and OpenAI's, asynchronous over x402's own transport, synchronous over ours."""

from __future__ import annotations

import httpx
import openai
from eth_account.signers.local import LocalAccount
from x402 import x402Client, x402ClientSync
from x402.http import PAYMENT_SIGNATURE_HEADER
from x402.http.clients.httpx import x402AsyncTransport
from x402.http.x402_http_client import x402HTTPClientSync

from wellhead.customer.once import AsyncPaidOnce, PaidOnce
from wellhead.customer.terms import read_terms, sign_terms
from wellhead.customer.wallet import bounded, network_of

TIMEOUT_SECONDS = 60.0
NO_KEY = "paid-per-call"  # OpenAI's clients insist on an API key; a payment takes its place


class PayingTransport(httpx.BaseTransport):
    """Answers a 402 by paying, once, within the wallet's bounds. x402 has no synchronous one for httpx."""

    def __init__(self, wallet: x402ClientSync, inner: httpx.BaseTransport | None = None) -> None:
        """`wallet` comes from `wallet.bounded`; `inner` is the network."""
        self._x402 = x402HTTPClientSync(wallet)
        self._inner = PaidOnce(inner or httpx.HTTPTransport())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        """Raises Refused when the terms are out of bounds, PaidButUnanswered when a paid call breaks."""
        request.read()  # so that it can be sent a second time
        response = self._inner.handle_request(request)
        if response.status_code != 402 or PAYMENT_SIGNATURE_HEADER in request.headers:
            return response
        response.request = request
        response.read()
        response.close()
        _, header = sign_terms(self._x402, read_terms(self._x402, response))
        headers = request.headers.copy()
        headers.update(header)
        paying = httpx.Request(
            request.method,
            request.url,
            headers=headers,
            content=request.content,
            extensions=request.extensions,
        )
        return self._inner.handle_request(paying)

    def close(self) -> None:
        self._inner.close()


def paying_client(
    account: LocalAccount, rpc_url: str, asset: str, max_usd6_per_payment: int, **httpx_options: object
) -> httpx.AsyncClient:
    """An httpx.AsyncClient that pays by x402's own transport, at most `max_usd6_per_payment` per call.

    As good as a stock x402HttpxClient, and safe under OpenAI's retry loop: see `wellhead.customer.once`.
    """
    wallet = bounded(x402Client(), account, network_of(rpc_url), asset, max_usd6_per_payment)
    transport = x402AsyncTransport(wallet, AsyncPaidOnce(httpx.AsyncHTTPTransport()))
    return httpx.AsyncClient(transport=transport, **{"timeout": TIMEOUT_SECONDS, **httpx_options})  # type: ignore[arg-type]


def paying_client_sync(
    account: LocalAccount, rpc_url: str, asset: str, max_usd6_per_payment: int, **httpx_options: object
) -> httpx.Client:
    """The synchronous counterpart of `paying_client`."""
    wallet = bounded(x402ClientSync(), account, network_of(rpc_url), asset, max_usd6_per_payment)
    transport = PayingTransport(wallet)
    return httpx.Client(transport=transport, **{"timeout": TIMEOUT_SECONDS, **httpx_options})  # type: ignore[arg-type]


def openai_client(gateway_url: str, http_client: httpx.Client) -> openai.OpenAI:
    """A stock OpenAI client that pays through `http_client`, from `paying_client_sync`."""
    base_url = f"{gateway_url.rstrip('/')}/v1"
    # It declares httpx2's client and takes httpx's too.
    return openai.OpenAI(base_url=base_url, api_key=NO_KEY, http_client=http_client)  # type: ignore[arg-type]


def async_openai_client(gateway_url: str, http_client: httpx.AsyncClient) -> openai.AsyncOpenAI:
    """A stock asynchronous OpenAI client that pays through `http_client`, from `paying_client`."""
    base_url = f"{gateway_url.rstrip('/')}/v1"
    return openai.AsyncOpenAI(base_url=base_url, api_key=NO_KEY, http_client=http_client)  # type: ignore[arg-type]
